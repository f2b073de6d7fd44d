/**
 * A device for tests that keeps its thread, and that of its driver, busy for long.
 * @module
 */

import type { Iova } from "../../core/address.ts";
import {
  type BarIndex,
  defineDevice,
  type PciDevice,
  type PciHost,
} from "../../devices/pci/pci_device.ts";
import type { PciTarget } from "../../devices/pci/pci_driver.ts";

/** IOVA that all its reads go to. */
const IOVA = 0x1000 as Iova;

/** Reads a byte by DMA as often as is written to a register: to the first with a millisecond after each. */
class Toiler implements PciDevice {
  readonly type = "toiler";
  readonly ident = { vendorId: 0x1234, deviceId: 0x701e, revisionId: 1, classCode: 0xff0000 };
  readonly bars = [{ index: 0, size: 4096, kind: "mmio32" }] as const;
  readonly interrupts = {};
  #host!: PciHost;

  attach(host: PciHost): void {
    this.#host = host;
  }

  barRead(): number {
    return 0;
  }

  barWrite(_bar: BarIndex, offset: number, _size: number, value: number): void {
    const pause = new Int32Array(new SharedArrayBuffer(4));
    for (let at = 0; at < value; at++) {
      this.#host.memory.readU8(IOVA);
      if (offset === 0) Atomics.wait(pause, 0, 0, 1);
    }
  }

  reset(): void {}

  inspect(): Record<string, unknown> {
    return {};
  }
}

export const toiler = defineDevice({
  type: "toiler",
  module: import.meta.url,
  create: (_options: Record<never, never>) => new Toiler(),
  driver: (pci: PciTarget) => {
    const write = async (offset: number, times: number): Promise<void> => {
      await pci.barWrite(0, offset, 4, times);
      // A write is posted; the read behind it waits for it.
      await pci.barRead(0, 0, 4);
    };
    return {
      toil: (times: number): Promise<void> => write(0, times),
      haste: (times: number): Promise<void> => write(4, times),
    };
  },
});
