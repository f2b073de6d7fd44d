/**
 * The MSI-X table and pending bit array (PCI 3.0, 6.8.2): registers in BAR memory that the device
 * never sees.
 * @module
 */

import { hex, hexRange } from "../../core/address.ts";
import type { BarLayout, InterruptSpec } from "./pci_device.ts";
import { load, store } from "./registers.ts";
import * as spec from "./spec.ts";

/**
 * The table and the pending bits. Software reaches both by aligned accesses of 4 and 8 bytes; what
 * other accesses do is undefined there, and here they read all ones and change nothing.
 */
export class MsixTable {
  /** Number of vectors. */
  readonly vectors: number;
  readonly #bar: number;
  readonly #tableOffset: number;
  readonly #pendingOffset: number;
  readonly #table: Uint8Array;
  readonly #pending: Uint8Array;

  /** @throws {RangeError} when table or pending bits do not fit where `msix` puts them */
  constructor(msix: NonNullable<InterruptSpec["msix"]>, bars: readonly BarLayout[]) {
    const { vectors, bar, tableOffset, pendingOffset } = msix;
    if (!Number.isInteger(vectors) || vectors < 1 || vectors > spec.PCI_MSIX_MAX_VECTORS) {
      throw new RangeError(
        `Cannot make an MSI-X table of ${vectors} vectors: the number is 1 to ${spec.PCI_MSIX_MAX_VECTORS}`,
      );
    }
    const tableLength = vectors * spec.PCI_MSIX_ENTRY_SIZE;
    const pendingLength = Math.ceil(vectors / 64) * 8;
    const layout = bars.find(({ index }) => index === bar);
    if (layout === undefined || layout.kind === "io") {
      throw new RangeError(`Cannot put the MSI-X table into BAR ${bar}: it is no memory BAR`);
    }
    for (
      const [what, offset, length] of [
        ["table", tableOffset, tableLength],
        ["pending bits", pendingOffset, pendingLength],
      ] as const
    ) {
      if (!Number.isInteger(offset) || offset < 0 || offset % 8 !== 0 || offset >= 2 ** 32) {
        throw new RangeError(
          `Cannot put the MSI-X ${what} at ${
            hex(offset)
          }: the offset is a multiple of 8 below 2^32`,
        );
      }
      if (offset + length > layout.size) {
        throw new RangeError(
          `Cannot put the MSI-X ${what} at ${hexRange(offset, length)}: ` +
            `BAR ${bar} has ${hex(layout.size)} bytes`,
        );
      }
    }
    if (tableOffset < pendingOffset + pendingLength && pendingOffset < tableOffset + tableLength) {
      throw new RangeError(
        `Cannot put the MSI-X pending bits at ${hexRange(pendingOffset, pendingLength)}: ` +
          `the table is at ${hexRange(tableOffset, tableLength)}`,
      );
    }
    this.vectors = vectors;
    this.#bar = bar;
    this.#tableOffset = tableOffset;
    this.#pendingOffset = pendingOffset;
    this.#table = new Uint8Array(tableLength);
    this.#pending = new Uint8Array(pendingLength);
    this.reset();
  }

  /** Whether a byte of the access is the table's or the pending bits'. */
  covers(bar: number, offset: number, length: number): boolean {
    return bar === this.#bar &&
      (overlaps(offset, length, this.#tableOffset, this.#table.length) ||
        overlaps(offset, length, this.#pendingOffset, this.#pending.length));
  }

  /** The dword at `offset` of the BAR, a multiple of 4 that is covered. */
  read(offset: number): number {
    const at = offset - this.#tableOffset;
    return at >= 0 && at < this.#table.length
      ? load(this.#table, at, 4)
      : load(this.#pending, offset - this.#pendingOffset, 4);
  }

  /** Stores the dword at `offset` of the BAR, a multiple of 4 that is covered; pending bits are read-only. */
  write(offset: number, value: number): void {
    const at = offset - this.#tableOffset;
    if (at < 0 || at >= this.#table.length) return;
    switch (at % spec.PCI_MSIX_ENTRY_SIZE) {
      case spec.PCI_MSIX_ENTRY_LOWER_ADDR:
        value &= ~3;
        break;
      case spec.PCI_MSIX_ENTRY_VECTOR_CTRL:
        value &= spec.PCI_MSIX_ENTRY_CTRL_MASKBIT;
        break;
    }
    store(this.#table, at, 4, value);
  }

  /** Where vector `vector` writes: low and high half of the address as one number, exact below 2^53. */
  address(vector: number): number {
    const at = vector * spec.PCI_MSIX_ENTRY_SIZE;
    return load(this.#table, at + spec.PCI_MSIX_ENTRY_UPPER_ADDR, 4) * 2 ** 32 +
      load(this.#table, at + spec.PCI_MSIX_ENTRY_LOWER_ADDR, 4);
  }

  /** What vector `vector` writes. */
  data(vector: number): number {
    return load(this.#table, vector * spec.PCI_MSIX_ENTRY_SIZE + spec.PCI_MSIX_ENTRY_DATA, 4);
  }

  /** Whether the vector's own mask bit is set. */
  masked(vector: number): boolean {
    const at = vector * spec.PCI_MSIX_ENTRY_SIZE + spec.PCI_MSIX_ENTRY_VECTOR_CTRL;
    return (load(this.#table, at, 4) & spec.PCI_MSIX_ENTRY_CTRL_MASKBIT) !== 0;
  }

  /** Whether the vector waits to be sent. */
  pending(vector: number): boolean {
    return ((this.#pending[vector >> 3] ?? 0) & 1 << (vector & 7)) !== 0;
  }

  /** Marks the vector as waiting. */
  setPending(vector: number): void {
    this.#pending[vector >> 3] = (this.#pending[vector >> 3] ?? 0) | 1 << (vector & 7);
  }

  /** Takes the mark away. */
  clearPending(vector: number): void {
    this.#pending[vector >> 3] = (this.#pending[vector >> 3] ?? 0) & ~(1 << (vector & 7));
  }

  /** Table and pending bits, one behind the other. A copy. */
  snapshot(): Uint8Array {
    const bytes = new Uint8Array(this.#table.length + this.#pending.length);
    bytes.set(this.#table);
    bytes.set(this.#pending, this.#table.length);
    return bytes;
  }

  /** Takes over a {@linkcode snapshot}. False when it is none of such a table, and then nothing has changed. */
  restore(bytes: Uint8Array): boolean {
    if (bytes.length !== this.#table.length + this.#pending.length) return false;
    const pending = bytes.subarray(this.#table.length);
    for (let vector = this.vectors; vector < 8 * pending.length; vector++) {
      if (((pending[vector >> 3] ?? 0) & 1 << (vector & 7)) !== 0) return false;
    }
    for (let at = 0; at < this.#table.length; at += 4) {
      this.write(this.#tableOffset + at, load(bytes, at, 4));
    }
    this.#pending.set(pending);
    return true;
  }

  /** All vectors masked, none pending. */
  reset(): void {
    this.#table.fill(0);
    this.#pending.fill(0);
    for (let vector = 0; vector < this.vectors; vector++) {
      const at = vector * spec.PCI_MSIX_ENTRY_SIZE + spec.PCI_MSIX_ENTRY_VECTOR_CTRL;
      store(this.#table, at, 4, spec.PCI_MSIX_ENTRY_CTRL_MASKBIT);
    }
  }
}

function overlaps(offset: number, length: number, start: number, size: number): boolean {
  return offset < start + size && start < offset + length;
}
