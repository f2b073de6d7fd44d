/**
 * Hands out address ranges for BARs, as firmware does.
 * @module
 */

import { hex, hexRange, isRange } from "../../core/address.ts";

/** A range of bus addresses. */
export interface AddressWindow {
  /** The first address. */
  readonly start: number;
  /** Bytes. */
  readonly length: number;
}

/** Naturally aligned ranges out of a list of windows, the lowest free one first. */
export class BarAllocator {
  readonly #windows: readonly AddressWindow[];
  /** Ascending, without overlap. */
  readonly #taken: AddressWindow[] = [];

  /** `windows` are tried in the order given. @throws {RangeError} when one is no range of addresses */
  constructor(windows: readonly AddressWindow[]) {
    for (const { start, length } of windows) {
      if (!isRange(start, length)) {
        throw new RangeError(
          `Cannot assign BARs in ${hexRange(start, length)}: it is no range of addresses`,
        );
      }
    }
    this.#windows = windows;
  }

  /** Whether {@linkcode allocate} would find a range. */
  hasRoom(size: number): boolean {
    return this.#find(size) !== null;
  }

  /** The lowest free multiple of `size`, a power of two. @throws {RangeError} when the windows are used up */
  allocate(size: number): number {
    const start = this.#find(size);
    if (start === null) {
      const windows = this.#windows.map(({ start, length }) => hexRange(start, length)).join(", ");
      throw new RangeError(
        `Cannot assign a BAR of ${hex(size)} bytes: no room is left in ${windows || "no window"}`,
      );
    }
    const index = this.#taken.findIndex((taken) => taken.start > start);
    this.#taken.splice(index < 0 ? this.#taken.length : index, 0, { start, length: size });
    return start;
  }

  /** Gives back what {@linkcode allocate} handed out at `start`. */
  free(start: number): void {
    const index = this.#taken.findIndex((taken) => taken.start === start);
    if (index >= 0) this.#taken.splice(index, 1);
  }

  #find(size: number): number | null {
    for (const window of this.#windows) {
      let start = alignUp(window.start, size);
      for (const taken of this.#taken) {
        if (taken.start >= start + size) break;
        if (taken.start + taken.length > start) start = alignUp(taken.start + taken.length, size);
      }
      if (start + size <= window.start + window.length) return start;
    }
    return null;
  }
}

/** Division, not bit operations: addresses reach 2^52. */
function alignUp(address: number, align: number): number {
  return Math.ceil(address / align) * align;
}
