/**
 * `packages.lock`: the packages we have tried, with their sums. One a line:
 * component, name, version, architecture and SHA-256 sum.
 * @module
 */

/** One package of Debian's archive. */
export interface PackagePin {
  readonly name: string;
  readonly version: string;
  readonly architecture: "amd64" | "all";
  /** Of the `.deb` file, in lower-case hexadecimal. */
  readonly sha256: string;
}

/** The pins of each component, ascending by name. */
export type PackageLock = Readonly<Record<string, readonly PackagePin[]>>;

/** Where the lock of this checkout is. */
const LOCK_URL = new URL("../packages.lock", import.meta.url);

const HEADER = "# Written by fetch/update_lock.ts: component, package, version, architecture, " +
  "SHA-256 sum of its file.\n";
/** Nothing here can be taken for an option, or for a path. */
const LINE =
  /^([a-z]+) ([a-z0-9][a-z0-9+.-]+) ([A-Za-z0-9][A-Za-z0-9.+:~-]*) (amd64|all) ([0-9a-f]{64})$/;

/** Reads the text of a lock. @throws {Error} naming the line that is none */
export function parseLock(text: string): PackageLock {
  const lock: { [component: string]: PackagePin[] } = {};
  for (const [i, line] of text.split("\n").entries()) {
    if (line === "" || line.startsWith("#")) continue;
    const match = LINE.exec(line);
    if (match === null) {
      throw new Error(`Cannot read line ${i + 1} of packages.lock: ${JSON.stringify(line)}`);
    }
    const [, component, name, version, architecture, sha256] = match;
    (lock[component!] ??= []).push({
      name: name!,
      version: version!,
      architecture: architecture as "amd64" | "all",
      sha256: sha256!,
    });
  }
  return lock;
}

/** The text of a lock. */
export function formatLock(lock: PackageLock): string {
  const lines = Object.entries(lock).flatMap(([component, pins]) =>
    pins.map((pin) =>
      [component, pin.name, pin.version, pin.architecture, pin.sha256].join(" ") + "\n"
    )
  );
  return HEADER + lines.join("");
}

/** The lock of this checkout. */
export async function readLock(): Promise<PackageLock> {
  return parseLock(await Deno.readTextFile(LOCK_URL));
}

/** Replaces the lock of this checkout. */
export async function writeLock(lock: PackageLock): Promise<void> {
  await Deno.writeTextFile(LOCK_URL, formatLock(lock));
}
