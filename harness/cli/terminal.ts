/**
 * What the command line writes to: whole texts, at once, whatever is at the
 * other end.
 * @module
 */

import { thrownMessage } from "../../core/thrown.ts";

/** A stream of the process. */
interface Stream {
  writeSync(bytes: Uint8Array): number;
  isTerminal(): boolean;
}

/** Milliseconds between two tries to write to a pipe that is full. */
const FULL_PIPE_MS = 1;

/** Writes text to a stream of this process. What goes wrong there ends no work: it is kept, and told at the end. */
export class Terminal {
  readonly #stream: Stream;
  readonly #encoder = new TextEncoder();
  readonly #pause = new Int32Array(new SharedArrayBuffer(4));
  #open = true;
  #failure: string | null = null;

  constructor(stream: Stream) {
    this.#stream = stream;
  }

  get isTerminal(): boolean {
    return this.#stream.isTerminal();
  }

  /** Why not all was written; null while nothing has gone wrong. A reader that has gone, as `head` does, is no failure. */
  get failure(): string | null {
    return this.#failure;
  }

  /** Whether more can be written: nothing has gone wrong, and its reader has not gone. */
  get isOpen(): boolean {
    return this.#open;
  }

  /** Writes all of `text`, or nothing more once that has failed. */
  write(text: string): void {
    let bytes = this.#encoder.encode(text);
    while (this.#open && bytes.length > 0) {
      try {
        bytes = bytes.subarray(this.#stream.writeSync(bytes));
      } catch (error) {
        // A parent may have made the pipe we share with it non-blocking.
        if (error instanceof Deno.errors.WouldBlock) {
          Atomics.wait(this.#pause, 0, 0, FULL_PIPE_MS);
          continue;
        }
        if (error instanceof Deno.errors.Interrupted) continue;
        this.#open = false;
        if (!(error instanceof Deno.errors.BrokenPipe)) this.#failure = thrownMessage(error);
      }
    }
  }
}
