/**
 * Who owns which page of guest RAM: single pages in shuffled order, so that
 * buffers are scattered, and runs of pages that follow each other.
 * @module
 */

import { type Gpa, hex, PAGE_SIZE } from "../../core/address.ts";
import type { Random } from "../random.ts";

/** A piece of RAM to allocate from. Whole pages. */
export interface RamRange {
  readonly start: Gpa;
  readonly length: number;
}

/** Pages of the guest's RAM. Never takes one back: a run ends before RAM does. */
export class PageAllocator {
  /** All pages, shuffled. Those taken in one piece are passed over. */
  readonly #order: Gpa[];
  #next = 0;
  readonly #taken = new Set<number>();
  readonly #ranges: readonly RamRange[];

  constructor(ranges: readonly RamRange[], random: Random) {
    this.#ranges = ranges;
    const order: Gpa[] = [];
    for (const { start, length } of ranges) {
      for (let at = 0; at < length; at += PAGE_SIZE) order.push(start + at as Gpa);
    }
    this.#order = random.shuffle(order);
  }

  /** Pages that are free. */
  get free(): number {
    return this.#order.length - this.#taken.size;
  }

  /** @throws {Error} when fewer are free, and then none is taken */
  pages(count: number): Gpa[] {
    if (!Number.isSafeInteger(count) || count < 0) {
      throw new RangeError(`Cannot allocate ${count} pages: want an integer of at least 0`);
    }
    if (count > this.free) {
      throw new Error(
        `Cannot allocate ${count} pages: ${this.free} of ${this.#order.length} are free, ` +
          `ask for more with memoryMib`,
      );
    }
    const pages: Gpa[] = [];
    while (pages.length < count) {
      const page = this.#order[this.#next++]!;
      if (this.#taken.has(page)) continue;
      this.#taken.add(page);
      pages.push(page);
    }
    return pages;
  }

  /**
   * The lowest free piece of `length` bytes, rounded up to whole pages, at a
   * multiple of `align` and with its end at or below `limit`.
   * @throws {Error} when there is none
   */
  contiguous(length: number, align: number = PAGE_SIZE, limit: number = Infinity): Gpa {
    if (!Number.isSafeInteger(length) || length < 1) {
      throw new RangeError(`Cannot allocate ${length} bytes: want an integer of at least 1`);
    }
    if (!Number.isSafeInteger(align) || align < 1) {
      throw new RangeError(`Cannot align to ${align}: want an integer of at least 1`);
    }
    // Pages are handed out whole, so a finer alignment than theirs is met anyway.
    const step = align % PAGE_SIZE === 0 ? align : align * PAGE_SIZE / divisor(align, PAGE_SIZE);
    const size = Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
    for (const range of this.#ranges) {
      const end = Math.min(range.start + range.length, limit);
      let start = Math.ceil(range.start / step) * step;
      while (start + size <= end) {
        const busy = this.#lastTaken(start, size);
        if (busy === null) {
          for (let at = 0; at < size; at += PAGE_SIZE) this.#taken.add(start + at);
          return start as Gpa;
        }
        start = Math.ceil((busy + PAGE_SIZE) / step) * step;
      }
    }
    const below = limit === Infinity ? "" : ` below ${hex(limit)}`;
    throw new Error(
      `Cannot allocate ${hex(size)} bytes in one piece at a multiple of ${
        hex(step)
      }${below}: no free piece is that large, ask for more with memoryMib`,
    );
  }

  /** The last page in `[start, start + size)` that is taken, or null. */
  #lastTaken(start: number, size: number): number | null {
    for (let page = start + size - PAGE_SIZE; page >= start; page -= PAGE_SIZE) {
      if (this.#taken.has(page)) return page;
    }
    return null;
  }
}

/** The greatest common divisor. */
function divisor(a: number, b: number): number {
  return b === 0 ? a : divisor(b, a % b);
}
