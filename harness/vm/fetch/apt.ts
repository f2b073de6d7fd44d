/**
 * Apt with a state of its own: reads the host's settings (proxies, credentials,
 * time-outs) and its Debian mirror, changes nothing on it, needs no root, and
 * checks every signature and sum as always.
 * @module
 */

import { join } from "@std/path";
import { VmError } from "../vm_error.ts";
import type { AptSource } from "./apt_sources.ts";
import { exists, makeFolder } from "./cache.ts";
import { type CommandResult, runCommand } from "./command.ts";
import type { FetchListener } from "./listener.ts";

/** A package that can be downloaded. */
export interface AptPackage {
  readonly name: string;
  readonly version: string;
  readonly architecture: "amd64" | "all";
}

const DEBIAN_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

/**
 * What our apt believes to be installed: nothing but one package that stands for
 * what a kernel wants of a system it is installed on, which no guest of ours needs.
 */
const STATUS = `Package: viaduct-nothing
Status: install ok installed
Architecture: all
Version: 1
Maintainer: nobody
Description: stands for what is not needed
Provides: kmod, linux-base, linux-initramfs-tool
`;

/**
 * The configuration of our apt, from the host's as `apt-config dump` prints it. Its
 * settings for downloads are taken over; hooks, which would change the host, and
 * everything else are not.
 */
export function privateConfig(hostDump: string, folder: string): string {
  const kept = hostDump.split("\n").filter((line) =>
    line.startsWith("Acquire::") && !/^Acquire::(?:IndexTargets|Languages|Changelogs)\b/.test(line)
  );
  return [
    ...kept,
    ...Object.entries({
      // The files that the host's apt would read after this one.
      "Dir::Etc::main": "/dev/null",
      "Dir::Etc::parts": "/dev/null",
      "Dir::Etc::sourcelist": join(folder, "debian.sources"),
      "Dir::Etc::sourceparts": "/dev/null",
      "Dir::Etc::preferences": "/dev/null",
      "Dir::Etc::preferencesparts": "/dev/null",
      "Dir::State": join(folder, "state"),
      "Dir::State::lists": join(folder, "state/lists"),
      "Dir::State::status": join(folder, "state/status"),
      "Dir::Cache": join(folder, "cache"),
      "Dir::Log": join(folder, "log"),
      "APT::Architecture": "amd64",
      "APT::Architectures": "amd64",
      "APT::Install-Recommends": "0",
      "APT::Install-Suggests": "0",
      "APT::Update::Error-Mode": "any",
      // A cache below root's home is out of reach for the user that root's apt becomes.
      "APT::Sandbox::User": "root",
      "APT::Get::AllowUnauthenticated": "0",
      "Acquire::AllowInsecureRepositories": "0",
      "Acquire::AllowWeakRepositories": "0",
      "Acquire::AllowDowngradeToInsecureRepositories": "0",
      "Acquire::Languages": "none",
      "Acquire::GzipIndexes": "true",
    }).map(([name, value]) => `${name} "${value}";`),
    "",
  ].join("\n");
}

/** The sources of our apt: the suites wanted, from the host's mirror. */
export function privateSources(
  mirror: AptSource,
  suites: readonly string[],
  defaultKeyring: string | null,
): string {
  const signedBy = mirror.signedBy ?? defaultKeyring;
  return [
    "Types: deb",
    `URIs: ${mirror.uri}`,
    `Suites: ${suites.join(" ")}`,
    "Components: main",
    "Architectures: amd64",
    ...(signedBy === null ? [] : [`Signed-By: ${signedBy}`]),
    "",
  ].join("\n");
}

