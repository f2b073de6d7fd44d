/**
 * Page tables as one would write them on a free afternoon: the baselines.
 *
 * They do less than ours: 4 KiB pages alone, no permissions, no counters, no
 * fault records, nothing but the translation. That is on purpose, a ratio
 * against them cannot be won by leaving something out of ours.
 * @module
 */

/** Addresses as BigInt, the natural way: they are 64 bits wide, and that is JavaScript's type for it. */
export class BigIntPageTable {
  readonly #pages = new Map<bigint, bigint>();

  /** Maps the page of `iova` to the page of `gpa`; both are multiples of 4096. */
  map(iova: bigint, gpa: bigint): void {
    this.#pages.set(iova >> 12n, gpa);
  }

  unmap(iova: bigint): void {
    this.#pages.delete(iova >> 12n);
  }

  translate(iova: bigint): bigint | undefined {
    const gpa = this.#pages.get(iova >> 12n);
    return gpa === undefined ? undefined : gpa | (iova & 0xfffn);
  }

  get size(): number {
    return this.#pages.size;
  }
}

/** As {@linkcode BigIntPageTable}, for those who know that 52 bits fit a number. */
export class NumberPageTable {
  readonly #pages = new Map<number, number>();

  /** Maps the page of `iova` to the page of `gpa`; both are multiples of 4096. */
  map(iova: number, gpa: number): void {
    this.#pages.set(iova / 4096, gpa);
  }

  unmap(iova: number): void {
    this.#pages.delete(iova / 4096);
  }

  translate(iova: number): number | undefined {
    const gpa = this.#pages.get(Math.floor(iova / 4096));
    return gpa === undefined ? undefined : gpa + (iova & 0xfff);
  }

  get size(): number {
    return this.#pages.size;
  }
}
