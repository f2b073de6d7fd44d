/**
 * The host bridge: the function at 00:00.0 by which software finds the root complex. It has no BARs
 * and does nothing.
 * @module
 */

import type { PciDevice, PciIdent } from "./pci_device.ts";

/** QEMU's generic PCI Express host bridge, for which no system has a driver that would touch it. */
const IDENT: PciIdent = {
  vendorId: 0x1b36,
  deviceId: 0x0008,
  revisionId: 0,
  classCode: 0x060000,
  subsystemVendorId: 0x1af4,
  subsystemId: 0x1100,
};

/** See the module. */
export class HostBridge implements PciDevice {
  readonly type = "host-bridge";
  readonly ident: PciIdent = IDENT;
  readonly bars = [];

  attach(): void {}

  barRead(): number {
    return 0xffff_ffff;
  }

  barWrite(): void {}

  reset(): void {}

  inspect(): Record<string, unknown> {
    return {};
  }
}
