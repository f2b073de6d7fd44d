/**
 * Gives the large buffers of calm connections back: the memory of many connections is bounded by what
 * they transfer, and not by what they have transferred once.
 * @module
 */

import type { Clock, Timer } from "../../core/observe/clock.ts";
import { FIRST_BUFFER, type UnixStream } from "./unix_stream.ts";

/**
 * Milliseconds between two looks. A connection that has needed no more than {@linkcode FIRST_BUFFER}
 * from one look to the next is calm, so a long message's buffer is gone at most twice that after it.
 */
export const CALM_MS = 1000;

/** Looks after one stream. No timer runs while its buffer is as small as it was at first. */
export class CalmBuffer {
  readonly #clock: Clock;
  readonly #stream: UnixStream;
  #timer: Timer | null = null;

  /** @param stream nobody may hold on to its bytes when a task of `clock` runs */
  constructor(clock: Clock, stream: UnixStream) {
    this.#clock = clock;
    this.#stream = stream;
  }

  /** To be called when something has arrived. */
  watch(): void {
    if (this.#timer !== null || this.#stream.capacity <= FIRST_BUFFER) return;
    this.#timer = this.#clock.defer(CALM_MS, () => {
      this.#timer = null;
      if (!this.#stream.shrink()) this.watch();
    });
  }

  /** Looks no more. Idempotent. */
  cancel(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }
}