/** What a failed apt has said, as an error that says how to go on. */
export function aptError(what: string, result: CommandResult, suites: readonly string[]): VmError {
  const said = (result.stderr + result.stdout).split("\n")
    .filter((line) => /^[EW]:/.test(line)).sort();
  const text = said.join("\n");
  const quoted = said.slice(0, 6).map((line) => `\n  ${line}`).join("") ||
    ` (exit code ${result.code})`;
  let mend = "run `apt-get update` as root and mend what it complains of, then try again";
  if (/gpgv.* required|sqv.* required/.test(text)) {
    mend = "`apt-get install gpgv` as root: apt checks signatures with it";
  } else if (/Could not get lock/.test(text)) {
    mend = "wait until the apt-get of an earlier run has ended, then run this again";
  } else if (
    /NO_PUBKEY|not signed|public key is not available|SIGNATURE|couldn't be verified/.test(text)
  ) {
    mend = "`apt-get update && apt-get install debian-archive-keyring` as root: " +
      `the keyring here does not know the keys of ${suites.join(" and ")}`;
  } else if (/No space left|write error|not have enough free space/i.test(text)) {
    mend = "make 500 MB of room, or `export VIADUCT_CACHE=/a/folder/with/room`";
  } else if (
    /Could not resolve|Temporary failure|Could not connect|timed out|unreachable/i.test(text)
  ) {
    mend =
      "see that `apt-get update` reaches the mirror (a proxy goes into /etc/apt/apt.conf.d), " +
      "then run this again: what was downloaded is kept";
  } else if (/404|does not have a Release file/.test(text)) {
    mend = `name a mirror that carries ${suites.join(" and ")} in /etc/apt/sources.list.d, ` +
      "or put QEMU 10.1 or newer on PATH";
  }
  return new VmError(`Cannot ${what}: apt says${quoted}`, mend);
}

/** Our apt, over one mirror. */
export class Apt {
  readonly #folder: string;
  readonly #suites: readonly string[];
  readonly #env: Readonly<Record<string, string>>;
  readonly #signal: AbortSignal | undefined;

  private constructor(
    folder: string,
    suites: readonly string[],
    signal: AbortSignal | undefined,
  ) {
    this.#folder = folder;
    this.#suites = suites;
    this.#signal = signal;
    this.#env = { APT_CONFIG: join(folder, "apt.conf"), DEBIAN_FRONTEND: "noninteractive" };
  }

