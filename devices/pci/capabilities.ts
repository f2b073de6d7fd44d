/**
 * Capabilities as data, and builders of those that the specifications define. Where they stand and
 * how they are linked is decided by {@linkcode placeCapabilities}.
 *
 * What a register does is told by observers: the builders bring the rules of the capability
 * itself, and take one more observer from the device that wants to act on an enable bit.
 *
 * @module
 */

import { hex } from "../../core/address.ts";
import type { ConfigSpace } from "./config_space.ts";
import type { InterruptSpec } from "./pci_device.ts";
import {
  observers,
  type RegisterBlock,
  registerBlock,
  type RegisterObserver,
  type RegisterSpec,
  store,
} from "./registers.ts";
import * as spec from "./spec.ts";

/** A capability of the list in the first 256 bytes. Bytes 0 and 1, ID and link, are filled in when it is placed. */
export interface CapabilitySpec extends RegisterBlock {
  /** 8 bits. */
  readonly id: number;
}

/** An extended capability. Bytes 0 to 3, ID, version and link, are filled in when it is placed. */
export interface ExtendedCapabilitySpec extends RegisterBlock {
  /** 16 bits. */
  readonly id: number;
  /** 4 bits; 1 unless told. */
  readonly version?: number;
}

/** Where a capability was placed. */
export interface PlacedCapability {
  /** The capability's ID. */
  readonly id: number;
  /** Offset in configuration space. */
  readonly offset: number;
  /** Bytes. */
  readonly length: number;
}

/**
 * Lays capabilities out from 0x40 on, each at the next multiple of 4, and links them in order.
 * @throws {RangeError} when they do not fit below 0x100 or are malformed
 */
export function placeCapabilities(
  config: ConfigSpace,
  capabilities: readonly CapabilitySpec[],
): readonly PlacedCapability[] {
  const placed = assignOffsets(
    capabilities,
    spec.PCI_STD_HEADER_SIZEOF,
    spec.PCI_CFG_SPACE_SIZE,
    2,
    0xff,
  );
  placed.forEach(({ offset }, index) => {
    const capability = capabilities[index] as CapabilitySpec;
    const initial = capability.initial.slice();
    initial[spec.PCI_CAP_LIST_ID] = capability.id;
    initial[spec.PCI_CAP_LIST_NEXT] = placed[index + 1]?.offset ?? 0;
    config.place(offset, { ...capability, initial });
  });
  const first = placed[0];
  if (first !== undefined) {
    config.setInitial(spec.PCI_CAPABILITY_LIST, 1, first.offset);
    const status = config.get(spec.PCI_STATUS, 2);
    config.setInitial(spec.PCI_STATUS, 2, status | spec.PCI_STATUS_CAP_LIST);
  }
  return placed;
}

/**
 * Lays extended capabilities out from 0x100 on, each at the next multiple of 4, and links them in order.
 * @throws {RangeError} when they do not fit below 0x1000 or are malformed
 */
export function placeExtendedCapabilities(
  config: ConfigSpace,
  capabilities: readonly ExtendedCapabilitySpec[],
): readonly PlacedCapability[] {
  const placed = assignOffsets(
    capabilities,
    spec.PCI_EXT_CAP_START,
    spec.PCI_CFG_SPACE_EXP_SIZE,
    spec.PCI_EXT_CAP_HEADER_SIZEOF,
    0xffff,
  );
  placed.forEach(({ offset }, index) => {
    const capability = capabilities[index] as ExtendedCapabilitySpec;
    const version = capability.version ?? 1;
    checkBits(version, 4, `the version of extended capability ${hex(capability.id, 4)}`);
    const initial = capability.initial.slice();
    const next = placed[index + 1]?.offset ?? 0;
    store(initial, 0, 4, capability.id | version << 16 | next << 20);
    config.place(offset, { ...capability, initial });
  });
  return placed;
}

