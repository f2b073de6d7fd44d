/**
 * Files that results go to, opened before the first run: a path that cannot be
 * written must not cost anyone the results of a long one.
 * @module
 */

import { resolve } from "@std/path";
import { UsageError } from "./usage_error.ts";

/** Opens each file that was asked for. @throws {UsageError} that names the flag and the reason */
export function openOutputs<Flag extends string>(
  paths: { readonly [F in Flag]: string | null },
): { readonly [F in Flag]: Deno.FsFile | null } {
  const flags = new Map<string, Flag>();
  for (const flag in paths) {
    const path = paths[flag];
    if (path === null) continue;
    const other = flags.get(resolve(path));
    if (other !== undefined) {
      throw new UsageError(
        `Cannot write --${flag} ${path}: --${other} writes to the same file; name another`,
      );
    }
    flags.set(resolve(path), flag);
  }
  const files = {} as { [F in Flag]: Deno.FsFile | null };
  for (const flag in paths) {
    const path = paths[flag];
    files[flag] = null;
    if (path === null) continue;
    try {
      files[flag] = Deno.openSync(path, { write: true, create: true });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new UsageError(
        `Cannot write --${flag} ${path}: ${reason}; name a file in a folder that is there and ` +
          `can be written`,
      );
    }
  }
  return files;
}

/** Replaces what the file held by `text`, and closes it. */
export function writeOutput(file: Deno.FsFile, text: string): void {
  file.truncateSync(0);
  let bytes = new TextEncoder().encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(file.writeSync(bytes));
  file.close();
}
