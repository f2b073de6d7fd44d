/**
 * MSI and MSI-X as the guest programs them (PCI 3.0, 6.8).
 * @module
 */

import { MAX_ADDRESS } from "../../core/address.ts";
import type { ConfigSpace } from "./config_space.ts";
import type { InterruptSink, MessageRouter } from "./interrupts.ts";
import type { MsixTable } from "./msix_table.ts";
import { load } from "./registers.ts";
import * as spec from "./spec.ts";

/** Where the registers are. */
export interface MessageRegisters {
  /** Offset of the MSI capability, if there is one. */
  readonly msi: number | undefined;
  /** Offset of the MSI-X capability, if there is one. */
  readonly msix: number | undefined;
  /** With an MSI-X capability. */
  readonly table: MsixTable | undefined;
}

/**
 * Routes messages by the capability registers. When software has both forms on, which is undefined,
 * MSI-X is taken.
 */
export class RegisterMessages implements MessageRouter {
  readonly #config: ConfigSpace;
  readonly #msi: number | undefined;
  readonly #msix: number | undefined;
  readonly #table: MsixTable | undefined;
  readonly #sink: InterruptSink;

  constructor(config: ConfigSpace, registers: MessageRegisters, sink: InterruptSink) {
    this.#config = config;
    this.#msi = registers.msi;
    this.#msix = registers.msix;
    this.#table = registers.table;
    this.#sink = sink;
  }

  get mode(): "msi" | "msix" | null {
    if ((this.#msixControl() & spec.PCI_MSIX_FLAGS_ENABLE) !== 0) return "msix";
    if ((this.#msiControl() & spec.PCI_MSI_FLAGS_ENABLE) !== 0) return "msi";
    return null;
  }

  raise(vector: number): void {
    if (!Number.isInteger(vector) || vector < 0) return;
    const mode = this.mode;
    if (mode === "msix") this.#raiseMsix(vector);
    else if (mode === "msi") this.#raiseMsi(vector);
  }

  flush(): void {
    const mode = this.mode;
    if (mode === "msix") this.#flushMsix();
    else if (mode === "msi") this.#flushMsi();
  }

  reset(): void {
    this.#table?.reset();
  }

  /**
   * Takes over which vectors of MSI are pending, of configuration space as it was elsewhere: no
   * software can write them, so nothing else brings them along.
   */
  restore(config: Uint8Array): void {
    const base = this.#msi, control = this.#msiControl();
    if (base === undefined || (control & spec.PCI_MSI_FLAGS_MASKBIT) === 0) return;
    const at = base + pendingAt(control);
    const vectors = 1 << ((control & spec.PCI_MSI_FLAGS_QMASK) >> 1);
    this.#config.set(at, 4, load(config, at, 4) & 2 ** vectors - 1);
  }

  inspect(): Record<string, unknown> {
    const table = this.#table;
    return {
      ...(this.#msi === undefined ? {} : { msiGranted: this.#granted(this.#msiControl()) }),
      ...(table === undefined ? {} : {
        msixPending: Array.from({ length: table.vectors }, (_, vector) => vector)
          .filter((vector) => table.pending(vector)),
      }),
    };
  }

  #raiseMsix(vector: number): void {
    const table = this.#table;
    if (table === undefined || vector >= table.vectors) return;
    if (this.#functionMasked() || table.masked(vector)) table.setPending(vector);
    else this.#send(table.address(vector), table.data(vector), vector);
  }

  #flushMsix(): void {
    const table = this.#table;
    if (table === undefined || this.#functionMasked()) return;
    for (let vector = 0; vector < table.vectors; vector++) {
      if (!table.pending(vector) || table.masked(vector)) continue;
      table.clearPending(vector);
      this.#send(table.address(vector), table.data(vector), vector);
    }
  }

  #raiseMsi(vector: number): void {
    const base = this.#msi, control = this.#msiControl();
    if (base === undefined || vector >= this.#granted(control)) return;
    if ((control & spec.PCI_MSI_FLAGS_MASKBIT) !== 0) {
      const bit = 1 << vector;
      if ((this.#config.get(base + maskAt(control), 4) & bit) !== 0) {
        const at = base + pendingAt(control);
        this.#config.set(at, 4, this.#config.get(at, 4) | bit);
        return;
      }
    }
    this.#sendMsi(base, control, vector);
  }

  #flushMsi(): void {
    const base = this.#msi, control = this.#msiControl();
    if (base === undefined || (control & spec.PCI_MSI_FLAGS_MASKBIT) === 0) return;
    const granted = this.#granted(control), at = base + pendingAt(control);
    for (let vector = 0; vector < granted; vector++) {
      const bit = 1 << vector, pending = this.#config.get(at, 4);
      if ((pending & bit & ~this.#config.get(base + maskAt(control), 4)) === 0) continue;
      this.#config.set(at, 4, pending & ~bit);
      this.#sendMsi(base, control, vector);
    }
  }

  /** The vectors that software has granted: it may not grant more than were asked for. */
  #granted(control: number): number {
    const asked = (control & spec.PCI_MSI_FLAGS_QMASK) >> 1;
    return 1 << Math.min((control & spec.PCI_MSI_FLAGS_QSIZE) >> 4, asked);
  }

  #sendMsi(base: number, control: number, vector: number): void {
    const wide = (control & spec.PCI_MSI_FLAGS_64BIT) !== 0;
    const high = wide ? this.#config.get(base + spec.PCI_MSI_ADDRESS_HI, 4) : 0;
    const low = this.#config.get(base + spec.PCI_MSI_ADDRESS_LO, 4);
    const data = this.#config.get(base + (wide ? spec.PCI_MSI_DATA_64 : spec.PCI_MSI_DATA_32), 2);
    // The function tells its vectors apart by the low bits of the data (PCI 3.0, 6.8.1.6).
    this.#send(high * 2 ** 32 + low, data & ~(this.#granted(control) - 1) | vector, vector);
  }

  /** A message to an address that does not exist is lost, as such a write would be. */
  #send(address: number, data: number, vector: number): void {
    if (address <= MAX_ADDRESS) this.#sink.message(address, data, vector);
  }

  #functionMasked(): boolean {
    return (this.#msixControl() & spec.PCI_MSIX_FLAGS_MASKALL) !== 0;
  }

  #msiControl(): number {
    return this.#msi === undefined ? 0 : this.#config.get(this.#msi + spec.PCI_MSI_FLAGS, 2);
  }

  #msixControl(): number {
    return this.#msix === undefined ? 0 : this.#config.get(this.#msix + spec.PCI_MSIX_FLAGS, 2);
  }
}

function maskAt(control: number): number {
  return (control & spec.PCI_MSI_FLAGS_64BIT) !== 0 ? spec.PCI_MSI_MASK_64 : spec.PCI_MSI_MASK_32;
}

function pendingAt(control: number): number {
  return (control & spec.PCI_MSI_FLAGS_64BIT) !== 0
    ? spec.PCI_MSI_PENDING_64
    : spec.PCI_MSI_PENDING_32;
}
