/**
 * Where a sample of accesses fell, as buckets of equal width.
 * @module
 */

import { PAGE_SIZE } from "../../core/address.ts";

/** Buckets of a heat. */
export const HEAT_BUCKETS = 64;

/** See the module. Addresses in [start, start + width * buckets.length). */
export interface HeatBuckets {
  /** A multiple of `width`. */
  readonly start: number;
  /** Bytes: a page times a power of two. */
  readonly width: number;
  readonly buckets: readonly number[];
}

/** Counts `addresses`, all of them, in at most {@linkcode HEAT_BUCKETS} buckets; null for none. */
export function heatOf(addresses: readonly number[]): HeatBuckets | null {
  if (addresses.length === 0) return null;
  let low = Infinity, high = 0;
  for (const address of addresses) {
    if (address < low) low = address;
    if (address > high) high = address;
  }
  let width = PAGE_SIZE;
  let start = Math.floor(low / width) * width;
  while (start + width * HEAT_BUCKETS <= high) {
    width *= 2;
    start = Math.floor(low / width) * width;
  }
  const buckets = new Array<number>(Math.floor((high - start) / width) + 1).fill(0);
  for (const address of addresses) buckets[Math.floor((address - start) / width)]!++;
  return { start, width, buckets };
}
