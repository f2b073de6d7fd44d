/**
 * Mappings of one address space, made fast: the interval map is the truth; the
 * last range and the last pages it answered for are kept in front of it.
 * @module
 */

import { Fault, MAX_ADDRESS, PAGE_SIZE, type Status } from "../address.ts";
import {
  CACHED_VALUE,
  PAGE_REGISTERS,
  SOUGHT_PAGE,
  TARGET_PAGE,
} from "../memory/page_registers.ts";
import { Counter } from "../observe/counters.ts";
import { IntervalMap, type Slot } from "./interval_map.ts";
import { PageCache } from "./page_cache.ts";

/** Bits of a mapping's flags that are permissions; the rest belongs to whoever maps. */
export const ACCESS_MASK = 7;

/** In a cached page's value: its mapping goes on beyond the page, so a longer access should walk. */
const WIDE = 8;
/** A cached page's value is its target page times this, plus flags and {@linkcode WIDE}. */
const VALUE_SHIFT = 16;

// Fields of TranslationTable.#hot. In a typed array, and not parameters and results: V8
// allocates for a number of 2^31 or more that crosses a call it has not inlined.
const HOT_START = 0;
const HOT_LAST = 1;
const HOT_DELTA = 2;
const HOT_FIRST_PAGE = 3;
const HOT_LAST_PAGE = 4;
const HOT_PAGE_DELTA = 5;

// Fields of TranslationTable.place, for the same reason.
/** The address to be translated. */
export const SOUGHT = 0;
/** Where it leads. */
export const TARGET = 1;
/** Bytes from there to the end of what is contiguous, at least 1. */
export const RUN = 2;

/**
 * What answers for a translation, the nearest first: the range that was walked to last, the cache
 * of pages, the tree of all mappings.
 */
export type Answerer = "hot-range" | "page-cache" | "tree";

/**
 * Disjoint byte ranges with target and flags, for translation. Which changes are
 * legal is up to the owner: a domain refuses overlaps, an IOTLB replaces.
 */
export class TranslationTable {
  readonly #map = new IntervalMap();
  readonly #cache: PageCache;
  /** What {@linkcode locatePlace} is asked and answers. */
  readonly place: Float64Array = new Float64Array(3);
  /** The range of the last walk, and its target minus its start, in bytes and in pages. */
  readonly #hot = new Float64Array(6);
  /** The page that {@linkcode locate} looks for. */
  readonly #pages = new Float64Array(PAGE_REGISTERS);
  #hotFlags = 0;
  /** Whether the last {@linkcode translatePage} that succeeded was a miss. */
  #missed = false;

  /** Makes an empty table. @param seed of the page cache's hash */
  constructor(seed: number) {
    this.#cache = new PageCache(seed);
    this.#forgetHot();
  }

  /** Number of mappings. */
  get size(): number {
    return this.#map.size;
  }

  /** Bytes of memory held. */
  get byteLength(): number {
    return this.#map.byteLength + this.#cache.byteLength;
  }

  /** The ranges, to walk. Change them only through this table. */
  get ranges(): IntervalMap {
    return this.#map;
  }

