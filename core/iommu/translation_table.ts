/**
 * Mappings of one address space, made fast: the interval map is the truth; the
 * last range and the last pages it answered for are kept in front of it.
 * @module
 */

import { Fault, MAX_ADDRESS, PAGE_SIZE } from "../address.ts";
import { Counter } from "../observe/counters.ts";
import { IntervalMap, type Slot } from "./interval_map.ts";
import { PageCache } from "./page_cache.ts";

/** Bits of a mapping's flags that are permissions; the rest belongs to whoever maps. */
export const ACCESS_MASK = 7;

/** In a cached page's value: its mapping goes on beyond the page, so a longer access should walk. */
const WIDE = 8;

// Fields of TranslationTable.#hot, in one typed array so that no number is boxed.
const HOT_START = 0;
const HOT_LAST = 1;
const HOT_DELTA = 2;
const RUN = 3;

/**
 * Disjoint byte ranges with target and flags, for translation. Which changes are
 * legal is up to the owner: a domain refuses overlaps, an IOTLB replaces.
 */
export class TranslationTable {
  readonly #map = new IntervalMap();
  readonly #cache: PageCache;
  /** The range of the last walk, its target minus its start, and the run of the last translation. */
  readonly #hot = new Float64Array(4);
  #hotFlags = 0;

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

  /** Bytes from the last translated address to the end of what is contiguous there. At least 1 after a success. */
  get run(): number {
    return this.#hot[RUN]!;
  }

  /**
   * The target of `address`, or `UNMAPPED`, or `PERMISSION`. `wanted` is how many
   * bytes the caller could use in one go: a hint, {@linkcode run} says how many there are.
   * Counts hit or miss in `counters`, as {@linkcode Counter} indexes them.
   */
  translate(address: number, access: number, wanted: number, counters: Float64Array): number {
    const hot = this.#hot;
    if (address >= hot[HOT_START]! && address <= hot[HOT_LAST]!) {
      if ((this.#hotFlags & access) === access) {
        counters[Counter.IOTLB_HITS]!++;
        hot[RUN] = hot[HOT_LAST]! - address + 1;
        return address + hot[HOT_DELTA]!;
      }
    } else {
      const value = this.#cache.get(Math.floor(address / PAGE_SIZE));
      if (value >= 0) {
        const left = PAGE_SIZE - (address & (PAGE_SIZE - 1));
        if ((value & access) === access && (wanted <= left || (value & WIDE) === 0)) {
          counters[Counter.IOTLB_HITS]!++;
          hot[RUN] = left;
          return value - (value & (PAGE_SIZE - 1)) + (PAGE_SIZE - left);
        }
      }
    }
    return this.#walk(address, access, counters);
  }

  /** As {@linkcode translate}, past every cache. @returns the slot, or the fault */
  find(address: number, access: number): Slot | Fault {
    const slot = this.#map.find(address);
    if (slot < 0) return Fault.UNMAPPED;
    return (this.#map.flagsOf(slot) & access) === access ? slot : Fault.PERMISSION;
  }

  /** Adds [start, last], which must be free. */
  insert(start: number, last: number, target: number, flags: number): void {
    this.#map.insert(start, last, target, flags);
    this.#cache.reserve(this.#map.size);
  }

  /** Removes the range that starts at `start`, from every cache as well. */
  remove(start: number): void {
    const slot = this.#map.floor(start);
    if (slot < 0) return;
    const last = this.#map.lastOf(slot);
    if (!this.#map.remove(start)) return;
    if (start === this.#hot[HOT_START]) this.#forgetHot();
    this.#cache.dropRange(Math.floor(start / PAGE_SIZE), Math.floor(last / PAGE_SIZE));
  }

  /** Removes everything, and gives the memory back. */
  clear(): void {
    this.#map.clear();
    this.#cache.shrink();
    this.#forgetHot();
  }

  #walk(address: number, access: number, counters: Float64Array): number {
    counters[Counter.IOTLB_MISSES]!++;
    const map = this.#map;
    const slot = map.find(address);
    if (slot < 0) return Fault.UNMAPPED;
    const flags = map.flagsOf(slot);
    if ((flags & access) !== access) return Fault.PERMISSION;
    const start = map.startOf(slot);
    const last = map.lastOf(slot);
    const delta = map.targetOf(slot) - start;
    const hot = this.#hot;
    hot[HOT_START] = start;
    hot[HOT_LAST] = last;
    hot[HOT_DELTA] = delta;
    hot[RUN] = last - address + 1;
    this.#hotFlags = flags;
    // Worth a place in the page cache only if it covers the page whole, and if
    // the low bits of the target are free to carry the flags.
    const base = address - (address & (PAGE_SIZE - 1));
    if (delta % PAGE_SIZE === 0 && start <= base && last >= base + PAGE_SIZE - 1) {
      const wide = last > base + PAGE_SIZE - 1 ? WIDE : 0;
      this.#cache.put(base / PAGE_SIZE, base + delta + (flags & ACCESS_MASK) + wide);
    }
    return address + delta;
  }

  #forgetHot(): void {
    // An empty range no address is in.
    this.#hot[HOT_START] = MAX_ADDRESS + 1;
    this.#hot[HOT_LAST] = -1;
  }
}
