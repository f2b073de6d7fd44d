/**
 * VFIO_USER_DMA_MAP and VFIO_USER_DMA_UNMAP (vfio-user; spec/08 rules 16 to 20). What depends on the
 * regions that exist, or on a descriptor, is the server's to judge.
 * @module
 */

import { EINVAL_RESULT } from "../result.ts";
import {
  VFIO_USER_BITMAP,
  VFIO_USER_DMA_MAP_BODY,
  VFIO_USER_DMA_UNMAP_BODY,
  VfioDmaUnmapFlags,
  VfioUserCommand,
  VfioUserDmaMapFlags,
} from "../spec.ts";
import {
  type AddressRange,
  addressRange,
  RangeKind,
  readRange,
  readU64,
  TOO_WIDE,
  writeRange,
  writeU64,
} from "../wide.ts";
import { type BodyCodec, type Empty, EMPTY_REPLY, type MessageCodec } from "./codec.ts";

const MAP = VFIO_USER_DMA_MAP_BODY.at;
const MAP_SIZE = VFIO_USER_DMA_MAP_BODY.size;
const UNMAP = VFIO_USER_DMA_UNMAP_BODY.at;
const UNMAP_SIZE = VFIO_USER_DMA_UNMAP_BODY.size;
const BITMAP = VFIO_USER_BITMAP.at;

const KNOWN_MAP_FLAGS = VfioUserDmaMapFlags.READ | VfioUserDmaMapFlags.WRITE;
const { VFIO_DMA_UNMAP_FLAG_GET_DIRTY_BITMAP: DIRTY, VFIO_DMA_UNMAP_FLAG_ALL: ALL } =
  VfioDmaUnmapFlags;

/** A range that is to be reachable. All of it lies within our addresses. */
export interface DmaMap {
  argsz: number;
  /** READ, WRITE or both: the values are those of `Access`. */
  flags: number;
  /** Byte offset into the descriptor's file. */
  offset: number;
  /** First IOVA. */
  address: number;
  /** Bytes, at least 1. */
  size: number;
}

const scratch = addressRange();

const mapRequest: BodyCodec<DmaMap> = {
  size: MAP_SIZE,
  create: () => ({ argsz: MAP_SIZE, flags: 0, offset: 0, address: 0, size: 0 }),
  decode(view, at, length, into) {
    if (length < MAP_SIZE) return EINVAL_RESULT;
    const argsz = view.getUint32(at + MAP.argsz, true);
    const flags = view.getUint32(at + MAP.flags, true);
    if (argsz < MAP_SIZE || flags === 0 || (flags & ~KNOWN_MAP_FLAGS) !== 0) return EINVAL_RESULT;
    const offset = readU64(view, at + MAP.offset);
    readRange(view, at + MAP.address, scratch);
    if (offset === TOO_WIDE || scratch.kind !== RangeKind.WITHIN) return EINVAL_RESULT;
    into.argsz = argsz;
    into.flags = flags;
    into.offset = offset;
    into.address = scratch.start;
    into.size = scratch.last - scratch.start + 1;
    return 0;
  },
  encode(view, at, value) {
    view.setUint32(at + MAP.argsz, value.argsz, true);
    view.setUint32(at + MAP.flags, value.flags, true);
    writeU64(view, at + MAP.offset, value.offset);
    writeU64(view, at + MAP.address, value.address);
    writeU64(view, at + MAP.size, value.size);
    return MAP_SIZE;
  },
};

/**
 * VFIO_USER_DMA_MAP. EINVAL (spec/08 rules 16 and 18): size 0, no permission, unknown flags, a range
 * that wraps or leaves our 2^52 addresses, a file offset of 2^53 or more.
 */
export const DMA_MAP: MessageCodec<DmaMap, Empty> = {
  command: VfioUserCommand.VFIO_USER_DMA_MAP,
  name: "VFIO_USER_DMA_MAP",
  request: mapRequest,
  reply: EMPTY_REPLY,
};

/** A range to take away, or what was taken. */
export interface DmaUnmap {
  argsz: number;
  /** 0, or one of `VfioDmaUnmapFlags`. */
  flags: number;
  /** What is named, up to 2^64; clamped to what can be mapped here. Empty with ALL. */
  readonly range: AddressRange;
  /** With GET_DIRTY_BITMAP: bytes one bit stands for, a power of two; otherwise 0. */
  pgsize: number;
  /** With GET_DIRTY_BITMAP: bytes of the bitmap; otherwise 0. */
  bitmapSize: number;
  /** In a reply with GET_DIRTY_BITMAP: where the bitmap stands. */
  dataAt: number;
}

function newUnmap(): DmaUnmap {
  return {
    argsz: UNMAP_SIZE,
    flags: 0,
    range: addressRange(),
    pgsize: 0,
    bitmapSize: 0,
    dataAt: 0,
  };
}

