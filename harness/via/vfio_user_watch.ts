/**
 * Ends a server process with the process that started it: stdin ends then. In a thread of its
 * own, since a device may keep the other one busy for ever. The worker's name is the directory
 * of the process's sockets.
 * @module
 */

import { removeDirectory } from "./remove_directory.ts";

const chunk = new Uint8Array(64);
for (;;) {
  let length: number | null;
  try {
    length = Deno.stdin.readSync(chunk);
  } catch {
    length = null;
  }
  if (length !== null) continue;
  removeDirectory(self.name);
  // Deno.exit() would end this worker alone.
  Deno.kill(Deno.pid, "SIGKILL");
  break;
}
