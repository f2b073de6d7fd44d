/**
 * Brings a component into the cache, once: packages from the host's Debian
 * mirror, checked twice (by apt, and by our sums), unpacked into a folder.
 * @module
 */

import { join } from "@std/path";
import * as v from "valibot";
import { VmError } from "../vm_error.ts";
import { Apt, type AptPackage } from "./apt.ts";
import { exists, makeWhole, markUsed, prune, withCacheLock, writeWhole } from "./cache.ts";
import { type Component, SUITES } from "./component.ts";
import { type DebianHost, debianHost } from "./host.ts";
import type { FetchListener } from "./listener.ts";
import type { PackageLock, PackagePin } from "./package_lock.ts";
import { addSums, readSums } from "./seen_sums.ts";
import { sha256File, sha256Parts } from "./sha256.ts";
import { unpack } from "./unpack.ts";

/** How to fetch. */
export interface FetchOptions {
  /** As {@linkcode cacheFolder} gives it. */
  readonly cache: string;
  readonly lock: PackageLock;
  /** `never` uses what is there; `newest` ignores the lock. */
  readonly network: "pinned" | "newest" | "never";
  readonly listener: FetchListener;
  /** Ends the fetching, and the commands that are at work for it. */
  readonly signal?: AbortSignal | undefined;
  /** After unpacking, in the folder that is not in its place yet. */
  readonly prepare?: (folder: string) => Promise<void>;
}

/** A component that is there. */
export interface Fetched {
  /** The root of its files. */
  readonly folder: string;
  /** What it was made of. */
  readonly packages: readonly PackagePin[];
}

const RecordSchema = v.object({
  version: v.literal(1),
  folder: v.string(),
  packages: v.array(v.object({
    name: v.string(),
    version: v.string(),
    architecture: v.picklist(["amd64", "all"]),
    sha256: v.string(),
  })),
});

/** What the cache says of a component. */
type Record = v.InferOutput<typeof RecordSchema>;

/**
 * The component as the cache has it, or fetched now. What was downloaded when it is broken off is
 * gone on with another time. @throws {VmError}; the signal's reason when it is aborted
 */
export async function fetchComponent(
  component: Component,
  options: FetchOptions,
): Promise<Fetched> {
  const { cache, network } = options;
  const pins = options.lock[component.name] ?? [];
  const lockSum = sumOf(pins);
  const fresh = async (): Promise<Fetched | null> => {
    if (network === "newest") return null;
    return await readRecord(cache, recordName(component, lockSum));
  };
  const found = await fresh();
  if (found !== null) return found;
  if (network === "never") return await useOld(component, options);
  return await withCacheLock(cache, options, async () => {
    // Another process may have done it while we waited.
    const found = await fresh();
    if (found !== null) return found;
    await prune(cache);
    const packages = await bring(component, pins, options);
    const folder = `${component.name}-${folderSum(packages)}`;
    const record: Record = { version: 1, folder, packages };
    // The newest are what the next lock will ask for.
    const name = recordName(component, network === "newest" ? sumOf(packages) : lockSum);
    await writeWhole(join(cache, name), JSON.stringify(record, null, 1) + "\n");
    return { folder: join(cache, folder), packages };
  });
}

/** One for each lock that was asked for, so that checkouts with different locks share a cache. */
function recordName(component: Component, lockSum: string): string {
  return `${component.name}-${lockSum.slice(0, 16)}.json`;
}

/** Null when the cache has no such component, or not all of it. */
async function readRecord(cache: string, name: string): Promise<Fetched | null> {
  try {
    const path = join(cache, name);
    const record = v.parse(RecordSchema, JSON.parse(await Deno.readTextFile(path)));
    const folder = join(cache, record.folder);
    if (!await exists(folder)) return null;
    await markUsed(path);
    await markUsed(folder);
    return { folder, packages: record.packages };
  } catch {
    return null;
  }
}

async function useOld(component: Component, options: FetchOptions): Promise<Fetched> {
  const { cache, listener } = options;
  const names: string[] = [];
  if (await exists(cache)) { for await (const { name } of Deno.readDir(cache)) names.push(name); }
  for (const name of names.sort()) {
    if (!name.startsWith(`${component.name}-`) || !name.endsWith(".json")) continue;
    const found = await readRecord(cache, name);
    if (found === null) continue;
    listener.notice(
      `Offline: ${component.title} in the cache is not the one of packages.lock`,
    );
    return found;
  }
  throw new VmError(
    `Cannot use ${component.title} offline: ${cache} does not hold it`,
    "run this once with network access, without --offline",
  );
}

function sumOf(pins: readonly PackagePin[]): string {
  return sha256Parts(
    pins.map(({ name, version, architecture, sha256 }) =>
      [name, version, architecture, sha256].join(" ")
    ),
  );
}

function folderSum(packages: readonly PackagePin[]): string {
  return sha256Parts(packages.map(({ sha256 }) => sha256)).slice(0, 16);
}

