/**
 * A function that a program in a guest drives, as drivers see it. Accesses go in the order in which
 * they are made, and have reached the device when they are done.
 * @module
 */

import type { BarIndex } from "../../devices/pci/pci_device.ts";
import type { PciTarget } from "../../devices/pci/pci_driver.ts";
import { findCapability } from "../../devices/pci/driver_registers.ts";
import {
  PCI_CAP_ID_MSI,
  PCI_MSI_FLAGS,
  PCI_MSI_FLAGS_ENABLE,
  PCI_MSI_FLAGS_QSIZE,
} from "../../devices/pci/spec.ts";
import { type PciAgent, PciAgentError } from "../vm/pci_agent.ts";

/** Vectors of an MSI capability at most. */
const VECTORS = 32;
/** Multiple Message Enable: the number of vectors as a power of two (PCI 3.0, 6.8.1.3). */
const QSIZE_SHIFT = 4;

/** What a function needs beside its guest. */
export interface QemuTargetOptions {
  readonly endpoint: number;
  readonly agent: PciAgent;
  /** The program's number for the function. */
  readonly handle: bigint;
  /** A look into the model. */
  readonly inspect: () => Promise<Record<string, unknown>>;
  /** Called before each access, which may make the device do something. */
  readonly touched: () => void;
  /** Called when the guest itself has failed, and not a command in it. */
  readonly failed: (error: unknown) => void;
}

/** {@linkcode PciTarget} over {@linkcode PciAgent}. */
export class QemuTarget implements PciTarget {
  readonly endpoint: number;
  readonly #options: QemuTargetOptions;
  readonly #messages: number[] = new Array(VECTORS).fill(0);
  /** Offset of the MSI capability, and vectors that are on. */
  #msi: { readonly at: number; vectors: number } | null = null;

  private constructor(options: QemuTargetOptions) {
    this.endpoint = options.endpoint;
    this.#options = options;
  }

  /** Looks for what it has to know. @throws {PciAgentError | GuestError} */
  static async open(options: QemuTargetOptions): Promise<QemuTarget> {
    const target = new QemuTarget(options);
    const at = await findCapability(target, PCI_CAP_ID_MSI);
    if (at !== null) target.#msi = { at, vectors: 0 };
    return target;
  }

  async configRead(offset: number, size: 1 | 2 | 4): Promise<number> {
    return Number(await this.#do("cr", offset, size));
  }

  async configWrite(offset: number, size: 1 | 2 | 4, value: number): Promise<void> {
    await this.collect();
    await this.#do("cw", offset, size, value);
    const msi = this.#msi;
    if (msi !== null && offset === msi.at + PCI_MSI_FLAGS) {
      const on = (value & PCI_MSI_FLAGS_ENABLE) !== 0;
      msi.vectors = on ? 1 << ((value & PCI_MSI_FLAGS_QSIZE) >> QSIZE_SHIFT) : 0;
    }
  }

  async barRead(bar: BarIndex, offset: number, size: 1 | 2 | 4): Promise<number> {
    return Number(await this.#do("br", bar, offset, size));
  }

  async barWrite(bar: BarIndex, offset: number, size: 1 | 2 | 4, value: number): Promise<void> {
    await this.#do("bw", bar, offset, size, value);
    await this.collect();
  }

  async barRead64(bar: BarIndex, offset: number): Promise<bigint> {
    return await this.#do("br", bar, offset, 8);
  }

  async barWrite64(bar: BarIndex, offset: number, value: bigint): Promise<void> {
    await this.#do("bw", bar, offset, 8, value);
    await this.collect();
  }

  async takeInterrupts(vector: number): Promise<number> {
    await this.collect();
    const count = this.#messages[vector] ?? 0;
    if (vector < VECTORS) this.#messages[vector] = 0;
    return count;
  }

  async intxAsserted(): Promise<boolean> {
    return await this.#do("intx") === 1n;
  }

  async reset(): Promise<void> {
    await this.#do("reset");
    if (this.#msi !== null) this.#msi.vectors = 0;
  }

  inspect(): Promise<Record<string, unknown>> {
    return this.#options.inspect();
  }

  /**
   * Counts the messages that the guest has got. Between a device and a guest one that has not been
   * looked at swallows the next, so this is called whenever the device may have sent one.
   */
  async collect(): Promise<void> {
    const vectors = Math.min(this.#msi?.vectors ?? 0, VECTORS);
    for (let vector = 0; vector < vectors; vector++) {
      this.#messages[vector]! += Number(await this.#do("take", vector));
    }
  }

  /** Lets go of the function. */
  async close(): Promise<void> {
    await this.#do("close");
  }

  async #do(command: string, ...words: readonly (number | bigint)[]): Promise<bigint> {
    const { agent, handle, touched, failed } = this.#options;
    touched();
    try {
      return await agent.do(command, handle, ...words);
    } catch (error) {
      if (!(error instanceof PciAgentError)) failed(error);
      throw error;
    }
  }
}