function assignOffsets(
  capabilities: readonly (CapabilitySpec | ExtendedCapabilitySpec)[],
  start: number,
  end: number,
  headerLength: number,
  maxId: number,
): readonly PlacedCapability[] {
  let offset = start;
  return capabilities.map(({ id, length, writable, clearable }) => {
    if (!Number.isInteger(id) || id < 0 || id > maxId) {
      throw new RangeError(`Cannot place capability ${hex(id)}: IDs end at ${hex(maxId)}`);
    }
    if (!Number.isInteger(length) || length < headerLength) {
      throw new RangeError(
        `Cannot place capability ${
          hex(id)
        }: it has ${length} bytes, its header alone ${headerLength}`,
      );
    }
    for (const mask of [writable, clearable]) {
      if (mask?.subarray(0, headerLength).some((byte) => byte !== 0)) {
        throw new RangeError(`Cannot place capability ${hex(id)}: its header would be writable`);
      }
    }
    const placed = { id, offset, length };
    offset = Math.ceil((offset + length) / 4) * 4;
    if (offset > end) {
      throw new RangeError(
        `Cannot place capability ${hex(id)} of ${length} bytes at ${hex(placed.offset)}: ` +
          `capabilities end at ${hex(end - 1)}`,
      );
    }
    return placed;
  });
}

/** Any capability, from its registers. Offsets count from the capability's first byte. */
export function capability(
  id: number,
  length: number,
  registers: readonly RegisterSpec[],
  observer?: RegisterObserver,
): CapabilitySpec {
  return { id, ...registerBlock(length, registers, observer) };
}

/** Any extended capability, from its registers. Offsets count from the capability's first byte. */
export function extendedCapability(
  id: number,
  length: number,
  registers: readonly RegisterSpec[],
  options: { readonly version?: number; readonly observer?: RegisterObserver } = {},
): ExtendedCapabilitySpec {
  return {
    id,
    version: options.version ?? 1,
    ...registerBlock(length, registers, options.observer),
  };
}

/** What {@linkcode powerManagementCapability} takes. */
export interface PowerManagementOptions {
  /** Whether state D1 exists. */
  readonly d1?: boolean;
  /** Whether state D2 exists. */
  readonly d2?: boolean;
  /** Whether the function keeps its state on the way from D3hot to D0. False unless told: it is reset. */
  readonly noSoftReset?: boolean;
}

/** Power management (PCI Power Management 1.2, 3.2): D0, D3hot and those asked for; no PME. */
export function powerManagementCapability(options: PowerManagementOptions = {}): CapabilitySpec {
  const supported = (state: number): boolean =>
    state === 1 ? options.d1 === true : state === 2 ? options.d2 === true : true;
  return capability(spec.PCI_CAP_ID_PM, spec.PCI_PM_SIZEOF, [
    {
      at: spec.PCI_PM_PMC,
      size: 2,
      initial: spec.PCI_PM_CAP_VER_3 | (options.d1 ? spec.PCI_PM_CAP_D1 : 0) |
        (options.d2 ? spec.PCI_PM_CAP_D2 : 0),
    },
    {
      at: spec.PCI_PM_CTRL,
      size: 2,
      initial: options.noSoftReset ? spec.PCI_PM_CTRL_NO_SOFT_RESET : 0,
      writable: spec.PCI_PM_CTRL_STATE_MASK,
    },
  ], {
    written(registers, write) {
      // A state that does not exist is discarded, without an error (PCI Power Management 1.2, 3.2.4).
      const value = registers.get(spec.PCI_PM_CTRL, 2);
      if (!supported(value & spec.PCI_PM_CTRL_STATE_MASK)) {
        registers.set(spec.PCI_PM_CTRL, 2, write.before(spec.PCI_PM_CTRL, 2));
      }
    },
  });
}

