/**
 * Copies that stand in for memory that cannot be shown without copying, and how what a device wrote
 * to them gets back.
 *
 * A device that asked for views writes to them whenever it likes, and says so only when it releases a
 * pin. So a copy is kept with what it held at first, and what differs is written back: at the end of
 * the event-loop turn in which it was made, for views that are valid no longer than that, and when
 * its pin is released.
 *
 * Memory that may not be read is stood in for by noise. A byte that is written has, one time in 256,
 * the value that was there, so the {@linkcode MARGIN} bytes on either side of what differs are written
 * back too: a device loses nothing that it has written (once in 2^32 ends of what it writes, for random
 * data), and the memory keeps what it held, but for so few bytes beside.
 *
 * @module
 */

import { PAGE_SIZE } from "../../../core/address.ts";
import type { Backing } from "./backing.ts";

/** One copy that a device may write to. */
interface Bounce {
  readonly gpa: number;
  readonly backing: Backing;
  readonly offset: number;
  readonly view: Uint8Array;
  /** What the memory holds as far as is known. */
  readonly known: Uint8Array;
}

/** Bytes of copies that may be out at one time; each takes them twice. */
const MAX_BYTES = 0x400_0000;
/**
 * Equal bytes between two that differ that are taken for written as well: a device that wrote on both
 * sides of so few has most likely written them with what they held.
 */
const GAP = 64;
/** Bytes beside those that differ that may have been written, where what they held is not known. */
const MARGIN = 3;
/** What stands for memory that may not be read, at its offset modulo the length. */
const NOISE = makeNoise(PAGE_SIZE);

/** The copies of one machine. */
export class Bounces {
  readonly #all: Bounce[] = [];
  readonly #post: (task: () => void) => void;
  readonly #pinned: () => boolean;
  #bytes = 0;
  #posted = false;

  /**
   * @param post runs a task at the end of the event-loop turn
   * @param pinned whether any device holds a pin
   */
  constructor(post: (task: () => void) => void, pinned: () => boolean) {
    this.#post = post;
    this.#pinned = pinned;
  }

  /** Copies that are out. */
  get count(): number {
    return this.#all.length;
  }

  /** Whether copies of `length` more bytes may be made. */
  hasRoom(length: number): boolean {
    return this.#bytes + length <= MAX_BYTES;
  }

  /**
   * Minds `view`, which shows `backing` from `offset` on, at `gpa`: filled with what is there, or
   * empty when that may not be read.
   */
  add(gpa: number, backing: Backing, offset: number, view: Uint8Array): void {
    if (!backing.readable) {
      for (let at = 0; at < view.length; at++) view[at] = NOISE[(offset + at) % PAGE_SIZE]!;
    }
    this.#all.push({ gpa, backing, offset, view, known: view.slice() });
    this.#bytes += view.length;
    if (this.#posted) return;
    this.#posted = true;
    this.#post(() => this.#turnEnded());
  }

  /** A pin of `length` bytes at `gpa` has been released. */
  released(gpa: number, length: number): void {
    for (let i = this.#all.length - 1; i >= 0; i--) {
      const bounce = this.#all[i]!;
      if (bounce.gpa !== gpa || bounce.view.length !== length) continue;
      this.#drop(i);
      writeBack(bounce);
      return;
    }
  }

  /** Writes back what devices have written until now to copies that they go on to use. */
  writeBack(): void {
    for (const bounce of [...this.#all]) writeBack(bounce);
  }

  /** Forgets the copies of a window that goes away. Nothing is written: nobody may reach it any more. */
  forget(backing: Backing): void {
    for (let i = this.#all.length - 1; i >= 0; i--) {
      if (this.#all[i]!.backing === backing) this.#drop(i);
    }
  }

  #turnEnded(): void {
    this.#posted = false;
    for (const bounce of [...this.#all]) writeBack(bounce);
    // Without any pin, all that is left were views of a turn that is over.
    if (!this.#pinned()) {
      this.#all.length = 0;
      this.#bytes = 0;
    }
  }

  #drop(index: number): void {
    this.#bytes -= this.#all[index]!.view.length;
    this.#all.splice(index, 1);
  }
}

/** Writes back what differs, and remembers it. What fails is the memory's fault, and lost with it. */
function writeBack({ backing, offset, view, known }: Bounce): void {
  const margin = backing.readable ? 0 : MARGIN;
  const gap = backing.readable ? GAP : 2 * MARGIN;
  for (let at = 0; at < view.length;) {
    if (view[at] === known[at]) {
      at++;
      continue;
    }
    const start = Math.max(0, at - margin);
    let end = at + 1;
    for (at = end; at < view.length && at - end < gap; at++) {
      if (view[at] !== known[at]) end = at + 1;
    }
    end = Math.min(view.length, end + margin);
    const run = view.slice(start, end);
    backing.write(offset + start, run);
    known.set(run, start);
  }
}

/** The same bytes every time, so that runs repeat: xorshift32. */
function makeNoise(length: number): Uint8Array {
  let state = 0x9e37_79b9;
  return Uint8Array.from({ length }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 24;
  });
}
