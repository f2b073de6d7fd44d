/**
 * Which pages were written: one bit a page, set and fetched atomically, so that
 * a writer in another thread is never lost between fetch and clear.
 * @module
 */

import { hexRange, isRange, PAGE_SIZE } from "../address.ts";

/** Bits over the range [start, start + length) of any address kind. */
export class DirtyBitmap {
  /** First address covered. */
  readonly start: number;
  /** Bytes covered. */
  readonly length: number;
  /** Bytes a bit stands for. */
  readonly pageSize: number;
  readonly #pages: number;
  readonly #words: Int32Array;

  /**
   * `start` a multiple of `pageSize`, `length` at least 1 and at most 2^32 pages; a
   * page that is covered in part has its bit. @throws {RangeError}
   */
  constructor(start: number, length: number, pageSize: number = PAGE_SIZE) {
    if (!isRange(start, length) || length < 1 || start % pageSize !== 0) {
      throw new RangeError(
        `Cannot track ${length} bytes at ${start} by pages of ${pageSize} bytes: ` +
          `the start must be a multiple of a page, the length at least 1, both ends in 0..2^52-1`,
      );
    }
    // Bit operations keep 32 bits of a page number.
    if (length > 2 ** 32 * pageSize) {
      throw new RangeError(
        `Cannot track ${hexRange(start, length)} by pages of ${pageSize} bytes: ` +
          `a bitmap has at most 2^32 pages`,
      );
    }
    this.start = start;
    this.length = length;
    this.pageSize = pageSize;
    this.#pages = Math.ceil(length / pageSize);
    this.#words = new Int32Array(new SharedArrayBuffer(Math.ceil(this.#pages / 32) * 4));
  }

  /** Marks each page that [address, address + length) touches. What lies outside is no concern of this bitmap. */
  mark(address: number, length: number): void {
    if (length <= 0) return;
    const first = Math.max(0, Math.floor((address - this.start) / this.pageSize));
    const last = Math.min(
      this.#pages - 1,
      Math.floor((address + length - 1 - this.start) / this.pageSize),
    );
    for (let page = first; page <= last; page++) {
      // Always the atomic form, also when the bit looks set: it is the fence that keeps
      // the bytes just written from becoming visible after a fetch that cleared the bit.
      Atomics.or(this.#words, page >>> 5, 1 << (page & 31));
    }
  }

  /** Whether the page of `address` is marked. */
  isDirty(address: number): boolean {
    const page = Math.floor((address - this.start) / this.pageSize);
    if (page < 0 || page >= this.#pages) return false;
    return (Atomics.load(this.#words, page >>> 5) & (1 << (page & 31))) !== 0;
  }

  /** How many pages are marked. Looks only; with a writer at work, about how many. */
  get count(): number {
    let count = 0;
    for (let word = 0; word < this.#words.length; word++) {
      let bits = Atomics.load(this.#words, word);
      // Bits of the whole word by pairs, fours, bytes, and their sum.
      bits -= (bits >>> 1) & 0x5555_5555;
      bits = (bits & 0x3333_3333) + ((bits >>> 2) & 0x3333_3333);
      count += Math.imul((bits + (bits >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
    }
    return count;
  }

  /** Start addresses of the marked pages that meet the range, ascending; the marks are gone in the same instant. */
  take(address: number = this.start, length: number = this.length): number[] {
    const taken: number[] = [];
    if (length <= 0) return taken;
    const first = Math.max(0, Math.floor((address - this.start) / this.pageSize));
    const last = Math.min(
      this.#pages - 1,
      Math.floor((address + length - 1 - this.start) / this.pageSize),
    );
    for (let word = first >>> 5; first <= last && word <= last >>> 5; word++) {
      let mask = -1;
      if (word === first >>> 5) mask &= -1 << (first & 31);
      if (word === last >>> 5) mask &= -1 >>> (31 - (last & 31));
      let bits = Atomics.and(this.#words, word, ~mask) & mask;
      while (bits !== 0) {
        const bit = 31 - Math.clz32(bits & -bits);
        taken.push(this.start + (word * 32 + bit) * this.pageSize);
        bits &= bits - 1;
      }
    }
    return taken;
  }

  /** Clears every mark. */
  clear(): void {
    for (let word = 0; word < this.#words.length; word++) Atomics.store(this.#words, word, 0);
  }
}