  /**
   * Translates `pages[SOUGHT_PAGE]` into `pages[TARGET_PAGE]`, when one mapping covers it
   * whole, with both ends on page boundaries. @returns 0; -1 for every other page, and when
   * the mapping forbids the access: {@linkcode locate} then says what is the matter.
   * Counts hit or miss in `counters` on success alone.
   */
  translatePage(pages: Float64Array, access: number, counters: Float64Array): number {
    const page = pages[SOUGHT_PAGE]!;
    const hot = this.#hot;
    if (page >= hot[HOT_FIRST_PAGE]! && page <= hot[HOT_LAST_PAGE]!) {
      if ((this.#hotFlags & access) === access) {
        counters[Counter.IOTLB_HITS]!++;
        this.#missed = false;
        pages[TARGET_PAGE] = page + hot[HOT_PAGE_DELTA]!;
        return 0;
      }
      return -1;
    }
    if (this.#cache.find(pages) === 0) {
      const value = pages[CACHED_VALUE]!;
      const flags = value & (VALUE_SHIFT - 1);
      if ((flags & access) === access) {
        counters[Counter.IOTLB_HITS]!++;
        this.#missed = false;
        pages[TARGET_PAGE] = (value - flags) / VALUE_SHIFT;
        return 0;
      }
      return -1;
    }
    return this.#walkPage(pages, access, counters);
  }

  /** Takes back what the last {@linkcode translatePage} counted: its caller could not use the answer. */
  uncount(counters: Float64Array): void {
    counters[this.#missed ? Counter.IOTLB_MISSES : Counter.IOTLB_HITS]!--;
  }

  /**
   * Translates `place[SOUGHT]` into `place[TARGET]` and `place[RUN]`. `wanted` is how
   * many bytes the caller could use in one go: a hint. Counts hit or miss in
   * `counters`, as {@linkcode Counter} indexes them. @returns 0, `UNMAPPED` or `PERMISSION`
   */
  locatePlace(access: number, wanted: number, counters: Float64Array): Status {
    const hot = this.#hot;
    const place = this.place;
    const address = place[SOUGHT]!;
    if (address >= hot[HOT_START]! && address <= hot[HOT_LAST]!) {
      if ((this.#hotFlags & access) === access) {
        counters[Counter.IOTLB_HITS]!++;
        place[RUN] = hot[HOT_LAST]! - address + 1;
        place[TARGET] = address + hot[HOT_DELTA]!;
        return 0;
      }
    } else {
      const pages = this.#pages;
      pages[SOUGHT_PAGE] = Math.floor(address / PAGE_SIZE);
      if (this.#cache.find(pages) === 0) {
        const value = pages[CACHED_VALUE]!;
        const flags = value & (VALUE_SHIFT - 1);
        const left = PAGE_SIZE - (address & (PAGE_SIZE - 1));
        if ((flags & access) === access && (wanted <= left || (flags & WIDE) === 0)) {
          counters[Counter.IOTLB_HITS]!++;
          place[RUN] = left;
          place[TARGET] = (value - flags) / VALUE_SHIFT * PAGE_SIZE + (PAGE_SIZE - left);
          return 0;
        }
      }
    }
    return this.#walk(access, counters);
  }

  /** As {@linkcode locatePlace}, of an address that is handed over. */
  locate(address: number, access: number, wanted: number, counters: Float64Array): Status {
    this.place[SOUGHT] = address;
    return this.locatePlace(access, wanted, counters);
  }

  /** As {@linkcode locate}, with the target for a result, or the fault. */
  translate(address: number, access: number, wanted: number, counters: Float64Array): number {
    const status = this.locate(address, access, wanted, counters);
    return status === 0 ? this.place[TARGET]! : status;
  }

  /** As {@linkcode locate}, past every cache. @returns the slot, or the fault */
  find(address: number, access: number): Slot | Fault {
    const slot = this.#map.find(address);
    if (slot < 0) return Fault.UNMAPPED;
    return (this.#map.flagsOf(slot) & access) === access ? slot : Fault.PERMISSION;
  }

  /**
   * Who would answer for an access of one byte at `address` now, as {@linkcode locate} asks them;
   * null where nothing is mapped. For those who look on: nothing is counted, kept or dropped.
   */
  answererOf(address: number): Answerer | null {
    if (address >= this.#hot[HOT_START]! && address <= this.#hot[HOT_LAST]!) return "hot-range";
    if (this.#cache.get(Math.floor(address / PAGE_SIZE)) >= 0) return "page-cache";
    return this.#map.find(address) >= 0 ? "tree" : null;
  }

  /** Adds [start, last]. @returns false, and nothing has changed, when it meets another range */
  insert(start: number, last: number, target: number, flags: number): boolean {
    if (!this.#map.insert(start, last, target, flags)) return false;
    this.#cache.reserve(this.#map.size);
    return true;
  }

  /** Removes the range that starts at `start`, from every cache as well. */
  remove(start: number): void {
    const last = this.#map.remove(start);
    if (last < 0) return;
    if (start === this.#hot[HOT_START]) this.#forgetHot();
    this.#cache.dropRange(Math.floor(start / PAGE_SIZE), Math.floor(last / PAGE_SIZE));
  }

  /** Removes the ranges that start within [start, last], from every cache as well. @returns their bytes */
  removeWithin(start: number, last: number): number {
    const map = this.#map;
    const room = this.#cache.capacity;
    let bytes = 0;
    let pages = 0;
    for (let slot = map.from(start); slot >= 0; slot = map.from(start)) {
      const from = map.startOf(slot);
      if (from > last) break;
      const end = map.remove(from);
      bytes += end - from + 1;
      if (from === this.#hot[HOT_START]) this.#forgetHot();
      const first = Math.floor(from / PAGE_SIZE);
      const final = Math.floor(end / PAGE_SIZE);
      pages += final - first + 1;
      if (pages <= room) this.#cache.dropRange(first, final);
    }
    if (map.size === 0) this.clear();
    // Going through all that is cached for each big range would take seconds where there are many.
    else if (pages > room) {
      this.#cache.dropRange(Math.floor(start / PAGE_SIZE), Math.floor(last / PAGE_SIZE));
    }
    return bytes;
  }

  /** Removes everything, and gives the memory back. */
  clear(): void {
    this.#map.clear();
    this.#cache.shrink();
    this.#forgetHot();
  }

  #walk(access: number, counters: Float64Array): Status {
    counters[Counter.IOTLB_MISSES]!++;
    const hot = this.#hot;
    const place = this.place;
    const address = place[SOUGHT]!;
    const map = this.#map;
    const slot = map.find(address);
    if (slot < 0) return Fault.UNMAPPED;
    if ((map.flagsOf(slot) & access) !== access) return Fault.PERMISSION;
    this.#keep(slot, Math.floor(address / PAGE_SIZE));
    place[RUN] = hot[HOT_LAST]! - address + 1;
    place[TARGET] = address + hot[HOT_DELTA]!;
    return 0;
  }

  #walkPage(pages: Float64Array, access: number, counters: Float64Array): number {
    const page = pages[SOUGHT_PAGE]!;
    const map = this.#map;
    const slot = map.find(page * PAGE_SIZE);
    if (slot < 0 || (map.flagsOf(slot) & access) !== access) return -1;
    if (!this.#keep(slot, page)) return -1;
    counters[Counter.IOTLB_MISSES]!++;
    this.#missed = true;
    pages[TARGET_PAGE] = page + this.#hot[HOT_PAGE_DELTA]!;
    return 0;
  }

  /**
   * Remembers the range that was walked to, and the page in the page cache if the
   * range covers it whole and moves it by whole pages. @returns whether it does
   */
  #keep(slot: Slot, page: number): boolean {
    const map = this.#map;
    const start = map.startOf(slot);
    const last = map.lastOf(slot);
    const delta = map.targetOf(slot) - start;
    const flags = map.flagsOf(slot);
    const hot = this.#hot;
    hot[HOT_START] = start;
    hot[HOT_LAST] = last;
    hot[HOT_DELTA] = delta;
    this.#hotFlags = flags;
    if (delta % PAGE_SIZE !== 0) {
      hot[HOT_FIRST_PAGE] = Infinity;
      return false;
    }
    hot[HOT_FIRST_PAGE] = Math.ceil(start / PAGE_SIZE);
    hot[HOT_LAST_PAGE] = Math.floor((last + 1) / PAGE_SIZE) - 1;
    hot[HOT_PAGE_DELTA] = delta / PAGE_SIZE;
    if (page < hot[HOT_FIRST_PAGE]! || page > hot[HOT_LAST_PAGE]!) return false;
    const wide = page < hot[HOT_LAST_PAGE]! ? WIDE : 0;
    const target = page + hot[HOT_PAGE_DELTA]!;
    this.#cache.put(page, target * VALUE_SHIFT + (flags & ACCESS_MASK) + wide);
    return true;
  }

  #forgetHot(): void {
    // An empty range no address and no page is in.
    this.#hot[HOT_START] = MAX_ADDRESS + 1;
    this.#hot[HOT_LAST] = -1;
    this.#hot[HOT_FIRST_PAGE] = Infinity;
  }
}