/** The MSI capability that `msi` asks for (PCI 3.0, 6.8.1). @throws {RangeError} */
export function msiCapability(msi: NonNullable<InterruptSpec["msi"]>): CapabilitySpec {
  const { vectors } = msi;
  const log2 = Math.log2(vectors);
  if (!Number.isInteger(log2) || vectors < 1 || vectors > spec.PCI_MSI_MAX_VECTORS) {
    throw new RangeError(
      `Cannot make an MSI capability of ${vectors} vectors: the number is 1, 2, 4, 8, 16 or 32`,
    );
  }
  const wide = msi.address64 ?? true, masking = msi.perVectorMasking ?? false;
  const registers: RegisterSpec[] = [
    {
      at: spec.PCI_MSI_FLAGS,
      size: 2,
      initial: log2 << 1 | (wide ? spec.PCI_MSI_FLAGS_64BIT : 0) |
        (masking ? spec.PCI_MSI_FLAGS_MASKBIT : 0),
      writable: spec.PCI_MSI_FLAGS_ENABLE | spec.PCI_MSI_FLAGS_QSIZE,
    },
    { at: spec.PCI_MSI_ADDRESS_LO, size: 4, writable: 0xffff_fffc },
    { at: wide ? spec.PCI_MSI_DATA_64 : spec.PCI_MSI_DATA_32, size: 2, writable: 0xffff },
  ];
  if (wide) registers.push({ at: spec.PCI_MSI_ADDRESS_HI, size: 4, writable: 0xffff_ffff });
  const mask = wide ? spec.PCI_MSI_MASK_64 : spec.PCI_MSI_MASK_32;
  const pending = wide ? spec.PCI_MSI_PENDING_64 : spec.PCI_MSI_PENDING_32;
  if (masking) {
    registers.push(
      { at: mask, size: 4, writable: 2 ** vectors - 1 },
      { at: pending, size: 4 },
    );
  }
  const length = masking ? pending + 4 : (wide ? spec.PCI_MSI_DATA_64 : spec.PCI_MSI_DATA_32) + 2;
  return capability(spec.PCI_CAP_ID_MSI, length, registers);
}

/** The MSI-X capability that `msix` asks for (PCI 3.0, 6.8.2). The table itself is no part of it. */
export function msixCapability(msix: NonNullable<InterruptSpec["msix"]>): CapabilitySpec {
  return capability(spec.PCI_CAP_ID_MSIX, spec.PCI_CAP_MSIX_SIZEOF, [
    {
      at: spec.PCI_MSIX_FLAGS,
      size: 2,
      initial: msix.vectors - 1,
      writable: spec.PCI_MSIX_FLAGS_ENABLE | spec.PCI_MSIX_FLAGS_MASKALL,
    },
    { at: spec.PCI_MSIX_TABLE, size: 4, initial: (msix.tableOffset | msix.bar) >>> 0 },
    { at: spec.PCI_MSIX_PBA, size: 4, initial: (msix.pendingOffset | msix.bar) >>> 0 },
  ]);
}

/** What {@linkcode vendorCapability} takes besides the bytes. */
export interface VendorCapabilityOptions {
  /** Bits of the body that software may write. */
  readonly writable?: Uint8Array;
  /** Told of accesses. */
  readonly observer?: RegisterObserver;
}

/**
 * A vendor-specific capability (PCI 3.0, Appendix H): `body` stands from byte 3 on, after ID, link
 * and length. Offsets that the observer sees count from the capability's first byte.
 */
export function vendorCapability(
  body: Uint8Array,
  options: VendorCapabilityOptions = {},
): CapabilitySpec {
  const length = spec.PCI_CAP_VNDR_BODY + body.length;
  const initial = new Uint8Array(length), writable = new Uint8Array(length);
  initial[spec.PCI_CAP_VNDR_LENGTH] = length;
  initial.set(body, spec.PCI_CAP_VNDR_BODY);
  if (options.writable !== undefined) writable.set(options.writable, spec.PCI_CAP_VNDR_BODY);
  return {
    id: spec.PCI_CAP_ID_VNDR,
    length,
    initial,
    writable,
    ...(options.observer === undefined ? {} : { observer: options.observer }),
  };
}

