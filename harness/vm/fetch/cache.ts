/**
 * The cache folder: what was fetched and built, once for all runs and checkouts.
 * @module
 */

import { dirname, join, resolve } from "@std/path";
import { VmError } from "../vm_error.ts";
import type { FetchListener } from "./listener.ts";

/** `VIADUCT_CACHE`, or `viaduct/vm` in the user's cache folder (XDG Base Directory 0.8). */
export function cacheFolder(): string {
  const own = Deno.env.get("VIADUCT_CACHE");
  // Programs that are run for it have other working directories.
  if (own !== undefined && own !== "") return resolve(own);
  const xdg = Deno.env.get("XDG_CACHE_HOME");
  // The specification says that a relative path is to be ignored.
  if (xdg !== undefined && xdg.startsWith("/")) return join(xdg, "viaduct", "vm");
  const home = Deno.env.get("HOME");
  if (home !== undefined && home !== "") return join(home, ".cache", "viaduct", "vm");
  throw new VmError(
    "Cannot find a cache folder: VIADUCT_CACHE, XDG_CACHE_HOME and HOME are not set",
    "export VIADUCT_CACHE=/a/folder/with/500/MB",
  );
}

/** Makes a folder that others cannot write to, with those above it. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await Deno.mkdir(path, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new VmError(
      `Cannot make the cache folder ${path}: ${(error as Error).message}`,
      "export VIADUCT_CACHE=/a/folder/you/may/write/to",
      { cause: error },
    );
  }
}

/** How often a cache that another process fills is looked at. */
const LOCK_MS = 100;

/**
 * Runs `work` while no other process does so in the same cache.
 * @throws {VmError} when the cache cannot be written to; the signal's reason when it is aborted
 */
export async function withCacheLock<T>(
  cache: string,
  { listener, signal }: {
    readonly listener: FetchListener;
    readonly signal?: AbortSignal | undefined;
  },
  work: () => Promise<T>,
): Promise<T> {
  await makeFolder(cache);
  using file = await Deno.open(join(cache, "lock"), { create: true, write: true })
    .catch((error) => {
      throw cannotWrite(join(cache, "lock"), error);
    });
  if (!await file.tryLock(true)) {
    listener.stage("Waiting for another process that fills the cache");
    // To wait for the lock itself would be to wait for what cannot be broken off.
    do {
      await new Promise((resolve) => setTimeout(resolve, LOCK_MS));
      signal?.throwIfAborted();
    } while (!await file.tryLock(true));
  }
  // Closing the file, which the end of the process does too, gives the lock back.
  return await work();
}

/**
 * Sees that `path` in the cache is there: `make` makes it, whole, when it is not. What is there takes
 * no lock, so that a cache that may only be read serves as well.
 * @throws {VmError}; what `make` throws
 */
export async function ensureKept(
  cache: string,
  path: string,
  options: Parameters<typeof withCacheLock>[1],
  make: () => Promise<void>,
): Promise<void> {
  // First, so that nobody finds it unused in between.
  await markUsed(path);
  if (await exists(path)) return;
  await withCacheLock(cache, options, async () => {
    // Another process may have made it while we waited.
    if (!await exists(path)) await make();
  });
}

/** Writes a file that is there whole or not at all. @throws {VmError} */
export async function writeWhole(path: string, bytes: string | Uint8Array): Promise<void> {
  const draft = `${path}.${crypto.randomUUID()}.part`;
  try {
    if (typeof bytes === "string") await Deno.writeTextFile(draft, bytes);
    else await Deno.writeFile(draft, bytes);
    await Deno.rename(draft, path);
  } catch (error) {
    await Deno.remove(draft).catch(() => {});
    throw cannotWrite(path, error);
  }
}

function cannotWrite(path: string, cause: unknown): VmError {
  return new VmError(
    `Cannot write ${path}: ${(cause as Error).message}`,
    "make 500 MB of room, or `export VIADUCT_CACHE=/a/folder/you/may/write/to`",
    { cause },
  );
}

/**
 * Makes the folder `path` by `fill`, which is given an empty one: it is there whole or not at all.
 * @throws {VmError}; what `fill` throws
 */
export async function makeWhole(
  path: string,
  fill: (folder: string) => Promise<void>,
): Promise<void> {
  const draft = await Deno.makeTempDir({ dir: dirname(path), prefix: "part-" }).catch((error) => {
    throw cannotWrite(path, error);
  });
  try {
    await fill(draft);
    // A package may have brought a date of its own.
    await markUsed(draft);
    await Deno.remove(path, { recursive: true }).catch(() => {});
    await Deno.rename(draft, path);
  } catch (error) {
    await Deno.remove(draft, { recursive: true }).catch(() => {});
    throw error;
  }
}

/** Whether there is such a file or folder. */
export async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    return false;
  }
}

/** Milliseconds after which what nobody used is removed. */
const UNUSED_MS = 30 * 24 * 3600 * 1000;
/** What the cache holds beside its lock and apt's state: names that end in a sum. */
const KEPT = /^(?:qemu|guest|compiler|program|initrd|vmlinux)-[0-9a-f]{16}(?:\.json|\.gz)?$/;
/** What becomes that. The folder may be one where others have drafts of their own. */
const DRAFT = /^part-[0-9a-f]+$|\.[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\.part$/;

/** Notes that something of the cache was used now. */
export async function markUsed(path: string): Promise<void> {
  const now = new Date();
  // A cache that may only be read serves as well.
  await Deno.utime(path, now, now).catch(() => {});
}

/**
 * Removes what processes that were killed have left half made, and what nobody has
 * used for a month. Hold the cache's lock: only its holder makes drafts.
 */
export async function prune(cache: string, now: number = Date.now()): Promise<void> {
  for await (const { name } of Deno.readDir(cache)) {
    const path = join(cache, name);
    const info = await Deno.lstat(path).catch(() => null);
    if (info === null) continue;
    const unused = KEPT.test(name) && now - (info.mtime?.getTime() ?? now) > UNUSED_MS;
    if (unused || DRAFT.test(name)) {
      await Deno.remove(path, { recursive: true }).catch(() => {});
    }
  }
}
