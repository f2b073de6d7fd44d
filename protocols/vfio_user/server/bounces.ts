/**
 * Copies that stand in for memory that cannot be shown without copying, and how what a device wrote
 * to them gets back.
 *
 * A device that asked for views writes to them whenever it likes, and says so only when it releases a
 * pin. So a copy is kept with what it held at first, and what differs is written back: at the end of
 * the event-loop turn in which it was made, for views that are valid no longer than that, and when
 * its pin is released. Where the memory could not be read before, what it held is not known: then the
 * bytes that are not 0 are written back at first, and all of them when the pin is released.
 *
 * @module
 */

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

  /** Minds `view`, which shows `backing` from `offset` on, at `gpa`. */
  add(gpa: number, backing: Backing, offset: number, view: Uint8Array): void {
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
      if (bounce.backing.readable) writeBack(bounce);
      else bounce.backing.write(bounce.offset, bounce.view);
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
  for (let at = 0; at < view.length; at++) {
    if (view[at] === known[at]) continue;
    const start = at;
    let end = at + 1;
    for (at = end; at < view.length && at - end < GAP; at++) {
      if (view[at] !== known[at]) end = at + 1;
    }
    const run = view.slice(start, end);
    backing.write(offset + start, run);
    known.set(run, start);
  }
}
