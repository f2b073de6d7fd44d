/**
 * A temporary folder that goes with this process, however that ends.
 * @module
 */

import { removeDirectory } from "../via/remove_directory.ts";

/** Stdin ends with the process whose end of it the other is. */
const SCRIPT = `
trap '' INT TERM HUP
read -r word
rm -rf -- "$1"
`;

/** See the module. */
export class OwnFolder {
  readonly path: string;
  readonly #watchdog: Deno.ChildProcess;

  /** Makes it, below the system's folder for such. */
  constructor(prefix: string) {
    this.path = Deno.makeTempDirSync({ prefix });
    try {
      this.#watchdog = new Deno.Command("/bin/sh", {
        args: ["-c", SCRIPT, "sh", this.path],
        // Not the folder of whoever started us: that may have to go as well.
        cwd: "/",
        stdin: "piped",
        stdout: "null",
        stderr: "null",
      }).spawn();
    } catch (error) {
      removeDirectory(this.path);
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
