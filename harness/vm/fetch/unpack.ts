/**
 * Unpacks Debian packages into a folder. No script of theirs is run.
 * @module
 */

import { join } from "@std/path";
import { VmError } from "../vm_error.ts";
import { runCommand } from "./command.ts";
import type { FetchOptions } from "./fetch.ts";

/** Unpacks `files` one over the other. @throws {VmError} */
export async function unpack(
  files: readonly string[],
  folder: string,
  { listener, signal }: Pick<FetchOptions, "listener" | "signal">,
): Promise<void> {
  for (const [done, file] of files.entries()) {
    listener.progress(done / files.length);
    const result = await runCommand("dpkg-deb", ["-x", file, folder], { signal });
    if (result === null) throw new VmError("Cannot run dpkg-deb", "`apt-get install dpkg` as root");
    if (result.code !== 0) {
      throw new VmError(
        `Cannot unpack ${file}: ${firstLines(result.stderr)}`,
        "make 500 MB of room, or `export VIADUCT_CACHE=/a/folder/with/room`",
      );
    }
  }
  // The first package has set the mode of the folder itself.
  await Deno.chmod(folder, 0o755);
  await dropPrivileges(folder);
}

/** Lines of what dpkg-deb complains of: on a full disk that is each file of a package. */
const COMPLAINTS = 3;

function firstLines(text: string): string {
  const lines = text.trim().split("\n");
  const more = lines.length - COMPLAINTS;
  return [...lines.slice(0, COMPLAINTS), ...more > 0 ? [`(${more} more lines)`] : []].join("\n");
}

/** A cache is no place for programs that run as someone else. */
async function dropPrivileges(folder: string): Promise<void> {
  for await (const entry of Deno.readDir(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory) await dropPrivileges(path);
    if (entry.isSymlink) continue;
    const mode = (await Deno.lstat(path)).mode ?? 0;
    if ((mode & 0o6000) !== 0) await Deno.chmod(path, mode & 0o777);
  }
}