async function bring(
  component: Component,
  pins: readonly PackagePin[],
  options: FetchOptions,
): Promise<PackagePin[]> {
  const host = await debianHost();
  if (typeof host === "string") {
    throw new VmError(
      `Cannot fetch ${component.title}: ${host}`,
      "install QEMU 10.1 or newer with its device vfio-user-pci, a Linux kernel with its modules " +
        "and a static busybox with this system's own means, so that they are on PATH, in /boot " +
        "and in /lib/modules",
    );
  }
  const apt = await openApt(component, host, options);
  const packages = await choose(component, apt, pins, options);
  const sums = await downloadAll(component, apt, packages, options);
  const chosen = packages.map((item) => ({ ...item, sha256: sums.get(key(item))! }))
    .sort((a, b) => a.name < b.name ? -1 : 1);
  const target = join(options.cache, `${component.name}-${folderSum(chosen)}`);
  if (!await exists(target)) {
    options.listener.stage(`Unpacking ${component.title}`);
    await makeWhole(target, async (folder) => {
      await unpack(packages.map((item) => apt.file(item)), folder, options);
      await options.prepare?.(folder);
    });
  }
  await apt.tidy();
  return chosen;
}

/** Apt over the first of the host's mirrors that has the suites. */
async function openApt(
  component: Component,
  host: DebianHost,
  options: FetchOptions,
): Promise<Apt> {
  if (host.mirrors.length === 0) {
    throw new VmError(
      `Cannot fetch ${component.title}: /etc/apt names no mirror of Debian that carries ` +
        `${host.codename || "a release"} with main`,
      "name one in /etc/apt/sources.list.d (see sources.list(5)), or put QEMU 10.1 or newer on PATH",
    );
  }
  options.listener.stage("Reading Debian's lists of packages");
  let failure: unknown;
  for (const mirror of host.mirrors) {
    const apt = await Apt.open(join(options.cache, "apt"), mirror, SUITES, options.signal);
    try {
      await apt.update(options.listener);
      return apt;
    } catch (error) {
      options.signal?.throwIfAborted();
      failure ??= error;
    }
  }
  throw failure;
}

/** The packages of the lock; when the mirror has dropped one, the newest of all. */
async function choose(
  component: Component,
  apt: Apt,
  pins: readonly PackagePin[],
  options: FetchOptions,
): Promise<readonly AptPackage[]> {
  if (options.network === "newest") return await component.resolve(apt);
  const sums = await apt.sums(pins);
  const gone = pins.filter((pin) => sums.get(key(pin)) === undefined);
  if (pins.length > 0 && gone.length === 0) return pins;
  const newest = await component.resolve(apt);
  const pinned = new Set(pins.map(key));
  const changed = newest.filter((item) => !pinned.has(key(item)));
  // In CI nobody reads along: the word is one to search for.
  const word = Deno.env.get("CI") === "true" ? "NOTE" : "NOTICE";
  options.listener.notice(
    `${word}: the mirror no longer has ${gone.length} of the ${pins.length} packages that ` +
      `packages.lock pins for ${component.title}` +
      (gone[0] === undefined ? "" : ` (${key(gone[0])}${gone.length > 1 ? ", …" : ""})`) +
      `. Using the newest, ${changed.length} of them other than tried: ` +
      changed.slice(0, 4).map(key).join(", ") + (changed.length > 4 ? ", …" : "") +
      ". Debian's signatures vouch for them; their sums are recorded, and may not change.",
  );
  return newest;
}

/** Downloads, and holds each file against the signed lists and the lock. */
async function downloadAll(
  component: Component,
  apt: Apt,
  packages: readonly AptPackage[],
  options: FetchOptions,
): Promise<Map<string, string>> {
  options.listener.stage(`Downloading ${component.title}: ${packages.length} packages`);
  await apt.download(packages, options.listener);
  const signed = await apt.sums(packages);
  const locked = new Map(
    (options.lock[component.name] ?? []).map((pin) => [key(pin), pin.sha256]),
  );
  const seen = await readSums(options.cache);
  const sums = new Map<string, string>();
  for (const item of packages) {
    const sum = await sha256File(apt.file(item));
    options.signal?.throwIfAborted();
    const wanted = [
      signed.get(key(item)),
      locked.get(key(item)) ?? sum,
      seen.get(key(item)) ?? sum,
    ];
    if (wanted.some((other) => other !== sum)) {
      await Deno.remove(apt.file(item)).catch(() => {});
      throw new VmError(
        `Cannot use ${key(item)}: its SHA-256 sum is ${sum}; the signed list says ${
          wanted[0] ?? "nothing"
        }, packages.lock ${locked.get(key(item)) ?? "nothing"}, and an earlier fetch ${
          seen.get(key(item)) ?? "nothing"
        }`,
        "run this again; if it stays so, the mirror, the way to it or packages.lock was changed",
      );
    }
    sums.set(key(item), sum);
  }
  await addSums(options.cache, new Map([...sums].filter(([name]) => !locked.has(name))));
  return sums;
}

function key({ name, version }: AptPackage): string {
  return `${name}=${version}`;
}
