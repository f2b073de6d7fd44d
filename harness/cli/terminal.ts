/**
 * What the command line writes to: whole texts, at once, whatever is at the
 * other end.
 * @module
 */

/** A stream of the process. */
interface Stream {
  writeSync(bytes: Uint8Array): number;
  isTerminal(): boolean;
}

/** Milliseconds between two tries to write to a pipe that is full. */
const FULL_PIPE_MS = 1;

/** Writes text to a stream of this process. */
export class Terminal {
  readonly #stream: Stream;
  readonly #encoder = new TextEncoder();
  readonly #pause = new Int32Array(new SharedArrayBuffer(4));
  #open = true;

  constructor(stream: Stream) {
    this.#stream = stream;
  }

  get isTerminal(): boolean {
    return this.#stream.isTerminal();
  }

  /** Writes all of `text`. A reader that has gone, as `head` does, is no error. */
  write(text: string): void {
    let bytes = this.#encoder.encode(text);
    while (this.#open && bytes.length > 0) {
      try {
        bytes = bytes.subarray(this.#stream.writeSync(bytes));
      } catch (error) {
        if (error instanceof Deno.errors.BrokenPipe) this.#open = false;
        // A parent may have made the pipe we share with it non-blocking.
        else if (error instanceof Deno.errors.WouldBlock) {
          Atomics.wait(this.#pause, 0, 0, FULL_PIPE_MS);
        } else throw error;
      }
    }
  }
}