/** Advanced Features of a conventional function: function-level reset (PCI Advanced Capabilities ECN). */
export function advancedFeaturesCapability(): CapabilitySpec {
  return capability(spec.PCI_CAP_ID_AF, spec.PCI_CAP_AF_SIZEOF, [
    { at: spec.PCI_AF_LENGTH, size: 1, initial: spec.PCI_CAP_AF_SIZEOF },
    { at: spec.PCI_AF_CAP, size: 1, initial: spec.PCI_AF_CAP_TP | spec.PCI_AF_CAP_FLR },
    { at: spec.PCI_AF_CTRL, size: 1 },
    { at: spec.PCI_AF_STATUS, size: 1 },
  ]);
}

/** What {@linkcode expressCapability} takes. */
export interface ExpressOptions {
  /** `endpoint` behind a root or switch port, or `integrated` into the root complex. `endpoint` unless told. */
  readonly type?: "endpoint" | "integrated";
  /** Whether Initiate Function Level Reset works. True unless told. */
  readonly functionLevelReset?: boolean;
  /** End-to-end TLP prefixes it supports, 0 to 4; 1 for a function that uses PASIDs. 0 unless told. */
  readonly endToEndPrefixes?: 0 | 1 | 2 | 3 | 4;
}

/** PCI Express, version 2 (PCIe 4.0, 7.5.3): payloads of 128 bytes, one lane at 2.5 GT/s. */
export function expressCapability(options: ExpressOptions = {}): CapabilitySpec {
  const prefixes = options.endToEndPrefixes ?? 0;
  const integrated = options.type === "integrated";
  const type = integrated ? spec.PCI_EXP_TYPE_RC_END : spec.PCI_EXP_TYPE_ENDPOINT;
  // An integrated endpoint has no link: its link registers are absent (PCIe 4.0, 7.5.3).
  const link: readonly RegisterSpec[] = integrated ? [] : [
    {
      at: spec.PCI_EXP_LNKCAP,
      size: 4,
      initial: spec.PCI_EXP_LNKCAP_SLS_2_5GB | spec.PCI_EXP_LNKCAP_MLW_X1 |
        spec.PCI_EXP_LNKCAP_ASPM_OPTIONALITY,
    },
    {
      at: spec.PCI_EXP_LNKCTL,
      size: 2,
      writable: LINK_CONTROL,
      kept: LINK_CONTROL,
    },
    {
      at: spec.PCI_EXP_LNKSTA,
      size: 2,
      initial: spec.PCI_EXP_LNKSTA_CLS_2_5GB | spec.PCI_EXP_LNKSTA_NLW_X1,
    },
    { at: spec.PCI_EXP_LNKCAP2, size: 4, initial: spec.PCI_EXP_LNKCAP2_SLS_2_5GB },
    {
      at: spec.PCI_EXP_LNKCTL2,
      size: 2,
      initial: spec.PCI_EXP_LNKCTL2_TLS_2_5GT,
      writable: spec.PCI_EXP_LNKCTL2_TLS | spec.PCI_EXP_LNKCTL2_HASD,
      kept: spec.PCI_EXP_LNKCTL2_TLS | spec.PCI_EXP_LNKCTL2_HASD,
    },
  ];
  return capability(spec.PCI_CAP_ID_EXP, spec.PCI_EXP_ENDPOINT_SIZEOF_V2, [
    { at: spec.PCI_EXP_FLAGS, size: 2, initial: spec.PCI_EXP_FLAGS_VERS_2 | type << 4 },
    {
      at: spec.PCI_EXP_DEVCAP,
      size: 4,
      initial: spec.PCI_EXP_DEVCAP_EXT_TAG | spec.PCI_EXP_DEVCAP_RBER |
        (options.functionLevelReset ?? true ? spec.PCI_EXP_DEVCAP_FLR : 0),
    },
    {
      at: spec.PCI_EXP_DEVCTL,
      size: 2,
      initial: spec.PCI_EXP_DEVCTL_RELAX_EN | spec.PCI_EXP_DEVCTL_NOSNOOP_EN |
        spec.PCI_EXP_DEVCTL_READRQ_512B,
      writable: spec.PCI_EXP_DEVCTL_ERRORS | spec.PCI_EXP_DEVCTL_RELAX_EN |
        spec.PCI_EXP_DEVCTL_PAYLOAD | spec.PCI_EXP_DEVCTL_EXT_TAG |
        spec.PCI_EXP_DEVCTL_NOSNOOP_EN | spec.PCI_EXP_DEVCTL_READRQ,
      kept: spec.PCI_EXP_DEVCTL_PAYLOAD,
    },
    { at: spec.PCI_EXP_DEVSTA, size: 2, clearable: spec.PCI_EXP_DEVSTA_ERRORS },
    {
      at: spec.PCI_EXP_DEVCAP2,
      size: 4,
      initial: spec.PCI_EXP_DEVCAP2_COMP_TMOUT_DIS | (prefixes === 0 ? 0 : (
        spec.PCI_EXP_DEVCAP2_EE_PREFIX | (prefixes & 3) << spec.PCI_EXP_DEVCAP2_EE_PREFIX_SHIFT
      )),
    },
    { at: spec.PCI_EXP_DEVCTL2, size: 2, writable: spec.PCI_EXP_DEVCTL2_COMP_TMOUT_DIS },
    ...link,
  ]);
}

