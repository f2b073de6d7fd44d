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

/** Addresses kept of one endpoint between two reports. */
const MAX_SAMPLES = 1024;

/** Addresses of sampled DMA, by endpoint, until they are reported. */
export class HeatSamples {
  readonly #addresses = new Map<number, number[]>();

  /** Adds one. @returns false when it is left out, since there are enough of the endpoint */
  add(endpoint: number, iova: number): boolean {
    let addresses = this.#addresses.get(endpoint);
    if (addresses === undefined) this.#addresses.set(endpoint, addresses = []);
    if (addresses.length >= MAX_SAMPLES) return false;
    addresses.push(iova);
    return true;
  }

  /** Those of the endpoint; none are left. */
  take(endpoint: number): readonly number[] {
    const addresses = this.#addresses.get(endpoint) ?? [];
    this.#addresses.delete(endpoint);
    return addresses;
  }
}