  /** Where {@linkcode download} leaves files. Kept until {@linkcode tidy}. */
  get downloads(): string {
    return join(this.#folder, "cache/archives");
  }

  /**
   * Sets up the state below `folder`. What an earlier run has downloaded stays. `signal` ends
   * whatever command is at work, which throws its reason then.
   */
  static async open(
    folder: string,
    mirror: AptSource,
    suites: readonly string[],
    signal?: AbortSignal,
  ): Promise<Apt> {
    const dump = await runCommand("apt-config", ["dump"], { signal });
    for (const part of ["state/lists/partial", "cache/archives/partial", "log"]) {
      await makeFolder(join(folder, part));
    }
    const keyring = await exists(DEBIAN_KEYRING) ? DEBIAN_KEYRING : null;
    await Deno.writeTextFile(join(folder, "state/status"), STATUS);
    await Deno.writeTextFile(
      join(folder, "debian.sources"),
      privateSources(mirror, suites, keyring),
    );
    // A proxy's address may hold a password.
    await Deno.writeTextFile(
      join(folder, "apt.conf"),
      privateConfig(dump?.stdout ?? "", folder),
      { mode: 0o600 },
    );
    return new Apt(folder, suites, signal);
  }

  /** Fetches and checks the lists of packages. @throws {VmError} */
  async update(listener: FetchListener): Promise<void> {
    const args = ["-q", "-o", "APT::Status-Fd=1", "update"];
    const result = await this.#run("apt-get", args, listener);
    if (result.code !== 0) throw aptError("read the lists of packages", result, this.#suites);
  }

  /** All that `names` need, themselves included, newest of `suite` first. @throws {VmError} */
  async closure(names: readonly string[], suite: string): Promise<AptPackage[]> {
    const args = ["-q", "-s", "-t", suite, "install", ...names];
    const result = await this.#run("apt-get", args);
    if (result.code !== 0) {
      throw aptError(`find ${names.join(", ")} in ${suite}`, result, this.#suites);
    }
    return parseSimulation(result.stdout);
  }

  /** The package that the first alternative of a package's first dependency names. @throws {VmError} */
  async firstDependency(name: string): Promise<string> {
    const text = await this.#show(name);
    const depends = /^Depends: ([a-z0-9][a-z0-9+.-]*)/m.exec(text ?? "")?.[1];
    if (depends === undefined) throw this.#missing(name);
    return depends;
  }

  /** The newest of a package. @throws {VmError} */
  async newest(name: string): Promise<AptPackage> {
    const text = await this.#show(name);
    const version = text === null ? undefined : /^Version: (\S+)$/m.exec(text)?.[1];
    const architecture = text === null ? undefined : /^Architecture: (amd64|all)$/m.exec(text)?.[1];
    if (version === undefined || architecture === undefined) throw this.#missing(name);
    return { name, version, architecture: architecture as "amd64" | "all" };
  }

  /** The SHA-256 sums that the signed lists give, by `name=version`; those they do not list are missing. */
  async sums(packages: readonly AptPackage[]): Promise<Map<string, string>> {
    const sums = new Map<string, string>();
    const names = packages.map(({ name, version }) => `${name}=${version}`);
    const result = await this.#run("apt-cache", ["show", ...names]);
    for (const stanza of result.stdout.split(/\n\n+/)) {
      const field = (name: string): string =>
        new RegExp(`^${name}: (\\S+)$`, "m").exec(stanza)?.[1] ?? "";
      if (field("SHA256") === "") continue;
      sums.set(`${field("Package")}=${field("Version")}`, field("SHA256"));
    }
    return sums;
  }

  /**
   * Downloads packages, into {@linkcode downloads}. Those that are there whole are not
   * fetched again, and a part of one is gone on with. @throws {VmError}
   */
  async download(packages: readonly AptPackage[], listener: FetchListener): Promise<void> {
    const names = packages.map(({ name, version }) => `${name}=${version}`);
    // The command `download` would begin a file anew that it has a part of.
    const args = ["-q", "-y", "-o", "APT::Status-Fd=1", "--download-only", "install", ...names];
    const result = await this.#run("apt-get", args, listener);
    if (result.code !== 0) throw aptError("download the packages", result, this.#suites);
  }

  /** Where a downloaded package is. Apt writes the colon of an epoch as `%3a`. */
  file({ name, version, architecture }: AptPackage): string {
    return join(
      this.downloads,
      `${name}_${version.replaceAll(":", "%3a")}_${architecture}.deb`,
    );
  }

  /** Removes downloads, and what apt can work out again. The lists stay: reading them again is cheap. */
  async tidy(): Promise<void> {
    await Deno.remove(join(this.#folder, "cache"), { recursive: true }).catch(() => {});
  }

  async #show(name: string): Promise<string | null> {
    const result = await this.#run("apt-cache", ["show", "--no-all-versions", name]);
    return result.code === 0 ? result.stdout : null;
  }

  #missing(name: string): VmError {
    return new VmError(
      `Cannot find the package ${name} in ${this.#suites.join(" and ")}`,
      "name a full mirror of Debian in /etc/apt/sources.list.d, or put QEMU 10.1 or newer on PATH",
    );
  }

  async #run(
    program: string,
    args: readonly string[],
    listener?: FetchListener,
  ): Promise<CommandResult> {
    const result = await runCommand(program, args, {
      cwd: this.#folder,
      env: this.#env,
      signal: this.#signal,
      line(line) {
        const percent = /^dlstatus:\d+:([\d.]+):/.exec(line)?.[1];
        if (percent !== undefined) listener?.progress(Number(percent) / 100);
      },
    });
    if (result !== null) return result;
    throw new VmError(`Cannot run ${program}`, "`apt-get install apt` as root");
  }
}

/** The packages that `apt-get -s install` says it would install. */
export function parseSimulation(text: string): AptPackage[] {
  const packages: AptPackage[] = [];
  for (const match of text.matchAll(/^Inst ([^\s:]+)\S* \((\S+) .*\[(amd64|all)\]\)/gm)) {
    packages.push({
      name: match[1]!,
      version: match[2]!,
      architecture: match[3] as "amd64" | "all",
    });
  }
  return packages;
}
