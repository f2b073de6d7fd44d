/**
 * Address kinds, faults, page arithmetic and the one way addresses are printed.
 * @module
 */

/** Brand that keeps the address kinds apart. Exists for the type checker alone. */
export declare const KIND: unique symbol;

/** Guest physical address, in bytes: a safe integer in [0, 2^52). */
export type Gpa = number & { readonly [KIND]: "gpa" };
/** I/O virtual address as one endpoint issues it, in bytes: a safe integer in [0, 2^52). */
export type Iova = number & { readonly [KIND]: "iova" };

/** Why an access failed. Always negative, so that a result needs one compare. */
export type Fault = number & { readonly [KIND]: "fault" };

/** 0 when the whole access was done, otherwise why it stopped. */
export type Status = 0 | Fault;

/** Bytes of a page: the granule of every table here, and of the hosts we run on. */
export const PAGE_SIZE = 4096;
/** The last address there is: 2^52 - 1, the widest physical address of x86. */
export const MAX_ADDRESS = 2 ** 52 - 1;

/** The reasons an access can fail for. Guest-caused, so values and never exceptions. */
export const Fault = {
  /** No mapping covers the address. */
  UNMAPPED: -1 as Fault,
  /** A mapping covers the address but forbids this access. */
  PERMISSION: -2 as Fault,
  /** The endpoint is attached to no domain and is not in bypass. */
  NO_DOMAIN: -3 as Fault,
  /** The address is outside every guest memory region. */
  NO_MEMORY: -4 as Fault,
  /** An atomic access is not aligned to its size, or its bytes are not in one fragment. */
  STRADDLES: -5 as Fault,
  /** A 64-bit value is 2^53 or more, which a number cannot hold exactly. */
  TOO_WIDE: -6 as Fault,
  /** The function may not master the bus: its Bus Master Enable bit is clear (PCI 3.0, 6.2.2). */
  BUS_MASTER_OFF: -7 as Fault,
} as const;

const FAULT_NAMES: readonly string[] = [
  "none",
  "unmapped",
  "permission",
  "no-domain",
  "no-memory",
  "straddles",
  "too-wide",
  "bus-master-off",
];

/** Number of reasons, for tables that are indexed by `-fault`. Index 0 is unused. */
export const FAULT_REASONS: number = FAULT_NAMES.length;

/** Whether the result of an access is a {@linkcode Fault}. */
export function isFault(result: number): result is Fault {
  return result < 0;
}

/** The reason's stable name, as reports and JSON print it: `unmapped`, `permission`, … */
export function faultName(fault: number): string {
  return FAULT_NAMES[-fault] ?? `fault ${fault}`;
}

/** Permission bits of a mapping, and of the access that wants them. Values of VIRTIO_IOMMU_MAP_F_*. */
export const Access = {
  /** A device may read. */
  READ: 1,
  /** A device may write. */
  WRITE: 2,
  /** Both. */
  READ_WRITE: 3,
} as const;

/** `r`, `w`, `rw` or `none`. */
export function accessName(access: number): string {
  return ((access & Access.READ) !== 0 ? "r" : "") + ((access & Access.WRITE) !== 0 ? "w" : "") ||
    "none";
}

/** Page number. Division, not `>>>`: page numbers reach 2^40 and shifts keep 32 bits. */
export function pageOf(address: number): number {
  return Math.floor(address / PAGE_SIZE);
}

/** Offset within the page, in bytes. `&` is safe here: only the low 12 bits survive. */
export function pageOffset(address: number): number {
  return address & (PAGE_SIZE - 1);
}

/** Whether `[start, start + length)` is a range of addresses: integers, within [0, 2^52]. */
export function isRange(start: number, length: number): boolean {
  return Number.isSafeInteger(start) && Number.isSafeInteger(length) && start >= 0 && length >= 0 &&
    start + length <= MAX_ADDRESS + 1;
}

/** `0x` and at least `digits` lower-case digits, the one way addresses are printed. */
export function hex(value: number | bigint, digits = 1): string {
  return "0x" + value.toString(16).padStart(digits, "0");
}

/** `0x1000..0x1fff`, both ends inclusive; `0x1000 (empty)` when `length` is 0. */
export function hexRange(start: number, length: number): string {
  return length === 0 ? `${hex(start)} (empty)` : `${hex(start)}..${hex(start + length - 1)}`;
}