const LINK_CONTROL = spec.PCI_EXP_LNKCTL_ASPMC | spec.PCI_EXP_LNKCTL_RCB |
  spec.PCI_EXP_LNKCTL_CCC | spec.PCI_EXP_LNKCTL_ES | spec.PCI_EXP_LNKCTL_HAWD;

/** Advanced Error Reporting, version 2, without ECRC or multiple headers (PCIe 4.0, 7.8.4). */
export function errorReportingCapability(): ExtendedCapabilitySpec {
  const uncorrectable = spec.PCI_ERR_UNC_ENDPOINT, correctable = spec.PCI_ERR_COR_ENDPOINT;
  // All of it is sticky: the registers tell after a reset what led to it (PCIe 4.0, 7.8.4).
  return extendedCapability(spec.PCI_EXT_CAP_ID_ERR, spec.PCI_ERR_SIZEOF, [
    { at: spec.PCI_ERR_UNCOR_STATUS, size: 4, clearable: uncorrectable, kept: uncorrectable },
    { at: spec.PCI_ERR_UNCOR_MASK, size: 4, writable: uncorrectable, kept: uncorrectable },
    {
      at: spec.PCI_ERR_UNCOR_SEVER,
      size: 4,
      initial: spec.PCI_ERR_UNC_FATAL,
      writable: uncorrectable,
      kept: uncorrectable,
    },
    { at: spec.PCI_ERR_COR_STATUS, size: 4, clearable: correctable, kept: correctable },
    {
      at: spec.PCI_ERR_COR_MASK,
      size: 4,
      initial: spec.PCI_ERR_COR_ADV_NFAT,
      writable: correctable,
      kept: correctable,
    },
    { at: spec.PCI_ERR_CAP, size: 4, kept: 0x1f },
    ...[0, 4, 8, 12].map((at): RegisterSpec => ({
      at: spec.PCI_ERR_HEADER_LOG + at,
      size: 4,
      kept: 0xffff_ffff,
    })),
  ], { version: 2 });
}

/** Device serial number, an EUI-64 (PCIe 4.0, 7.9.3). @throws {RangeError} when it is no 64-bit number */
export function serialNumberCapability(serial: bigint): ExtendedCapabilitySpec {
  if (serial !== BigInt.asUintN(64, serial)) {
    throw new RangeError(`Cannot use serial number ${hex(serial)}: it has 64 bits`);
  }
  return extendedCapability(spec.PCI_EXT_CAP_ID_DSN, spec.PCI_DSN_SIZEOF, [
    { at: spec.PCI_DSN_LOW, size: 4, initial: Number(BigInt.asUintN(32, serial)) },
    { at: spec.PCI_DSN_HIGH, size: 4, initial: Number(serial >> 32n) },
  ]);
}

