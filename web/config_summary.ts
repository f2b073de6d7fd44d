/**
 * A function's header in words.
 * @module
 */

import * as spec from "../devices/pci/spec.ts";
import type { ConfigSummary } from "./api.ts";

const COMMAND_FLAGS: readonly (readonly [number, string])[] = [
  [spec.PCI_COMMAND_IO, "io"],
  [spec.PCI_COMMAND_MEMORY, "memory"],
  [spec.PCI_COMMAND_MASTER, "bus-master"],
  [spec.PCI_COMMAND_PARITY, "parity"],
  [spec.PCI_COMMAND_SERR, "serr"],
  [spec.PCI_COMMAND_INTX_DISABLE, "intx-disable"],
];

const CAPABILITIES: Readonly<Record<number, string>> = {
  [spec.PCI_CAP_ID_PM]: "Power Management",
  [spec.PCI_CAP_ID_MSI]: "MSI",
  [spec.PCI_CAP_ID_VNDR]: "Vendor Specific",
  [spec.PCI_CAP_ID_EXP]: "PCI Express",
  [spec.PCI_CAP_ID_MSIX]: "MSI-X",
  [spec.PCI_CAP_ID_AF]: "Advanced Features",
};

/** Capabilities that are followed: no longer list fits. */
const MAX_CAPABILITIES = 48;

/** The bytes that `hex` spells, two digits each. */
export function bytesOf(hex: string): Uint8Array {
  const bytes = new Uint8Array(hex.length / 2);
  for (let at = 0; at < bytes.length; at++) {
    bytes[at] = parseInt(hex.slice(2 * at, 2 * at + 2), 16);
  }
  return bytes;
}

/** What the header says; null when nobody answers there (the vendor reads all ones). */
export function configSummary(config: Uint8Array): ConfigSummary | null {
  const view = new DataView(config.buffer, config.byteOffset, config.byteLength);
  const vendorId = view.getUint16(spec.PCI_VENDOR_ID, true);
  if (vendorId === 0xffff) return null;
  const command = view.getUint16(spec.PCI_COMMAND, true);
  const status = view.getUint16(spec.PCI_STATUS, true);
  const capabilities: { offset: number; id: number; name: string }[] = [];
  const seen = new Set<number>();
  let at = (status & spec.PCI_STATUS_CAP_LIST) === 0
    ? 0
    : view.getUint8(spec.PCI_CAPABILITY_LIST) & ~3;
  while (at >= 0x40 && at < config.length - 1 && !seen.has(at) && seen.size < MAX_CAPABILITIES) {
    seen.add(at);
    const id = view.getUint8(at + spec.PCI_CAP_LIST_ID);
    const name = CAPABILITIES[id] ?? `capability 0x${id.toString(16).padStart(2, "0")}`;
    capabilities.push({ offset: at, id, name });
    at = view.getUint8(at + spec.PCI_CAP_LIST_NEXT) & ~3;
  }
  return {
    vendorId,
    deviceId: view.getUint16(spec.PCI_DEVICE_ID, true),
    revisionId: view.getUint8(spec.PCI_REVISION_ID),
    classCode: view.getUint32(spec.PCI_REVISION_ID, true) >>> 8,
    subsystemVendorId: view.getUint16(spec.PCI_SUBSYSTEM_VENDOR_ID, true),
    subsystemId: view.getUint16(spec.PCI_SUBSYSTEM_ID, true),
    command,
    status,
    commandFlags: COMMAND_FLAGS.filter(([bit]) => (command & bit) !== 0).map(([, name]) => name),
    capabilities,
  };
}
