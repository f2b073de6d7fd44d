/**
 * One I/O address space: its mappings, the DMA in flight to it, and the pages
 * that devices have written.
 * @module
 */

import { Access, accessName, type Gpa, hexRange, type Iova, isRange } from "../address.ts";
import { DirtyBitmap } from "../memory/dirty_bitmap.ts";
import type { Completion } from "./completion.ts";
import { InFlight } from "./in_flight.ts";
import { IommuError } from "./iommu_error.ts";
import { TranslationTable } from "./translation_table.ts";

/** One mapping as it was made. */
export interface Mapping {
  /** First address as devices use it. */
  readonly iova: Iova;
  /** First address as the guest has it. */
  readonly gpa: Gpa;
  /** Bytes. */
  readonly length: number;
  /** Values of `Access`, or'ed. */
  readonly access: number;
}

/** Mappings that keep their identity: two that touch never merge, and one is removed whole or not at all (virtio 1.3, 5.13.6.6). */
export class AddressSpace {
  /** For the access path. Change it only through this space. */
  readonly table: TranslationTable;
  /** DMA in flight through the mappings. */
  readonly inFlight: InFlight = new InFlight();
  /** Pages written by devices, while tracking is on. */
  dirty: DirtyBitmap | null = null;
  #mappedBytes = 0;
  readonly #name: string;

  /**
   * Makes an empty space.
   * @param name how error messages call it: `domain 1`
   * @param seed of the page cache's hash
   */
  constructor(name: string, seed: number) {
    this.#name = name;
    this.table = new TranslationTable(seed);
  }

  /** Number of mappings. */
  get size(): number {
    return this.table.size;
  }

  /** Bytes of all mappings together. */
  get mappedBytes(): number {
    return this.#mappedBytes;
  }

  /**
   * Maps `length` bytes at `iova` to `gpa`, for the accesses in `access` (none is
   * legal: every access faults). No alignment is asked for.
   * @throws {IommuError} `range`, `exists`
   */
  map(iova: Iova, gpa: Gpa, length: number, access: number): void {
    if (!isRange(iova, length) || !isRange(gpa, length) || length === 0) {
      throw new IommuError(
        "range",
        `Cannot map ${length} bytes at ${iova} to ${gpa} in ${this.#name}: ` +
          `a mapping has at least 1 byte, and both ends in 0..2^52-1`,
      );
    }
    if ((access & Access.READ_WRITE) !== access) {
      throw new IommuError(
        "range",
        `Cannot map ${hexRange(iova, length)} in ${this.#name} with access ${access}: ` +
          `READ is 1, WRITE is 2, and there are no others`,
      );
    }
    const last = iova + length - 1;
    if (!this.table.insert(iova, last, gpa, access)) {
      const ranges = this.table.ranges;
      const there = ranges.floor(last);
      const start = ranges.startOf(there);
      throw new IommuError(
        "exists",
        `Cannot map ${hexRange(iova, length)} in ${this.#name}: overlaps ` +
          `${hexRange(start, ranges.lastOf(there) - start + 1)} ` +
          `(${accessName(ranges.flagsOf(there))})`,
      );
    }
    this.#mappedBytes += length;
  }

  /**
   * Removes the mappings that lie in [iova, iova + length); holes are no error.
   * New accesses fault at once; the completion, which carries the bytes removed,
   * is reached when those in flight have ended.
   * @throws {IommuError} `range`, also when a mapping is only partly inside, and then nothing is removed
   */
  unmap(iova: Iova, length: number): Completion {
    if (!isRange(iova, length) || length === 0) {
      throw new IommuError(
        "range",
        `Cannot unmap ${length} bytes at ${iova} in ${this.#name}: ` +
          `the range has at least 1 byte and lies in 0..2^52-1`,
      );
    }
    const ranges = this.table.ranges;
    const last = iova + length - 1;
    const first = ranges.from(iova);
    let bytes = 0;
    if (first >= 0 && ranges.startOf(first) === iova && ranges.lastOf(first) === last) {
      // The range of one mapping, as nearly every unmap is.
      this.table.remove(iova);
      bytes = length;
    } else {
      this.#refuseCut(first, iova, last);
      this.#refuseCut(ranges.find(last), iova, last);
      bytes = this.table.removeWithin(iova, last);
    }
    this.#mappedBytes -= bytes;
    return this.inFlight.drain(iova, last, bytes);
  }

  /** Removes every mapping. */
  clear(): Completion {
    const bytes = this.#mappedBytes;
    this.table.clear();
    this.#mappedBytes = 0;
    return this.inFlight.drain(0, Infinity, bytes);
  }

  /** The mapping that holds `iova`, or null. */
  mappingAt(iova: Iova): Mapping | null {
    const slot = this.table.ranges.find(iova);
    return slot < 0 ? null : this.#mapping(slot);
  }

  /** The mappings from the first that ends at or after `iova` on, ascending. Stale after a change. */
  *mappings(iova: Iova = 0 as Iova): Generator<Mapping> {
    const ranges = this.table.ranges;
    for (let slot = ranges.from(iova); slot >= 0; slot = ranges.next(slot)) {
      yield this.#mapping(slot);
    }
  }

  /**
   * From now on each page of the range that a device writes is recorded. Forgets what was recorded before.
   * @throws {RangeError} unless the range begins with a page, and has 1 byte to 2^32 pages
   */
  startDirtyTracking(iova: Iova, length: number): void {
    this.dirty = new DirtyBitmap(iova, length);
  }

  /** Stops recording, and forgets. */
  stopDirtyTracking(): void {
    this.dirty = null;
  }

  #mapping(slot: number): Mapping {
    const ranges = this.table.ranges;
    const iova = ranges.startOf(slot);
    return {
      iova: iova as Iova,
      gpa: ranges.targetOf(slot) as Gpa,
      length: ranges.lastOf(slot) - iova + 1,
      access: ranges.flagsOf(slot),
    };
  }

  #refuseCut(slot: number, start: number, last: number): void {
    if (slot < 0) return;
    const ranges = this.table.ranges;
    const mappingStart = ranges.startOf(slot);
    const mappingLast = ranges.lastOf(slot);
    if (mappingStart > last || (mappingStart >= start && mappingLast <= last)) return;
    throw new IommuError(
      "range",
      `Cannot unmap ${hexRange(start, last - start + 1)} in ${this.#name}: it cuts the mapping ` +
        `${
          hexRange(mappingStart, mappingLast - mappingStart + 1)
        }, which is removed whole or not at all`,
    );
  }
}
