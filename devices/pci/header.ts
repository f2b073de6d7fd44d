/**
 * The type 0 header of a function, from what its device says of itself (PCI 3.0, 6.1).
 * @module
 */

import { hex } from "../../core/address.ts";
import { barRegisters, barSpace } from "./bars.ts";
import type { PciDevice } from "./pci_device.ts";
import { type RegisterBlock, registerBlock } from "./registers.ts";
import * as spec from "./spec.ts";

/**
 * The header. I/O and memory enable are writable when there is a BAR they could enable; the
 * expansion ROM is absent and reads 0.
 * @throws {RangeError} when identity, BARs or pin are malformed
 */
export function type0Header(device: PciDevice): RegisterBlock {
  const { ident, bars } = device;
  const pin = device.interrupts?.pin ?? 0;
  if (!Number.isInteger(pin) || pin < 0 || pin > 4) {
    throw new RangeError(`Cannot use interrupt pin ${pin}: it is 1 to 4 for INTA to INTD, or 0`);
  }
  checkField("vendor ID", ident.vendorId, 16);
  if (ident.vendorId === 0xffff) {
    throw new RangeError("Cannot use vendor ID 0xffff: it says that no function is there");
  }
  const subsystemVendorId = ident.subsystemVendorId ?? 0, subsystemId = ident.subsystemId ?? 0;
  checkField("device ID", ident.deviceId, 16);
  checkField("revision ID", ident.revisionId, 8);
  checkField("class code", ident.classCode, 24);
  checkField("subsystem vendor ID", subsystemVendorId, 16);
  checkField("subsystem ID", subsystemId, 16);

  const spaces = bars.map(barSpace);
  const command = spec.PCI_COMMAND_MASTER | spec.PCI_COMMAND_PARITY | spec.PCI_COMMAND_SERR |
    spec.PCI_COMMAND_INTX_DISABLE |
    (spaces.includes("memory") ? spec.PCI_COMMAND_MEMORY : 0) |
    (spaces.includes("io") ? spec.PCI_COMMAND_IO : 0);
  return registerBlock(spec.PCI_STD_HEADER_SIZEOF, [
    { at: spec.PCI_VENDOR_ID, size: 2, initial: ident.vendorId },
    { at: spec.PCI_DEVICE_ID, size: 2, initial: ident.deviceId },
    { at: spec.PCI_COMMAND, size: 2, writable: command },
    { at: spec.PCI_STATUS, size: 2, clearable: spec.PCI_STATUS_ERROR_BITS },
    { at: spec.PCI_REVISION_ID, size: 1, initial: ident.revisionId },
    { at: spec.PCI_CLASS_PROG, size: 1, initial: ident.classCode & 0xff },
    { at: spec.PCI_CLASS_DEVICE, size: 2, initial: ident.classCode >> 8 },
    { at: spec.PCI_CACHE_LINE_SIZE, size: 1, writable: 0xff },
    { at: spec.PCI_HEADER_TYPE, size: 1, initial: spec.PCI_HEADER_TYPE_NORMAL },
    ...barRegisters(bars),
    { at: spec.PCI_SUBSYSTEM_VENDOR_ID, size: 2, initial: subsystemVendorId },
    { at: spec.PCI_SUBSYSTEM_ID, size: 2, initial: subsystemId },
    { at: spec.PCI_INTERRUPT_LINE, size: 1, writable: 0xff },
    { at: spec.PCI_INTERRUPT_PIN, size: 1, initial: pin },
  ]);
}

function checkField(name: string, value: number, bits: number): void {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** bits) {
    throw new RangeError(`Cannot use ${name} ${hex(value)}: it has ${bits} bits`);
  }
}