function decodeUnmap(view: DataView, at: number, length: number, into: DmaUnmap): number {
  if (length < UNMAP_SIZE) return EINVAL_RESULT;
  into.argsz = view.getUint32(at + UNMAP.argsz, true);
  into.flags = view.getUint32(at + UNMAP.flags, true);
  readRange(view, at + UNMAP.address, into.range);
  into.pgsize = 0;
  into.bitmapSize = 0;
  into.dataAt = at + UNMAP_SIZE;
  if (into.argsz < UNMAP_SIZE) return EINVAL_RESULT;
  switch (into.flags) {
    case 0:
      return into.range.kind === RangeKind.WRAPS ? EINVAL_RESULT : 0;
    case ALL: {
      const range = into.range;
      const named = range.startLow | range.startHigh | range.sizeLow | range.sizeHigh;
      return named === 0 ? 0 : EINVAL_RESULT;
    }
    case DIRTY: {
      if (into.range.kind !== RangeKind.WITHIN) return EINVAL_RESULT;
      if (length < UNMAP_SIZE + VFIO_USER_BITMAP.size) return EINVAL_RESULT;
      into.pgsize = readU64(view, at + UNMAP_SIZE + BITMAP.pgsize);
      into.bitmapSize = readU64(view, at + UNMAP_SIZE + BITMAP.size);
      into.dataAt = at + UNMAP_SIZE + VFIO_USER_BITMAP.size;
      if (!isPowerOfTwo(into.pgsize) || into.bitmapSize === TOO_WIDE) return EINVAL_RESULT;
      return into.argsz < UNMAP_SIZE + VFIO_USER_BITMAP.size + into.bitmapSize ? EINVAL_RESULT : 0;
    }
    default:
      return EINVAL_RESULT;
  }
}

/** Writes all but the bits of a bitmap. */
function encodeUnmap(view: DataView, at: number, value: Readonly<DmaUnmap>): number {
  view.setUint32(at + UNMAP.argsz, value.argsz, true);
  view.setUint32(at + UNMAP.flags, value.flags, true);
  writeRange(view, at + UNMAP.address, value.range);
  if (value.flags !== DIRTY) return UNMAP_SIZE;
  writeU64(view, at + UNMAP_SIZE + BITMAP.pgsize, value.pgsize);
  writeU64(view, at + UNMAP_SIZE + BITMAP.size, value.bitmapSize);
  return UNMAP_SIZE + VFIO_USER_BITMAP.size;
}

/** Bytes before the bitmap of a reply with GET_DIRTY_BITMAP. */
export const DMA_UNMAP_BITMAP_AT: number = UNMAP_SIZE + VFIO_USER_BITMAP.size;

const unmapRequest: BodyCodec<DmaUnmap> = {
  size: UNMAP_SIZE,
  create: newUnmap,
  decode: decodeUnmap,
  encode: encodeUnmap,
};

const unmapReply: BodyCodec<DmaUnmap> = {
  size: UNMAP_SIZE,
  create: newUnmap,
  decode(view, at, length, into) {
    const result = decodeUnmap(view, at, length, into);
    if (result !== 0) return result;
    return length < into.dataAt - at + into.bitmapSize ? EINVAL_RESULT : 0;
  },
  encode: (view, at, value) => encodeUnmap(view, at, value) + value.bitmapSize,
};

/**
 * VFIO_USER_DMA_UNMAP. EINVAL (spec/08 rule 19): argsz below 24, or with a bitmap below what that
 * needs; unknown flags; ALL with DIRTY, an address or a size; a range that wraps. A range that passes
 * our addresses is clamped and no error, since a client may sweep all of 2^64 (spec/09 rule 10); one
 * of size 0 is empty, and unknown as any other that was never mapped. The reply is the request's
 * record, encoded again.
 */
export const DMA_UNMAP: MessageCodec<DmaUnmap, DmaUnmap> = {
  command: VfioUserCommand.VFIO_USER_DMA_UNMAP,
  name: "VFIO_USER_DMA_UNMAP",
  request: unmapRequest,
  reply: unmapReply,
};

/** Whether a safe integer is a power of two. */
export function isPowerOfTwo(value: number): boolean {
  // Exact: below 2^53, log2 of a power of two is an integer and 2 to it is the value again.
  return value >= 1 && 2 ** Math.round(Math.log2(value)) === value;
}

/**
 * Bytes of a dirty bitmap over `size` bytes from a range's start: one bit a page of `pageSize`, in
 * whole 64-bit words (vfio-user, DMA_LOGGING_REPORT).
 */
export function bitmapBytes(size: number, pageSize: number): number {
  return Math.ceil(Math.ceil(size / pageSize) / 64) * 8;
}
