/**
 * The MSI-X table and pending bits of a remote function, kept on the client's side
 * as a VMM does: the server learns of eventfds alone (PCI 3.0, 6.8.2).
 * @module
 */

import { MsixTable } from "../../../devices/pci/msix_table.ts";
import * as pci from "../../../devices/pci/spec.ts";
import type { MsixRegisters } from "./remote_config.ts";

/** Where the parts stand in {@linkcode MsixTable}, which has both in one BAR. */
const BAR = 0, TABLE = 0;

/** See the module. */
export class VectorTable {
  readonly #registers: MsixRegisters;
  readonly #table: MsixTable;
  readonly #tableLength: number;
  readonly #pendingLength: number;

  /** All vectors masked, none pending. */
  constructor(registers: MsixRegisters) {
    this.#registers = registers;
    const { vectors } = registers;
    this.#tableLength = vectors * pci.PCI_MSIX_ENTRY_SIZE;
    this.#pendingLength = Math.ceil(vectors / 64) * 8;
    this.#table = new MsixTable(
      { vectors, bar: BAR, tableOffset: TABLE, pendingOffset: this.#tableLength },
      [{ index: BAR, size: 0x10_0000, kind: "mmio64" }],
    );
  }

  /** Whether it is the table that these registers describe. */
  isFor(registers: MsixRegisters): boolean {
    const own = this.#registers;
    return own.vectors === registers.vectors && own.tableBar === registers.tableBar &&
      own.tableOffset === registers.tableOffset && own.pendingBar === registers.pendingBar &&
      own.pendingOffset === registers.pendingOffset;
  }

  /** Whether a byte of the access is the table's or the pending bits'. */
  covers(bar: number, offset: number, length: number): boolean {
    const { tableBar, tableOffset, pendingBar, pendingOffset } = this.#registers;
    return bar === tableBar && offset < tableOffset + this.#tableLength &&
        tableOffset < offset + length ||
      bar === pendingBar && offset < pendingOffset + this.#pendingLength &&
        pendingOffset < offset + length;
  }

  /** The dword at an offset that is a multiple of 4. */
  read(bar: number, offset: number): number {
    const at = this.#place(bar, offset);
    return at === null ? 0xffff_ffff : this.#table.read(at);
  }

  /** Stores the dword at an offset that is a multiple of 4. Pending bits are read-only. */
  write(bar: number, offset: number, value: number): void {
    const at = this.#place(bar, offset);
    if (at !== null) this.#table.write(at, value);
  }

  /** Whether the vector's own mask bit is set. */
  masked(vector: number): boolean {
    return this.#table.masked(vector);
  }

  /** Whether the vector waits to be sent. */
  pending(vector: number): boolean {
    return this.#table.pending(vector);
  }

  /** Marks the vector as waiting, or as not. */
  setPending(vector: number, pending: "pending" | "clear"): void {
    if (pending === "pending") this.#table.setPending(vector);
    else this.#table.clearPending(vector);
  }

  /** All vectors masked, none pending. */
  reset(): void {
    this.#table.reset();
  }

  #place(bar: number, offset: number): number | null {
    const { tableBar, tableOffset, pendingBar, pendingOffset } = this.#registers;
    const inTable = offset - tableOffset;
    if (bar === tableBar && inTable >= 0 && inTable < this.#tableLength) return TABLE + inTable;
    const inPending = offset - pendingOffset;
    if (bar === pendingBar && inPending >= 0 && inPending < this.#pendingLength) {
      return this.#tableLength + inPending;
    }
    return null;
  }
}
