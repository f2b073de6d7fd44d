/**
 * Copies that stand in for memory that cannot be shown without copying, and how what a device wrote
 * to them gets back.
 *
 * A device that took views for the event-loop turn does not say what it has written to them. So a copy
 * is kept with what it held at first, and the bytes that differ are written back: one that was written
 * with what it held is as if it had been written when the view was made. Memory that may not be read
 * holds anything, so all of its copy is written back. That is done when the turn ends, and before that
 * whenever the driver may look: an interrupt or a reply must not overtake what was written before it.
 *
 * Who holds a pin says what it has written. Exactly that is stored, at once.
 *
 * @module
 */

import type { Status } from "../../../core/address.ts";
import type { Pin } from "../../../core/memory/memory.ts";
import { checkWritten } from "../../../core/memory/ram_pin.ts";
import type { Backing } from "./backing.ts";

/** One copy that a device may write to until the turn ends. */
interface Bounce {
  readonly backing: Backing;
  readonly offset: number;
  readonly view: Uint8Array;
  /** What the memory holds as far as is known; null when that may not be read, and nothing was stored yet. */
  known: Uint8Array | null;
}

/** Bytes of copies that may be out at one time; those of a turn take them twice. */
const MAX_BYTES = 0x400_0000;

/** The copies of one machine. */
export class Bounces {
  readonly #ofTurn: Bounce[] = [];
  readonly #post: (task: () => void) => void;
  #bytes = 0;
  #pins = 0;
  #posted = false;

  /** @param post runs a task at the end of the event-loop turn */
  constructor(post: (task: () => void) => void) {
    this.#post = post;
  }

  /** Copies that are out. */
  get count(): number {
    return this.#ofTurn.length + this.#pins;
  }

  /** Views that devices may write to until the turn ends. */
  get views(): number {
    return this.#ofTurn.length;
  }

  /** Whether copies of `length` more bytes may be made. */
  hasRoom(length: number): boolean {
    return this.#bytes + length <= MAX_BYTES;
  }

  /**
   * Minds `view` until the end of the turn. It shows `backing` from `offset` on: filled with what is
   * there, or empty when that may not be read.
   */
  add(backing: Backing, offset: number, view: Uint8Array): void {
    this.#ofTurn.push({ backing, offset, view, known: backing.readable ? view.slice() : null });
    this.#bytes += view.length;
    if (this.#posted) return;
    this.#posted = true;
    this.#post(() => this.#turnEnded());
  }

  /** Pins `view`. `store` takes to the memory what its holder has written, from an offset of the view on. */
  pin(view: Uint8Array, store: (offset: number, bytes: Uint8Array) => Status): Pin {
    this.#bytes += view.length;
    this.#pins++;
    return new CopyPin(view, store, () => {
      this.#bytes -= view.length;
      this.#pins--;
    });
  }

  /** Forgets the copies of a window that goes away. Nothing is written: nobody may reach it any more. */
  forget(backing: Backing): void {
    for (let i = this.#ofTurn.length - 1; i >= 0; i--) {
      const bounce = this.#ofTurn[i]!;
      if (bounce.backing !== backing) continue;
      this.#bytes -= bounce.view.length;
      this.#ofTurn.splice(i, 1);
    }
  }

  /** Stores what was written to views until now. They stay: the device may write on until the turn ends. */
  settle(): void {
    // Writing waits for the client, whose leaving makes windows go away meanwhile.
    for (const bounce of [...this.#ofTurn]) if (this.#ofTurn.includes(bounce)) writeBack(bounce);
  }

  #turnEnded(): void {
    this.#posted = false;
    for (let bounce = this.#ofTurn.shift(); bounce !== undefined; bounce = this.#ofTurn.shift()) {
      this.#bytes -= bounce.view.length;
      writeBack(bounce);
    }
  }
}

/** A copy that its holder keeps. */
class CopyPin implements Pin {
  readonly revoked = false;
  onRevoke: (() => void) | null = null;
  readonly slices: readonly Uint8Array[];
  readonly #store: (offset: number, bytes: Uint8Array) => Status;
  #released: (() => void) | null;

  constructor(
    view: Uint8Array,
    store: (offset: number, bytes: Uint8Array) => Status,
    released: () => void,
  ) {
    this.slices = [view];
    this.#store = store;
    this.#released = released;
  }

  get length(): number {
    return this.slices[0]!.length;
  }

  wrote(offset: number, length: number): Status {
    checkWritten(this.length, this.#released !== null, offset, length);
    if (length === 0) return 0;
    return this.#store(offset, this.slices[0]!.subarray(offset, offset + length));
  }

  release(): void {
    const released = this.#released;
    this.#released = null;
    released?.();
  }
}

/** Writes back what differs from what is there. What fails is the memory's fault, and lost with it. */
function writeBack(bounce: Bounce): void {
  const { backing, offset, view } = bounce;
  const { known } = bounce;
  // Taken before it is sent: what a device writes while it is waited for is a change of its own.
  bounce.known = view.slice();
  const stored = bounce.known;
  if (known === null) {
    backing.write(offset, stored);
    return;
  }
  for (let at = 0; at < stored.length;) {
    if (stored[at] === known[at]) {
      at++;
      continue;
    }
    const start = at;
    while (at < stored.length && stored[at] !== known[at]) at++;
    backing.write(offset + start, stored.subarray(start, at));
  }
}
