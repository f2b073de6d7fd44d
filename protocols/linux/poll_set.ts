/**
 * The descriptors that one thread watches, as ppoll(2) wants them, and whom to call.
 * Additions and removals are safe at any time, also from within a handler.
 * @module
 */

import { type Pointer, pointerOf, ppoll, stable } from "./libc.ts";

/** Gets the events that are there: POLLIN, POLLOUT, POLLHUP, POLLERR, POLLNVAL; 0 after `again()`. */
export type ReadyHandler = (events: number) => void;

/** Something that is watched. */
export interface Registration {
  /** Changes what is watched: POLLIN, POLLOUT, both, or 0 for hang-ups and errors alone. */
  watch(events: number): void;
  /**
   * Calls the handler in the next turn also if nothing is ready then, with 0 for its
   * events: for one that stops early in fairness to the others.
   */
  again(): void;
  /**
   * The handler is not called any more, not even in this turn. Idempotent. To be called
   * before the descriptor is closed.
   */
  remove(): void;
}

class Source implements Registration {
  slot: number;
  repeat = false;

  constructor(readonly set: PollSet, slot: number, readonly handler: ReadyHandler) {
    this.slot = slot;
  }

  watch(events: number): void {
    if (this.slot >= 0) this.set.watch(this.slot, events);
  }

  again(): void {
    if (this.slot < 0 || this.repeat) return;
    this.repeat = true;
    this.set.repeats++;
  }

  remove(): void {
    if (this.slot < 0) return;
    if (this.repeat) this.set.repeats--;
    this.repeat = false;
    this.set.remove(this.slot);
    this.slot = -1;
  }
}

/** See the module. */
export class PollSet {
  /** struct pollfd, two words each: the descriptor; events, and what is there above them. */
  #words = new Int32Array(stable(32 * 8));
  #pointer = pointerOf(this.#words);
  readonly #sources: (Source | null)[] = [];
  #removed = 0;
  #first = 0;

  /** How many handlers are due although nothing may be ready. Kept by the registrations. */
  repeats = 0;

  /** Descriptors watched. */
  get size(): number {
    return this.#sources.length - this.#removed;
  }

  /** Watches `fd`, which stays the caller's. It may be watched more than once. */
  add(fd: number, events: number, handler: ReadyHandler): Registration {
    const slot = this.#sources.length;
    if (2 * slot === this.#words.length) {
      const larger = new Int32Array(stable(2 * this.#words.byteLength));
      larger.set(this.#words);
      this.#words = larger;
      this.#pointer = pointerOf(larger);
    }
    const source = new Source(this, slot, handler);
    this.#sources.push(source);
    this.#words[2 * slot] = fd;
    this.#words[2 * slot + 1] = events;
    return source;
  }

  /** For registrations. Keeps what is known to be there. */
  watch(slot: number, events: number): void {
    const word = 2 * slot + 1;
    this.#words[word] = ((this.#words[word] as number) & ~0xffff) | events;
  }

  /** For registrations. The slot goes when no handler runs. */
  remove(slot: number): void {
    this.#sources[slot] = null;
    // ppoll(2) skips negative descriptors.
    this.#words[2 * slot] = -1;
    this.#removed++;
  }

  /** ppoll(2): how many are ready, or `-errno`. */
  poll(timeout: Pointer): number {
    if (this.#removed > 0) this.#compact();
    return ppoll(this.#pointer, this.#sources.length, timeout);
  }

  /** What a poll on another thread can work on while this set changes. */
  snapshot(): { words: Int32Array<ArrayBuffer>; count: number } {
    if (this.#removed > 0) this.#compact();
    const words = new Int32Array(stable(this.#words.byteLength));
    words.set(this.#words);
    return { words, count: this.#sources.length };
  }

  /**
   * Calls each handler that the last poll found ready, or that asked to be called again,
   * once; a different one first each time, until `stopped()`. Handlers added meanwhile
   * wait for the next turn. `failed` gets what a handler throws.
   */
  dispatch(stopped: () => boolean, failed: (error: unknown) => void): void {
    const count = this.#sources.length;
    if (count === 0) return;
    const first = this.#first < count ? this.#first : 0;
    this.#first = first + 1;
    for (let i = 0; i < count; i++) {
      const slot = first + i < count ? first + i : first + i - count;
      const events = (this.#words[2 * slot + 1] as number) >>> 16;
      const source = this.#sources[slot];
      if (source === null || source === undefined) continue;
      if (source.repeat) {
        // A repeat that was asked for in this very dispatch belongs to the next turn:
        // every slot is passed once, so that it cannot come round again here.
        source.repeat = false;
        this.repeats--;
      } else if (events === 0) continue;
      this.#words[2 * slot + 1] = (this.#words[2 * slot + 1] as number) & 0xffff;
      try {
        source.handler(events);
      } catch (error) {
        failed(error);
      }
      if (stopped()) return;
    }
  }

  #compact(): void {
    let to = 0;
    const sources = this.#sources;
    for (let from = 0; from < sources.length; from++) {
      const source = sources[from];
      if (source === null || source === undefined) continue;
      source.slot = to;
      sources[to] = source;
      this.#words[2 * to] = this.#words[2 * from] as number;
      this.#words[2 * to + 1] = this.#words[2 * from + 1] as number;
      to++;
    }
    sources.length = to;
    this.#removed = 0;
  }
}
