/**
 * What a client has to know of a remote function's configuration space: where the
 * capabilities stand that it acts on (PCI 3.0, 6.7).
 * @module
 */

import * as pci from "../../../devices/pci/spec.ts";

/** Reads `size` bytes of configuration space. */
export type ConfigReader = (offset: number, size: 1 | 2 | 4) => number;

/** Capabilities that fit into configuration space: the walk's bound, since a server may link them in a circle. */
const MAX_CAPABILITIES = (pci.PCI_CFG_SPACE_SIZE - pci.PCI_STD_HEADER_SIZEOF) / 4;
/** The low bits of every pointer in the list are reserved, and masked. */
const POINTER_MASK = 0xfc;

/** Offsets of the first capability of each ID. */
export function findCapabilities(read: ConfigReader): ReadonlyMap<number, number> {
  const found = new Map<number, number>();
  if ((read(pci.PCI_STATUS, 2) & pci.PCI_STATUS_CAP_LIST) === 0) return found;
  let offset = read(pci.PCI_CAPABILITY_LIST, 1) & POINTER_MASK;
  for (let left = MAX_CAPABILITIES; offset >= pci.PCI_STD_HEADER_SIZEOF && left > 0; left--) {
    const id = read(offset + pci.PCI_CAP_LIST_ID, 1);
    if (!found.has(id)) found.set(id, offset);
    offset = read(offset + pci.PCI_CAP_LIST_NEXT, 1) & POINTER_MASK;
  }
  return found;
}

/** The MSI capability (PCI 3.0, 6.8.1). */
export interface MsiRegisters {
  readonly offset: number;
  /** Bytes of the whole capability. */
  readonly length: number;
  /** Vectors that it can use. */
  readonly vectors: number;
  /** Offset of the mask bits; null when it has none. */
  readonly mask: number | null;
}

/** Reads what an MSI capability at `offset` is like. */
export function readMsi(read: ConfigReader, offset: number): MsiRegisters {
  const flags = read(offset + pci.PCI_MSI_FLAGS, 2);
  const wide = (flags & pci.PCI_MSI_FLAGS_64BIT) !== 0;
  const masks = (flags & pci.PCI_MSI_FLAGS_MASKBIT) !== 0;
  const mask = offset + (wide ? pci.PCI_MSI_MASK_64 : pci.PCI_MSI_MASK_32);
  const data = wide ? pci.PCI_MSI_DATA_64 : pci.PCI_MSI_DATA_32;
  return {
    offset,
    length: masks ? mask - offset + 8 : data + 2,
    vectors: Math.min(pci.PCI_MSI_MAX_VECTORS, 1 << ((flags & pci.PCI_MSI_FLAGS_QMASK) >> 1)),
    mask: masks ? mask : null,
  };
}

/** The MSI-X capability (PCI 3.0, 6.8.2). */
export interface MsixRegisters {
  readonly offset: number;
  readonly vectors: number;
  /** Region index of the table, and offset in it. */
  readonly tableBar: number;
  readonly tableOffset: number;
  readonly pendingBar: number;
  readonly pendingOffset: number;
}

/** Reads what an MSI-X capability at `offset` is like. */
export function readMsix(read: ConfigReader, offset: number): MsixRegisters {
  const table = read(offset + pci.PCI_MSIX_TABLE, 4);
  const pending = read(offset + pci.PCI_MSIX_PBA, 4);
  return {
    offset,
    vectors: (read(offset + pci.PCI_MSIX_FLAGS, 2) & pci.PCI_MSIX_FLAGS_QSIZE) + 1,
    tableBar: table & 7,
    tableOffset: (table & ~7) >>> 0,
    pendingBar: pending & 7,
    pendingOffset: (pending & ~7) >>> 0,
  };
}
