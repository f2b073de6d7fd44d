/**
 * A child process that cannot outlive us. However this process ends, SIGKILL
 * included, the kernel closes its pipes; a watchdog beside the child waits for
 * just that, ends the child and removes its folder.
 * @module
 */

/**
 * The shell becomes the program, so that our child's process ID is the program's.
 * A line on stdin calls the watchdog off; the end of the pipe means that we are gone.
 */
const SCRIPT = `
folder=$1
shift
# A job in the background is given /dev/null for stdin, so the pipe needs another number.
exec 3<&0
{
  trap '' INT TERM HUP
  exec <&3 3<&- >/dev/null 2>&1
  read -r word || { kill -9 $$; rm -rf -- "$folder"; }
} &
exec "$@" </dev/null 3<&-
`;

/** Characters that are kept of what a program prints: a guest may make it complain for ever. */
const OUTPUT_KEPT = 65536;

/** A running program with its watchdog. */
export class Supervised {
  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  /** What it prints until its end: the last of it, when that is long. */
  readonly output: Promise<string>;
  /** Resolves when it has ended and the watchdog has been called off. */
  readonly ended: Promise<Deno.CommandStatus>;
  #alive = true;

  /** Starts the program. `folder` is removed if we die before it. */
  constructor(
    program: string,
    args: readonly string[],
    options: { readonly folder: string; readonly env: Readonly<Record<string, string>> },
  ) {
    this.#child = new Deno.Command("/bin/sh", {
      args: ["-c", SCRIPT, "sh", options.folder, program, ...args],
      env: { ...options.env },
      stdin: "piped",
      stdout: "null",
      stderr: "piped",
      // What is sent to all of a command, as by Ctrl-C or `timeout`, must not end the watchdog first.
      detached: true,
    }).spawn();
    this.#stdin = this.#child.stdin.getWriter();
    this.output = lastOf(this.#child.stderr);
    this.ended = this.#child.status.then(async (status) => {
      this.#alive = false;
      await this.#stdin.write(new TextEncoder().encode("done\n")).catch(() => {});
      await this.#stdin.close().catch(() => {});
      return status;
    });
  }

  /** The program's process ID. */
  get pid(): number {
    return this.#child.pid;
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** Sends a signal, unless it has ended. */
  kill(signal: Deno.Signal): void {
    try {
      if (this.#alive) this.#child.kill(signal);
    } catch {
      // It has ended by itself.
    }
  }
}

async function lastOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of stream) {
    text = (text + decoder.decode(bytes, { stream: true })).slice(-OUTPUT_KEPT);
  }
  return text;
}
