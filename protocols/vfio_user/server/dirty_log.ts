/**
 * Pages that devices have written, over all addresses there are: a client may ask to log everything,
 * and only what is written costs memory.
 * @module
 */

import { PAGE_SIZE } from "../../../core/address.ts";
import { DirtyBitmap } from "../../../core/memory/dirty_bitmap.ts";

/** Bytes of addresses that one piece stands for: 16 MiB, in 512 bytes. */
const PIECE = 0x100_0000;
const PAGES = PIECE / PAGE_SIZE;
/** Pieces that are kept; with more, everything counts as written. */
const MAX_PIECES = 0x4000;

/** As a bitmap of 4 KiB pages from address 0 on, made of pieces as they are needed. */
export class DirtyLog extends DirtyBitmap {
  readonly #pieces = new Map<number, Uint32Array>();
  #everything = false;

  constructor() {
    // The bitmap beneath is not used: what is overridden here is all that touches it.
    super(0, 1);
  }

  override mark(address: number, length: number): void {
    if (length <= 0) return;
    const last = Math.floor((address + length - 1) / PAGE_SIZE);
    for (let page = Math.floor(address / PAGE_SIZE); page <= last; page++) {
      const piece = this.#piece(Math.floor(page / PAGES));
      if (piece === null) return;
      const at = page % PAGES;
      piece[at >>> 5]! |= 1 << (at & 31);
    }
  }

  override isDirty(address: number): boolean {
    if (this.#everything) return true;
    const page = Math.floor(address / PAGE_SIZE);
    const piece = this.#pieces.get(Math.floor(page / PAGES));
    if (piece === undefined) return false;
    const at = page % PAGES;
    return (piece[at >>> 5]! & 1 << (at & 31)) !== 0;
  }

  /** Once everything counts as written, nothing is taken one by one: {@linkcode report} tells. */
  override take(address = 0, length = 2 ** 52): number[] {
    const taken: number[] = [];
    this.#visit(address, address + length - 1, (page) => taken.push(page * PAGE_SIZE));
    this.#clean(address, address + length - 1);
    return taken;
  }

  override clear(): void {
    this.#pieces.clear();
    this.#everything = false;
  }

  /**
   * Sets the bits of `[start, last]` in `bitmap`, one a page of `pageSize` counted from `start`, and
   * forgets the pages of ours that lie wholly in the range.
   */
  report(start: number, last: number, pageSize: number, bitmap: Uint8Array): void {
    if (this.#everything) {
      const bits = Math.floor((last - start) / pageSize) + 1;
      bitmap.fill(0xff, 0, Math.floor(bits / 8));
      if (bits % 8 !== 0) bitmap[Math.floor(bits / 8)] = (1 << bits % 8) - 1;
      return;
    }
    this.#visit(start, last, (page) => {
      const from = Math.max(start, page * PAGE_SIZE) - start;
      const to = Math.min(last, page * PAGE_SIZE + PAGE_SIZE - 1) - start;
      const lastBit = Math.floor(to / pageSize);
      for (let bit = Math.floor(from / pageSize); bit <= lastBit; bit++) {
        bitmap[Math.floor(bit / 8)]! |= 1 << bit % 8;
      }
    });
    this.#clean(start, last);
  }

  /** Calls `visitor` with each page number that is dirty and meets the range, ascending. */
  #visit(start: number, last: number, visitor: (page: number) => void): void {
    const first = Math.floor(start / PAGE_SIZE);
    const end = Math.floor(last / PAGE_SIZE);
    for (const index of this.#indexes(first, end)) {
      const piece = this.#pieces.get(index)!;
      const base = index * PAGES;
      for (let word = 0; word < piece.length; word++) {
        for (let bits = piece[word]!; bits !== 0; bits &= bits - 1) {
          const page = base + word * 32 + 31 - Math.clz32(bits & -bits);
          if (page >= first && page <= end) visitor(page);
        }
      }
    }
  }

  /** Forgets the pages that lie wholly in the range: what a report says of half a page is not all of it. */
  #clean(start: number, last: number): void {
    const first = Math.ceil(start / PAGE_SIZE);
    const end = Math.floor((last + 1) / PAGE_SIZE) - 1;
    for (const index of this.#indexes(first, end)) {
      const piece = this.#pieces.get(index)!;
      const base = index * PAGES;
      if (base >= first && base + PAGES - 1 <= end) {
        this.#pieces.delete(index);
        continue;
      }
      for (let page = Math.max(first, base); page <= Math.min(end, base + PAGES - 1); page++) {
        const at = page - base;
        piece[at >>> 5]! &= ~(1 << (at & 31));
      }
    }
  }

  /** The pieces that meet the pages, ascending; by the pieces there are or by the range, whichever is less. */
  #indexes(first: number, end: number): number[] {
    const low = Math.floor(first / PAGES), high = Math.floor(end / PAGES);
    const found: number[] = [];
    if (high - low < this.#pieces.size) {
      for (let index = low; index <= high; index++) if (this.#pieces.has(index)) found.push(index);
    } else {
      for (const index of this.#pieces.keys()) if (index >= low && index <= high) found.push(index);
      found.sort((a, b) => a - b);
    }
    return found;
  }

  #piece(index: number): Uint32Array | null {
    if (this.#everything) return null;
    let piece = this.#pieces.get(index);
    if (piece !== undefined) return piece;
    if (this.#pieces.size >= MAX_PIECES) {
      this.#everything = true;
      this.#pieces.clear();
      return null;
    }
    piece = new Uint32Array(PAGES / 32);
    this.#pieces.set(index, piece);
    return piece;
  }
}
