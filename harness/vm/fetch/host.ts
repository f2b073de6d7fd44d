/**
 * What the host is, as far as fetching packages for it goes.
 * @module
 */

import { join } from "@std/path";
import { type AptSource, debianMirrors, parseListFile, parseSourcesFile } from "./apt_sources.ts";
import { runCommand } from "./command.ts";

/** A Debian machine whose apt we may ask. */
export interface DebianHost {
  /** `bookworm`, `trixie`; empty for testing, which does not say. */
  readonly codename: string;
  /** The mirrors of its own configuration, in its order. */
  readonly mirrors: readonly AptSource[];
}

/** The value of a variable of an os-release file (os-release(5)); empty when not set. */
export function osReleaseValue(text: string, name: string): string {
  const match = new RegExp(`^${name}=(?:"([^"]*)"|'([^']*)'|(.*))$`, "m").exec(text);
  return match === null ? "" : match[1] ?? match[2] ?? match[3]!.trim();
}

/** The host as Debian on amd64, or a few words that say why it is not. */
export async function debianHost(): Promise<DebianHost | string> {
  if (Deno.build.os !== "linux") return `this is ${Deno.build.os}`;
  let release = "";
  for (const path of ["/etc/os-release", "/usr/lib/os-release"]) {
    release = await Deno.readTextFile(path).catch(() => "");
    if (release !== "") break;
  }
  const id = osReleaseValue(release, "ID");
  if (id !== "debian") return `this is ${id === "" ? "an unnamed system" : id}, not Debian`;
  if (Deno.build.arch !== "x86_64") return `this machine is ${Deno.build.arch}, not amd64`;
  const config = await runCommand("apt-config", [
    "shell",
    "list",
    "Dir::Etc::sourcelist/f",
    "parts",
    "Dir::Etc::sourceparts/d",
  ]);
  if (config === null || config.code !== 0) return "apt does not run here";
  if (await runCommand("dpkg-deb", ["--version"]) === null) return "dpkg-deb does not run here";
  const codename = osReleaseValue(release, "VERSION_CODENAME");
  const path = (name: string): string =>
    new RegExp(`^${name}='(.*)'$`, "m").exec(config.stdout)?.[1] ?? "";
  const sources = await hostSources(path("list"), path("parts"));
  return { codename, mirrors: debianMirrors(sources, codename) };
}

/** All sources of the host, in apt's order. */
async function hostSources(list: string, parts: string): Promise<AptSource[]> {
  const names: string[] = [];
  try {
    for await (const entry of Deno.readDir(parts)) names.push(entry.name);
  } catch {
    // A host need not have that folder.
  }
  const files = [list, ...names.sort().map((name) => join(parts, name))];
  const sources: AptSource[] = [];
  for (const file of files) {
    const text = await Deno.readTextFile(file).catch(() => "");
    if (file.endsWith(".sources")) sources.push(...parseSourcesFile(text));
    else if (file.endsWith(".list")) sources.push(...parseListFile(text));
  }
  return sources;
}