/** What {@linkcode vendorExtendedCapability} takes. */
export interface VendorExtendedOptions {
  /** 16 bits, given by the vendor. */
  readonly vsecId: number;
  /** 4 bits, given by the vendor. */
  readonly revision: number;
  /** What follows the two headers, from byte 8 on. */
  readonly body: Uint8Array;
  /** Bits of the body that software may write. */
  readonly writable?: Uint8Array;
  /** Told of accesses. */
  readonly observer?: RegisterObserver;
}

/** A vendor-specific extended capability (PCIe 4.0, 7.9.5). @throws {RangeError} */
export function vendorExtendedCapability(options: VendorExtendedOptions): ExtendedCapabilitySpec {
  const { vsecId, revision, body } = options;
  checkBits(vsecId, 16, "the ID of a vendor-specific extended capability");
  checkBits(revision, 4, "the revision of a vendor-specific extended capability");
  const length = spec.PCI_VNDR_BODY + body.length;
  checkBits(length, 12, "the length of a vendor-specific extended capability");
  const initial = new Uint8Array(length), writable = new Uint8Array(length);
  store(initial, spec.PCI_VNDR_HEADER, 4, vsecId | revision << 16 | length << 20);
  initial.set(body, spec.PCI_VNDR_BODY);
  if (options.writable !== undefined) writable.set(options.writable, spec.PCI_VNDR_BODY);
  return {
    id: spec.PCI_EXT_CAP_ID_VNDR,
    version: 1,
    length,
    initial,
    writable,
    ...(options.observer === undefined ? {} : { observer: options.observer }),
  };
}

/** What {@linkcode atsCapability} takes. */
export interface AtsOptions {
  /** Invalidations it can queue, 1 to 32; 32 unless told. */
  readonly queueDepth?: number;
  /** Whether it asks for translations of whole pages only. True unless told. */
  readonly pageAlignedRequest?: boolean;
  /** Whether it understands invalidations of all PASIDs at once. False unless told. */
  readonly globalInvalidate?: boolean;
  /** Told of writes to the control register. */
  readonly observer?: RegisterObserver;
}

/** Address Translation Services (PCIe 5.0, 10.5.1). @throws {RangeError} */
export function atsCapability(options: AtsOptions = {}): ExtendedCapabilitySpec {
  const depth = options.queueDepth ?? spec.PCI_ATS_MAX_QDEP;
  if (!Number.isInteger(depth) || depth < 1 || depth > spec.PCI_ATS_MAX_QDEP) {
    throw new RangeError(`Cannot queue ${depth} invalidations: the depth is 1 to 32`);
  }
  const rules: RegisterObserver = {
    written(registers, write) {
      const before = write.before(spec.PCI_ATS_CTRL, 2);
      const now = registers.get(spec.PCI_ATS_CTRL, 2);
      // The smallest translation unit is not to change while translations may be cached in it.
      if ((before & now & spec.PCI_ATS_CTRL_ENABLE) !== 0) {
        const unit = before & spec.PCI_ATS_CTRL_STU;
        registers.set(spec.PCI_ATS_CTRL, 2, now & ~spec.PCI_ATS_CTRL_STU | unit);
      }
    },
  };
  return extendedCapability(spec.PCI_EXT_CAP_ID_ATS, spec.PCI_EXT_CAP_ATS_SIZEOF, [
    {
      at: spec.PCI_ATS_CAP,
      size: 2,
      initial: depth & spec.PCI_ATS_CAP_QDEP |
        (options.pageAlignedRequest ?? true ? spec.PCI_ATS_CAP_PAGE_ALIGNED : 0) |
        (options.globalInvalidate ? spec.PCI_ATS_CAP_GLOBAL_INVALIDATE : 0),
    },
    {
      at: spec.PCI_ATS_CTRL,
      size: 2,
      writable: spec.PCI_ATS_CTRL_ENABLE | spec.PCI_ATS_CTRL_STU,
    },
  ], { observer: observers(rules, options.observer) });
}

