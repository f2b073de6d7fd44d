/**
 * A device for 1 MiB at a time: a BAR of plain memory, and a register that moves as much by DMA.
 * @module
 */

import type { Iova } from "../../../core/address.ts";
import type {
  AccessSize,
  BarIndex,
  BarLayout,
  PciDevice,
  PciHost,
} from "../../../devices/pci/pci_device.ts";

/** Bytes of everything that moves. */
export const BULK_BYTES = 2 ** 20;
/** Where the client maps the memory that is read and written; `floor.c` says the same. */
export const BULK_IOVA = 2 ** 40 as Iova;
/** The memory. */
export const BULK_BAR = 2;

/** What is written to the first register, in BAR 0, to have 1 MiB moved before the write is answered. */
export const BulkCommand = {
  /** From the client's memory to the device's. */
  READ: 1,
  /** From the device's memory to the client's. */
  WRITE: 2,
} as const;

/** See the module. */
export class BulkDevice implements PciDevice {
  readonly type = "bench-bulk";
  readonly ident = { vendorId: 0x1b36, deviceId: 0x11ff, revisionId: 0, classCode: 0xff_0000 };
  readonly bars: readonly BarLayout[] = [
    { index: 0, size: 4096, kind: "mmio32" },
    {
      index: BULK_BAR,
      size: BULK_BYTES,
      kind: "mmio32",
      shared: { offset: 0, length: BULK_BYTES },
    },
  ];
  readonly #bytes = new Uint8Array(BULK_BYTES);
  #host: PciHost | null = null;
  /** What the last DMA came to: 0, or a fault. */
  #status = 0;

  attach(host: PciHost): void {
    this.#host = host;
  }

  /** Its bytes are the client's business alone. */
  share(): void {}

  barRead(): number {
    return this.#status >>> 0;
  }

  barWrite(_bar: BarIndex, _offset: number, _size: AccessSize, value: number): void {
    const { memory } = this.#host!;
    if (value === BulkCommand.READ) this.#status = memory.read(BULK_IOVA, this.#bytes);
    else if (value === BulkCommand.WRITE) this.#status = memory.write(BULK_IOVA, this.#bytes);
  }

  reset(): void {
    this.#status = 0;
  }

  inspect(): Record<string, unknown> {
    return { status: this.#status };
  }
}
