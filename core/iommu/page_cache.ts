/**
 * What the interval map said last, page by page: a set-associative cache in
 * typed arrays. Entries are dropped without tombstones, and a full set gives up
 * one of its own, so every operation is bounded whatever a guest maps.
 * @module
 */

import { CACHED_VALUE, PAGE_REGISTERS, SOUGHT_PAGE } from "../memory/page_registers.ts";

/** Entries of a set: eight keys of 8 bytes are one cache line. */
const WAYS = 8;
const MISS = -1;
/** Key of a free entry. No quotient that was rounded down equals it, not even that of a bad address. */
const EMPTY = -0.5;
const SMALLEST = 64;
/** 4 Mi entries, 64 MiB: pages beyond that are walked for when they come back. */
const LARGEST = 2 ** 22;

/**
 * Maps a page number, an integer of at least 0, to a value of at least 0. The
 * hash is seeded, so that a guest cannot pick pages that collide.
 */
export class PageCache {
  #keys: Float64Array;
  #values: Float64Array;
  /** Index bits dropped from the 32-bit hash: it leaves the number of the set, times WAYS. */
  #shift: number;
  /** For {@linkcode get}. */
  readonly #pages = new Float64Array(PAGE_REGISTERS);
  readonly #factorLow: number;
  readonly #factorHigh: number;

  /** @param seed any 32-bit integer; not known to the guest outside tests */
  constructor(seed: number) {
    // Odd factors make multiply-shift hashing universal: two pages collide with
    // probability 2 / sets over the choice of factors, however they were picked.
    this.#factorLow = mix(seed) | 1;
    this.#factorHigh = mix(seed ^ 0x5bd1_e995) | 1;
    this.#keys = new Float64Array(SMALLEST).fill(EMPTY);
    this.#values = new Float64Array(SMALLEST);
    this.#shift = 32 - Math.log2(SMALLEST);
  }

  /** Entries there is room for. */
  get capacity(): number {
    return this.#keys.length;
  }

  /** Bytes of memory held. */
  get byteLength(): number {
    return this.#keys.byteLength + this.#values.byteLength;
  }

  /** Puts the value of `pages[SOUGHT_PAGE]` into `pages[CACHED_VALUE]`. @returns 0; -1 when it is not cached */
  find(pages: Float64Array): number {
    const page = pages[SOUGHT_PAGE]!;
    const keys = this.#keys;
    // #hash(), without handing it a number that may be large.
    const way = (Math.imul(page | 0, this.#factorLow) +
      Math.imul((page / 0x1_0000_0000) | 0, this.#factorHigh)) >>> this.#shift;
    if (keys[way] === page) {
      pages[CACHED_VALUE] = this.#values[way]!;
      return 0;
    }
    const set = way & ~(WAYS - 1);
    for (let i = 1; i < WAYS; i++) {
      const at = set | ((way + i) & (WAYS - 1));
      if (keys[at] === page) {
        pages[CACHED_VALUE] = this.#values[at]!;
        return 0;
      }
    }
    return MISS;
  }

  /** The page's value, or -1. */
  get(page: number): number {
    const pages = this.#pages;
    pages[SOUGHT_PAGE] = page;
    return this.find(pages) < 0 ? MISS : pages[CACHED_VALUE]!;
  }

  /** Keeps `value` for the page, at the cost of another page when its set is full. */
  put(page: number, value: number): void {
    const keys = this.#keys;
    const way = this.#hash(page);
    const set = way & ~(WAYS - 1);
    let free = -1;
    for (let i = 0; i < WAYS; i++) {
      const at = set | ((way + i) & (WAYS - 1));
      const key = keys[at]!;
      if (key === page) {
        this.#values[at] = value;
        return;
      }
      if (key === EMPTY && free < 0) free = at;
    }
    const at = free < 0 ? way : free;
    keys[at] = page;
    this.#values[at] = value;
  }

  /** Forgets the page. */
  drop(page: number): void {
    const keys = this.#keys;
    const way = this.#hash(page);
    const set = way & ~(WAYS - 1);
    for (let i = 0; i < WAYS; i++) {
      const at = set | ((way + i) & (WAYS - 1));
      if (keys[at] === page) {
        keys[at] = EMPTY;
        return;
      }
    }
  }

  /** Forgets the pages from `first` to `last`, ends inclusive, at the cost of the smaller of range and cache. */
  dropRange(first: number, last: number): void {
    if (last - first < this.#keys.length) {
      for (let page = first; page <= last; page++) this.drop(page);
      return;
    }
    const keys = this.#keys;
    for (let at = 0; at < keys.length; at++) {
      const key = keys[at]!;
      if (key >= first && key <= last) keys[at] = EMPTY;
    }
  }

  /** Forgets everything. */
  clear(): void {
    this.#keys.fill(EMPTY);
  }

  /** Makes room for about `entries`; what is cached stays. Called as mappings come. */
  reserve(entries: number): void {
    let capacity = this.#keys.length;
    if (entries * 3 <= capacity * 2 || capacity === LARGEST) return;
    while (entries * 3 > capacity * 2 && capacity < LARGEST) capacity *= 2;
    const keys = this.#keys;
    const values = this.#values;
    this.#keys = new Float64Array(capacity).fill(EMPTY);
    this.#values = new Float64Array(capacity);
    this.#shift = 32 - Math.log2(capacity);
    for (let at = 0; at < keys.length; at++) {
      if (keys[at] !== EMPTY) this.put(keys[at]!, values[at]!);
    }
  }

  /** Gives memory back, and forgets everything. Called when the mappings are gone. */
  shrink(): void {
    this.#keys = new Float64Array(SMALLEST).fill(EMPTY);
    this.#values = new Float64Array(SMALLEST);
    this.#shift = 32 - Math.log2(SMALLEST);
  }

  /** The slot the page would rather have. */
  #hash(page: number): number {
    // `| 0` keeps the low 32 bits of a page number of up to 40.
    return (Math.imul(page | 0, this.#factorLow) +
      Math.imul((page / 0x1_0000_0000) | 0, this.#factorHigh)) >>> this.#shift;
  }
}

/** A 32-bit finalizer: neighbouring seeds give unrelated factors, and 0, the usual one, a good one. */
function mix(seed: number): number {
  let h = (seed + 0x9e37_79b9) | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return h ^ (h >>> 16);
}
