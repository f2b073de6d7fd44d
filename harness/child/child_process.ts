/**
 * The runner's end of one child process (`child.ts`).
 * @module
 */

import { ChildLines } from "./child_lines.ts";
import type { ChildMessage, ParentMessage } from "./child_protocol.ts";
import { parseChildMessage } from "./child_schema.ts";
import { denoArguments, exitName } from "./deno_process.ts";

/** Milliseconds that the streams of a dead child may stay open: a grandchild can hold them. */
const DRAIN_MS = 200;

/** What a child tells whoever uses it now. */
export interface ChildListener {
  message(message: ChildMessage): void;
  /** Output past the protocol. */
  text(stream: "stdout" | "stderr", text: string): void;
  /** All that was printed on stderr before the end of the run has been given. */
  stderrMark(): void;
  /** A line that carries the nonce and is no message. */
  garbled(line: string): void;
  /** The process has ended, and its output has been given. */
  exited(how: string): void;
}

/** One child process. It outlives runs, and dies with this process. */
export class ChildProcess {
  /** Gets what the child says; nobody while null. */
  listener: ChildListener | null = null;
  readonly #process: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #encoder = new TextEncoder();
  /** Resolves once the process has ended and its output has been given. */
  readonly ended: Promise<void>;
  #alive = true;

  /** Starts the process and greets it. Its first message is `ready`. */
  constructor() {
    const nonce = crypto.randomUUID();
    this.#process = new Deno.Command(Deno.execPath(), {
      args: denoArguments(import.meta.resolve("./child.ts")),
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      // Stacks and inspected values go into reports, which no terminal may read.
      env: { NO_COLOR: "1" },
    }).spawn();
    this.#stdin = this.#process.stdin.getWriter();
    const gone = new AbortController();
    const outputs = Promise.all([
      this.#read(
        this.#process.stdout,
        gone.signal,
        new ChildLines(
          nonce,
          (line) => {
            const message = parseChildMessage(line);
            if (message === null) this.listener?.garbled(line);
            else this.listener?.message(message);
          },
          (text) => this.listener?.text("stdout", text),
        ),
      ),
      this.#read(
        this.#process.stderr,
        gone.signal,
        new ChildLines(
          nonce,
          () => this.listener?.stderrMark(),
          (text) => this.listener?.text("stderr", text),
        ),
      ),
    ]);
    this.ended = this.#process.status.then(async (status) => {
      this.#alive = false;
      const timer = setTimeout(() => gone.abort(), DRAIN_MS);
      await outputs;
      clearTimeout(timer);
      // The pipe's other end is gone; closing it may say so.
      await this.#stdin.close().catch(() => {});
      this.listener?.exited(exitName(status));
    });
    this.send({ kind: "hello", nonce });
  }

  get alive(): boolean {
    return this.#alive;
  }

  send(message: ParentMessage): void {
    // A child that is gone says so through `exited`, not through this write.
    this.#stdin.write(this.#encoder.encode(JSON.stringify(message) + "\n")).catch(() => {});
  }

  /** Ends the process at once, whatever it is doing. */
  kill(): void {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
  }

  async #read(
    stream: ReadableStream<Uint8Array>,
    gone: AbortSignal,
    lines: ChildLines,
  ): Promise<void> {
    const reader = stream.getReader();
    const cancel = () => void reader.cancel().catch(() => {});
    gone.addEventListener("abort", cancel);
    // Where reading fails it was cancelled, or the pipe broke: what was read stands.
    const next = () => reader.read().catch(() => ({ done: true, value: undefined }));
    for (let { value } = await next(); value !== undefined; { value } = await next()) {
      lines.push(value);
    }
    gone.removeEventListener("abort", cancel);
    lines.end();
  }
}
