/**
 * What every driver's half does in configuration space: find a capability, and
 * switch MSI on and off.
 * @module
 */

import { hex } from "../../core/address.ts";
import type { PciTarget } from "./pci_driver.ts";
import {
  PCI_CAP_ID_MSI,
  PCI_CAP_LIST_ID,
  PCI_CAP_LIST_NEXT,
  PCI_CAPABILITY_LIST,
  PCI_CFG_SPACE_SIZE,
  PCI_MSI_ADDRESS_HI,
  PCI_MSI_ADDRESS_LO,
  PCI_MSI_DATA_32,
  PCI_MSI_DATA_64,
  PCI_MSI_FLAGS,
  PCI_MSI_FLAGS_64BIT,
  PCI_MSI_FLAGS_ENABLE,
  PCI_MSI_FLAGS_QSIZE,
  PCI_STATUS,
  PCI_STATUS_CAP_LIST,
  PCI_STD_HEADER_SIZEOF,
} from "./spec.ts";

/** Where MSI messages go, and what they say. */
export interface MsiMessage {
  /** A multiple of 4 below 2^52. */
  readonly address: number;
  /** 16 bits. */
  readonly data: number;
}

/** The x86 local APIC of CPU 0, vector 0x41: edge-triggered, fixed delivery. */
const DEFAULT_MESSAGE: MsiMessage = { address: 0xfee0_0000, data: 0x41 };
/** Capabilities that fit into configuration space: the walk's bound. */
const MAX_CAPABILITIES = (PCI_CFG_SPACE_SIZE - PCI_STD_HEADER_SIZEOF) / 4;
/** The low bits of every pointer in the list are reserved, and masked (PCI 3.0, 6.7). */
const POINTER_MASK = 0xfc;

/** Offset of the first capability with this ID, or null. Reads what a guest reads, and trusts none of it. */
export async function findCapability(target: PciTarget, id: number): Promise<number | null> {
  if (((await target.configRead(PCI_STATUS, 2)) & PCI_STATUS_CAP_LIST) === 0) return null;
  let offset = await target.configRead(PCI_CAPABILITY_LIST, 1) & POINTER_MASK;
  // Bounded: a broken device may link its capabilities in a circle.
  for (let left = MAX_CAPABILITIES; offset >= PCI_STD_HEADER_SIZEOF && left > 0; left--) {
    if (await target.configRead(offset + PCI_CAP_LIST_ID, 1) === id) return offset;
    offset = await target.configRead(offset + PCI_CAP_LIST_NEXT, 1) & POINTER_MASK;
  }
  return null;
}

/**
 * Switches from INTx to MSI with one vector.
 * @throws {Error} when there is no MSI capability
 * @throws {RangeError} when the address is too wide for it
 */
export async function enableMsi(
  target: PciTarget,
  message: MsiMessage = DEFAULT_MESSAGE,
): Promise<void> {
  const base = await msiCapability(target);
  const control = await target.configRead(base + PCI_MSI_FLAGS, 2);
  const wide = (control & PCI_MSI_FLAGS_64BIT) !== 0;
  const high = Math.floor(message.address / 2 ** 32);
  if (high !== 0 && !wide) {
    throw new RangeError(
      `Cannot enable MSI at address ${hex(message.address)}: the capability takes 32 bits`,
    );
  }
  await target.configWrite(base + PCI_MSI_ADDRESS_LO, 4, message.address % 2 ** 32);
  if (wide) await target.configWrite(base + PCI_MSI_ADDRESS_HI, 4, high);
  await target.configWrite(base + (wide ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32), 2, message.data);
  const enabled = (control & ~PCI_MSI_FLAGS_QSIZE) | PCI_MSI_FLAGS_ENABLE;
  await target.configWrite(base + PCI_MSI_FLAGS, 2, enabled);
}

/** Switches back to INTx. @throws {Error} when there is no MSI capability */
export async function disableMsi(target: PciTarget): Promise<void> {
  const base = await msiCapability(target);
  const control = await target.configRead(base + PCI_MSI_FLAGS, 2);
  await target.configWrite(base + PCI_MSI_FLAGS, 2, control & ~PCI_MSI_FLAGS_ENABLE);
}

/**
 * A register value of 64 bits, from what a caller has.
 * @param name what it is, for the error
 * @throws {RangeError} when `value` is no unsigned 64-bit integer, or a number too large to be exact
 */
export function toRegister64(name: string, value: number | bigint): bigint {
  const exact = typeof value === "bigint"
    ? BigInt.asUintN(64, value) === value
    : Number.isSafeInteger(value) && value >= 0;
  if (!exact) {
    throw new RangeError(
      `Cannot program ${name} ${value}: want 64 bits unsigned, from 2^53 on as a bigint`,
    );
  }
  return BigInt(value);
}

async function msiCapability(target: PciTarget): Promise<number> {
  const offset = await findCapability(target, PCI_CAP_ID_MSI);
  if (offset !== null) return offset;
  throw new Error(
    `Cannot find the MSI capability of endpoint ${hex(target.endpoint, 4)}: ` +
      `no entry of its capability list has ID ${hex(PCI_CAP_ID_MSI, 2)}`,
  );
}
