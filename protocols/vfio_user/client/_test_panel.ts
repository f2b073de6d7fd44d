/**
 * A device for tests of the client: a panel of switches for its interrupts, registers
 * that tell 8 bytes from two of 4, a page that clients may map, and DMA of one dword.
 */

import type { Iova } from "../../../core/address.ts";
import {
  advancedFeaturesCapability,
  expressCapability,
  powerManagementCapability,
} from "../../../devices/pci/capabilities.ts";
import type {
  AccessSize,
  BarIndex,
  BarLayout,
  PciDevice,
  PciHost,
} from "../../../devices/pci/pci_device.ts";

export const PANEL_VECTORS = 5;
/** Byte offsets in BAR 0. */
export const Panel = {
  /** WO: raises the vector written. */
  RAISE: 0x00,
  /** RW: the level of INTx. */
  INTX: 0x04,
  /** RW, 8 bytes at once alone. */
  WIDE: 0x10,
  /** RW: the IOVA of the next two. */
  ADDRESS: 0x20,
  /** RO: the dword at ADDRESS; all ones when it cannot be read. */
  FETCH: 0x24,
  /** WO: stores at ADDRESS. STORED says how that went: 0, or minus the fault. */
  STORE: 0x28,
  STORED: 0x2c,
  /** Clients may map it. */
  PAGE: 0x1000,
} as const;

export class PanelDevice implements PciDevice {
  readonly type = "panel";
  readonly ident = { vendorId: 0x1234, deviceId: 0x5678, revisionId: 1, classCode: 0xff0000 };
  readonly bars: readonly BarLayout[] = [
    { index: 0, size: 0x2000, kind: "mmio32", shared: { offset: Panel.PAGE, length: 0x1000 } },
    { index: 2, size: 0x1000, kind: "mmio32" },
  ];
  readonly interrupts = {
    pin: 1,
    msi: { vectors: 4, perVectorMasking: true },
    msix: { vectors: PANEL_VECTORS, bar: 2, tableOffset: 0x100, pendingOffset: 0x800 },
  } as const;
  readonly capabilities = [
    powerManagementCapability(),
    advancedFeaturesCapability(),
    expressCapability(),
  ];
  #host!: PciHost;
  #intx = 0;
  #wide = 0n;
  #address = 0;
  #stored = 0;
  #page: Uint8Array = new Uint8Array(0x1000);

  attach(host: PciHost): void {
    this.#host = host;
  }

  share(_bar: BarIndex, bytes: Uint8Array): void {
    this.#page = bytes;
  }

  barRead(bar: BarIndex, offset: number, _size: AccessSize): number {
    if (bar !== 0) return 0x2222_0000 + offset;
    switch (offset) {
      case Panel.INTX:
        return this.#intx;
      case Panel.FETCH: {
        const value = this.#host.memory.readU32(this.#address as Iova);
        return value < 0 ? 0xffff_ffff : value;
      }
      case Panel.STORED:
        return this.#stored;
      default:
        return 0xffff_ffff;
    }
  }

  barWrite(bar: BarIndex, offset: number, _size: AccessSize, value: number): void {
    if (bar !== 0) return;
    switch (offset) {
      case Panel.RAISE:
        this.#host.interrupts.raise(value);
        break;
      case Panel.INTX:
        this.#intx = value;
        this.#host.interrupts.setIntx(value !== 0);
        break;
      case Panel.ADDRESS:
        this.#address = value;
        break;
      case Panel.STORE:
        this.#stored = -this.#host.memory.writeU32(this.#address as Iova, value);
        break;
    }
  }

  barRead64(_bar: BarIndex, offset: number): bigint {
    return offset === Panel.WIDE ? this.#wide : 0n;
  }

  barWrite64(_bar: BarIndex, offset: number, value: bigint): void {
    if (offset === Panel.WIDE) this.#wide = value;
  }

  reset(): void {
    this.#intx = this.#address = this.#stored = 0;
    this.#wide = 0n;
    this.#page.fill(0);
    this.#host.interrupts.setIntx(false);
  }

  inspect(): Record<string, unknown> {
    return { intx: this.#intx };
  }
}
