/**
 * What a driver half talks to: one PCI function as the guest reaches it,
 * wherever the device lives. Everything is a promise, since the function may be
 * in another process or behind a virtual machine; behind a plain call it has
 * already happened when the promise resolves.
 * @module
 */

import type { BarIndex } from "./pci_device.ts";

/** A PCI function seen from the driver's side. */
export interface PciTarget {
  /** PCI requester ID: bus << 8 | device << 3 | function. The endpoint ID of the function's DMA. */
  readonly endpoint: number;

  /** Unsigned value of `size` bytes of configuration space, at an offset aligned to `size`. */
  configRead(offset: number, size: 1 | 2 | 4): Promise<number>;
  /** Stores the low `size` bytes of `value`; read-only bits stay. */
  configWrite(offset: number, size: 1 | 2 | 4, value: number): Promise<void>;

  /** Unsigned value of `size` bytes of a BAR. All ones when nothing decodes the access. */
  barRead(bar: BarIndex, offset: number, size: 1 | 2 | 4): Promise<number>;
  /** Stores the low `size` bytes of `value`. Ignored when nothing decodes the access. */
  barWrite(bar: BarIndex, offset: number, size: 1 | 2 | 4, value: number): Promise<void>;
  /** One 8-byte access, as {@linkcode barRead}. */
  barRead64(bar: BarIndex, offset: number): Promise<bigint>;
  /** One 8-byte access, as {@linkcode barWrite}. */
  barWrite64(bar: BarIndex, offset: number, value: bigint): Promise<void>;

  /** Takes the messages of MSI or MSI-X `vector` that arrived since the last call: how many. */
  takeInterrupts(vector: number): Promise<number>;
  /** Whether the function asserts its INTx pin now. */
  intxAsserted(): Promise<boolean>;

  /** Resets the function as a bus reset does: configuration space and device. */
  reset(): Promise<void>;
  /** {@linkcode PciDevice.inspect} of the model; empty where that fails, which is an error of the device. */
  inspect(): Promise<Record<string, unknown>>;
}
