/**
 * A function that a program in a guest drives, as drivers see it. Accesses go in the order in which
 * they are made, and have reached the device when they are done.
 * @module
 */

import { findCapability } from "../../devices/pci/driver_registers.ts";
import type { BarIndex } from "../../devices/pci/pci_device.ts";
import {
  PCI_CAP_ID_MSI,
  PCI_CAP_ID_MSIX,
  PCI_MSI_FLAGS,
  PCI_MSI_FLAGS_ENABLE,
  PCI_MSIX_FLAGS,
  PCI_MSIX_FLAGS_ENABLE,
  PCI_STD_NUM_BARS,
} from "../../devices/pci/spec.ts";
import type { SizedTarget } from "../observe/device_detail.ts";
import { type PciAgent, PciAgentError } from "../vm/pci_agent.ts";

/** Vectors that the program in the guest takes messages of; it refuses to enable more of MSI-X. */
const VECTORS = 64;
/** Where each capability of messages has its flags, and the bit that enables it. */
const FLAGS = [
  { id: PCI_CAP_ID_MSI, at: PCI_MSI_FLAGS, enable: PCI_MSI_FLAGS_ENABLE },
  { id: PCI_CAP_ID_MSIX, at: PCI_MSIX_FLAGS, enable: PCI_MSIX_FLAGS_ENABLE },
] as const;

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

/** A capability of messages: the offset of its flags, and whether it is enabled. */
interface Messages {
  readonly id: number;
  readonly at: number;
  readonly enable: number;
  enabled: boolean;
}

/** `PciTarget` over {@linkcode PciAgent}. */
export class QemuTarget implements SizedTarget {
  readonly endpoint: number;
  readonly #options: QemuTargetOptions;
  /** Messages that were not taken, by vector. */
  readonly #messages: number[] = new Array(VECTORS).fill(0);
  readonly #capabilities: Messages[] = [];
  /** Bytes of each BAR, or null. */
  readonly #sizes: (number | null)[] = [];

  private constructor(options: QemuTargetOptions) {
    this.endpoint = options.endpoint;
    this.#options = options;
  }

  /** Looks for what it has to know. @throws {PciAgentError | GuestError} */
  static async open(options: QemuTargetOptions): Promise<QemuTarget> {
    const target = new QemuTarget(options);
    for (const { id, at, enable } of FLAGS) {
      const base = await findCapability(target, id);
      if (base !== null) target.#capabilities.push({ id, at: base + at, enable, enabled: false });
    }
    for (let bar = 0; bar < PCI_STD_NUM_BARS; bar++) {
      target.#sizes.push(Number(await target.#do("bar", bar)) || null);
    }
    return target;
  }

  async configRead(offset: number, size: 1 | 2 | 4): Promise<number> {
    return Number(await this.#do("cr", offset, size));
  }

  async configWrite(offset: number, size: 1 | 2 | 4, value: number): Promise<void> {
    await this.collect();
    await this.#do("cw", offset, size, value);
    for (const capability of this.#capabilities) {
      const { at, enable } = capability;
      if (offset >= at + 2 || at >= offset + size) continue;
      capability.enabled = (await this.configRead(at, 2) & enable) !== 0;
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

  /** Whether it has the capability of MSI-X. */
  get hasMsix(): boolean {
    return this.#capabilities.some(({ id }) => id === PCI_CAP_ID_MSIX);
  }

  barSize(bar: BarIndex): number | null {
    return this.#sizes[bar] ?? null;
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
    for (const capability of this.#capabilities) capability.enabled = false;
  }

  inspect(): Promise<Record<string, unknown>> {
    return this.#options.inspect();
  }

  /**
   * Counts the messages that the guest has got. Between a device and a guest one that has not been
   * looked at swallows the next, so this is called whenever the device may have sent one.
   */
  async collect(): Promise<void> {
    if (!this.#capabilities.some(({ enabled }) => enabled)) return;
    const arrived = await this.#do("arrived");
    for (let vector = 0; arrived >> BigInt(vector) !== 0n; vector++) {
      if ((arrived >> BigInt(vector) & 1n) === 0n) continue;
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
