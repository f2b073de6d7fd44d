/**
 * A process that carries out commands: a line each on its stdin, answered by a line.
 * @module
 */

/** Last lines of what a process printed on stderr that an error tells. */
const LINES_KEPT = 20;
/** Milliseconds that an answer may take, and the end of a process: beyond that it hangs. */
const ANSWER_MS = 60_000;
const END_MS = 5_000;

/** Owns one process, which ends when its stdin does. */
export class LineProcess implements AsyncDisposable {
  readonly #name: string;
  readonly #process: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #lines: AsyncGenerator<string, void>;
  readonly #errors: Promise<string>;
  #disposed = false;

  /** Starts `command`. `name` is for error messages. */
  constructor(name: string, command: string, args: readonly string[]) {
    this.#name = name;
    this.#process = new Deno.Command(command, {
      args: [...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      env: { NO_COLOR: "1" },
    }).spawn();
    this.#input = this.#process.stdin.getWriter();
    this.#lines = linesOf(this.#process.stdout);
    this.#errors = new Response(this.#process.stderr).text();
  }

  /**
   * The next line that it prints by itself. One that takes a minute is ended.
   * @throws {Error} with what it said when it ends instead
   */
  async line(): Promise<string> {
    const { value, done } = await this.#unlessStuck(ANSWER_MS, () => this.#lines.next());
    if (done !== true) return value;
    const said = (await this.#errors).trimEnd().split("\n").slice(-LINES_KEPT).join("\n");
    throw new Error(`${this.#name} has ended: ${said}`);
  }

  /** Has a command carried out. @returns the answer @throws {Error} when it fails, or the process ends */
  async ask(command: string): Promise<string> {
    try {
      await this.#input.write(new TextEncoder().encode(command + "\n"));
    } catch {
      // It has ended; reading says how.
    }
    const answer = await this.line();
    if (answer.startsWith("error: ")) {
      throw new Error(`${this.#name} cannot do ${command}: ${answer.slice("error: ".length)}`);
    }
    return answer;
  }

  /** As {@linkcode ask}, for answers that are numbers. */
  async measure(command: string): Promise<number> {
    const value = Number(await this.ask(command));
    if (Number.isNaN(value)) throw new Error(`${this.#name} answered no number to ${command}`);
    return value;
  }

  /** Closes its stdin, and waits until it has ended. Idempotent. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    await this.#input.close().catch(() => {});
    await this.#unlessStuck(END_MS, async () => {
      for await (const _ of this.#lines) { /* What nobody asked for. */ }
      await this.#errors;
      await this.#process.status;
    });
  }

  /** Waits for `body`, which ends when the process does: for one that hangs, that is seen to. */
  async #unlessStuck<T>(limitMs: number, body: () => Promise<T>): Promise<T> {
    const timer = setTimeout(() => {
      try {
        this.#process.kill("SIGKILL");
      } catch {
        // It has ended.
      }
    }, limitMs);
    try {
      return await body();
    } finally {
      clearTimeout(timer);
    }
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  let text = "";
  for await (const chunk of stream.pipeThrough(new TextDecoderStream() as ReadableWritablePair)) {
    text += chunk;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      yield text.slice(0, end);
      text = text.slice(end + 1);
    }
  }
}