/** What {@linkcode priCapability} takes. */
export interface PriOptions {
  /** Page requests it can have outstanding, 32 bits. */
  readonly capacity: number;
  /** The allocation after power-on; 0 unless told. */
  readonly allocation?: number;
  /** Bits of the allocation that software may write; all unless told. */
  readonly allocationMask?: number;
  /** Whether group responses must carry the PASID of the request. False unless told. */
  readonly responsePasidRequired?: boolean;
  /**
   * Told of writes to the control register. The device sets and clears the STOPPED bit, and sets
   * response failure and unexpected group index, through the registers it is given.
   */
  readonly observer?: RegisterObserver;
}

/** Page Request Interface (PCIe 5.0, 10.5.2), stopped after power-on. The reset bit reads 0: see `bits()`. */
export function priCapability(options: PriOptions): ExtendedCapabilitySpec {
  return extendedCapability(spec.PCI_EXT_CAP_ID_PRI, spec.PCI_EXT_CAP_PRI_SIZEOF, [
    { at: spec.PCI_PRI_CTRL, size: 2, writable: spec.PCI_PRI_CTRL_ENABLE },
    {
      at: spec.PCI_PRI_STATUS,
      size: 2,
      initial: spec.PCI_PRI_STATUS_STOPPED |
        (options.responsePasidRequired ? spec.PCI_PRI_STATUS_PASID : 0),
      clearable: spec.PCI_PRI_STATUS_RF | spec.PCI_PRI_STATUS_UPRGI,
    },
    { at: spec.PCI_PRI_MAX_REQ, size: 4, initial: options.capacity },
    {
      at: spec.PCI_PRI_ALLOC_REQ,
      size: 4,
      initial: options.allocation ?? 0,
      writable: options.allocationMask ?? 0xffff_ffff,
    },
  ], options.observer === undefined ? {} : { observer: options.observer });
}

/** What {@linkcode pasidCapability} takes. */
export interface PasidOptions {
  /** Bits of a PASID, 0 to 20; 20 unless told. */
  readonly width?: number;
  /** Whether requests may ask for execute permission. False unless told. */
  readonly execute?: boolean;
  /** Whether requests may be privileged. False unless told. */
  readonly privileged?: boolean;
  /** Whether translated requests may carry a PASID. False unless told. */
  readonly translated?: boolean;
  /** Told of writes to the control register. */
  readonly observer?: RegisterObserver;
}

/** Process Address Space ID (PCIe 5.0, 7.8.9). An enable without its capability stays 0. @throws {RangeError} */
export function pasidCapability(options: PasidOptions = {}): ExtendedCapabilitySpec {
  const width = options.width ?? spec.PCI_PASID_MAX_WIDTH;
  if (!Number.isInteger(width) || width < 0 || width > spec.PCI_PASID_MAX_WIDTH) {
    throw new RangeError(`Cannot offer PASIDs of ${width} bits: the width is 0 to 20`);
  }
  return extendedCapability(spec.PCI_EXT_CAP_ID_PASID, spec.PCI_EXT_CAP_PASID_SIZEOF, [
    {
      at: spec.PCI_PASID_CAP,
      size: 2,
      initial: width << spec.PCI_PASID_CAP_WIDTH_SHIFT |
        (options.execute ? spec.PCI_PASID_CAP_EXEC : 0) |
        (options.privileged ? spec.PCI_PASID_CAP_PRIV : 0) |
        (options.translated ? spec.PCI_PASID_CAP_TRANSLATED : 0),
    },
    {
      at: spec.PCI_PASID_CTRL,
      size: 2,
      writable: spec.PCI_PASID_CTRL_ENABLE |
        (options.execute ? spec.PCI_PASID_CTRL_EXEC : 0) |
        (options.privileged ? spec.PCI_PASID_CTRL_PRIV : 0) |
        (options.translated ? spec.PCI_PASID_CTRL_TRANSLATED : 0),
    },
  ], options.observer === undefined ? {} : { observer: options.observer });
}

function checkBits(value: number, bits: number, what: string): void {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** bits) {
    throw new RangeError(`Cannot use ${value} as ${what}: it has ${bits} bits`);
  }
}
