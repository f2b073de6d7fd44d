/**
 * Hands out ranges of a synthetic address space: where the windows of a server's memory lie.
 * @module
 */

import { PAGE_SIZE } from "../../../core/address.ts";
import { IntervalMap } from "../../../core/iommu/interval_map.ts";

/** Whole pages between two addresses, next fit: a range that was given back is not the next one given out. */
export class AddressPool {
  readonly #start: number;
  readonly #end: number;
  readonly #taken = new IntervalMap();
  #next: number;
  #bytes = 0;

  /** Both ends multiples of the page size; `end` is exclusive. */
  constructor(start: number, end: number) {
    this.#start = start;
    this.#end = end;
    this.#next = start;
  }

  /** Bytes handed out. */
  get bytes(): number {
    return this.#bytes;
  }

  /**
   * The start of `length` bytes rounded up to pages, at least 1, or -1 when no gap is that long.
   * @param tag what {@linkcode tagAt} answers for its addresses
   */
  allocate(length: number, tag: number): number {
    const size = roundUp(length);
    const found = this.#gap(this.#next, this.#end, size);
    const start = found >= 0 ? found : this.#gap(this.#start, this.#end, size);
    if (start < 0) return -1;
    this.#taken.insert(start, start + size - 1, tag, 0);
    this.#next = start + size;
    this.#bytes += size;
    return start;
  }

  /** Gives back what starts at `start`. */
  free(start: number): void {
    const slot = this.#taken.find(start);
    if (slot < 0) return;
    this.#bytes -= this.#taken.lastOf(slot) - start + 1;
    this.#taken.remove(start);
  }

  /** The tag of the range that holds `address`, or -1. */
  tagAt(address: number): number {
    const slot = this.#taken.find(address);
    return slot < 0 ? -1 : this.#taken.targetOf(slot);
  }

  #gap(from: number, end: number, size: number): number {
    let start = from;
    while (start + size <= end) {
      const slot = this.#taken.floor(start + size - 1);
      if (slot < 0 || this.#taken.lastOf(slot) < start) return start;
      start = this.#taken.lastOf(slot) + 1;
    }
    return -1;
  }
}

function roundUp(length: number): number {
  return Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
}
