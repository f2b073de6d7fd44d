/**
 * A temporary folder that goes with this process, however that ends.
 * @module
 */

import { tmpdir } from "node:os";
import { resolve } from "@std/path";
import { removeDirectory } from "./remove_directory.ts";

/** Stdin ends with the process whose end of it the other is. */
const SCRIPT = `
read -r word
rm -rf -- "$1"
`;

/** See the module. */
export class OwnFolder {
  readonly path: string;
  readonly #watchdog: Deno.ChildProcess;

  /** Makes it, below the system's folder for such, for this user alone. @throws {Error} when it cannot */
  constructor(prefix: string) {
    this.path = resolve(tmpdir(), prefix + crypto.randomUUID().replaceAll("-", "").slice(-16));
    // Before there is a folder: what ends us in between would leave one behind.
    this.#watchdog = new Deno.Command("/bin/sh", {
      args: ["-c", SCRIPT, "sh", this.path],
      // Not the folder of whoever started us: that may have to go as well.
      cwd: "/",
      stdin: "piped",
      stdout: "null",
      stderr: "null",
      // What a terminal sends to all of a command, as with Ctrl-C, must not end the watchdog first.
      detached: true,
    }).spawn();
    try {
      Deno.mkdirSync(this.path, { mode: 0o700 });
    } catch (error) {
      // Whoever has a folder of this name keeps it.
      this.#watchdog.kill("SIGKILL");
      throw error;
    }
  }

  /** Removes it with all that is in it, at once. Idempotent. */
  remove(): void {
    removeDirectory(this.path);
  }

  /** Removes it, and resolves when nothing watches it any more. */
  async close(): Promise<void> {
    this.remove();
    await this.#watchdog.stdin.close().catch(() => {});
    await this.#watchdog.status;
  }
}
