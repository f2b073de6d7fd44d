/**
 * VFIO_USER_REGION_READ, REGION_WRITE and REGION_WRITE_MULTI (vfio-user; spec/08 rules 13 and 14).
 * Bounds of the region and the transfer limit are the server's to judge.
 * @module
 */

import { EINVAL_RESULT } from "../result.ts";
import {
  VFIO_USER_REGION_ACCESS,
  VFIO_USER_WRITE_MULTI_BODY,
  VFIO_USER_WRITE_MULTI_ENTRY,
  VfioUserCommand,
} from "../spec.ts";
import { readU64, TOO_WIDE, writeU64 } from "../wide.ts";
import { type BodyCodec, type MessageCodec, structureBody, withData } from "./codec.ts";

const AT = VFIO_USER_REGION_ACCESS.at;
const SIZE = VFIO_USER_REGION_ACCESS.size;
const MULTI_SIZE = VFIO_USER_WRITE_MULTI_BODY.size;
const ENTRY = VFIO_USER_WRITE_MULTI_ENTRY;

/** An access to a region. */
export interface RegionAccess {
  /** Byte offset within the region: at most 2^53 - 1, so `offset + count` may be compared with its size. */
  offset: number;
  /** A region index, not checked. */
  region: number;
  /** Bytes; may be 0. */
  count: number;
  /** Where the data stands, in a body that carries it. */
  dataAt: number;
}

function newAccess(): RegionAccess {
  return { offset: 0, region: 0, count: 0, dataAt: 0 };
}

function decodeFixed(view: DataView, at: number, length: number, into: RegionAccess): number {
  if (length < SIZE) return EINVAL_RESULT;
  const offset = readU64(view, at + AT.offset);
  if (offset === TOO_WIDE) return EINVAL_RESULT;
  into.offset = offset;
  into.region = view.getUint32(at + AT.region, true);
  into.count = view.getUint32(at + AT.count, true);
  into.dataAt = at + SIZE;
  return 0;
}

function encodeFixed(view: DataView, at: number, value: Readonly<RegionAccess>): number {
  writeU64(view, at + AT.offset, value.offset);
  view.setUint32(at + AT.region, value.region, true);
  view.setUint32(at + AT.count, value.count, true);
  return SIZE;
}

const bare: BodyCodec<RegionAccess> = {
  size: SIZE,
  create: newAccess,
  decode: decodeFixed,
  encode: encodeFixed,
};

const counted = withData(bare, ({ count }) => count);

/** VFIO_USER_REGION_READ: data in the reply. */
export const REGION_READ: MessageCodec<RegionAccess, RegionAccess> = {
  command: VfioUserCommand.VFIO_USER_REGION_READ,
  name: "VFIO_USER_REGION_READ",
  request: bare,
  reply: counted,
};

/** VFIO_USER_REGION_WRITE: data in the request; one shorter than its count is EINVAL. */
export const REGION_WRITE: MessageCodec<RegionAccess, RegionAccess> = {
  command: VfioUserCommand.VFIO_USER_REGION_WRITE,
  name: "VFIO_USER_REGION_WRITE",
  request: counted,
  reply: bare,
};

/** Several writes; each is read with {@linkcode decodeWriteMultiEntry}. */
export interface WriteMulti {
  /** Writes. All of them are in the body. */
  wr_cnt: number;
  /** Where the first one stands. */
  dataAt: number;
}

const multiRequest: BodyCodec<WriteMulti> = {
  size: MULTI_SIZE,
  create: () => ({ wr_cnt: 0, dataAt: 0 }),
  decode(view, at, length, into) {
    if (length < MULTI_SIZE) return EINVAL_RESULT;
    const count = readU64(view, at);
    if (count === TOO_WIDE || count > (length - MULTI_SIZE) / ENTRY.size) return EINVAL_RESULT;
    into.wr_cnt = count;
    into.dataAt = at + MULTI_SIZE;
    return 0;
  },
  encode(view, at, value) {
    writeU64(view, at, value.wr_cnt);
    return MULTI_SIZE + value.wr_cnt * ENTRY.size;
  },
};

/**
 * Reads write number `index` of a decoded request. -EINVAL for a count of 0 or above 8 or an offset of
 * 2^53 or more: that write ends the message, and the reply counts those before it (spec/08 rule 14).
 */
export function decodeWriteMultiEntry(
  view: DataView,
  multi: Readonly<WriteMulti>,
  index: number,
  into: RegionAccess,
): number {
  const at = multi.dataAt + index * ENTRY.size;
  const offset = readU64(view, at + ENTRY.at.offset);
  const count = view.getUint32(at + ENTRY.at.count, true);
  if (offset === TOO_WIDE || count === 0 || count > 8) return EINVAL_RESULT;
  into.offset = offset;
  into.region = view.getUint32(at + ENTRY.at.region, true);
  into.count = count;
  into.dataAt = at + ENTRY.at.data;
  return 0;
}

/**
 * Writes all but the data of write number `index` of a request whose body starts at `at`, and clears
 * the eight bytes of data. @returns where the data goes
 */
export function encodeWriteMultiEntry(
  view: DataView,
  at: number,
  index: number,
  value: Readonly<RegionAccess>,
): number {
  const to = at + MULTI_SIZE + index * ENTRY.size;
  writeU64(view, to + ENTRY.at.offset, value.offset);
  view.setUint32(to + ENTRY.at.region, value.region, true);
  view.setUint32(to + ENTRY.at.count, value.count, true);
  writeU64(view, to + ENTRY.at.data, 0);
  return to + ENTRY.at.data;
}

/** Bytes of a request with `count` writes, without the header. */
export function writeMultiSize(count: number): number {
  return MULTI_SIZE + count * ENTRY.size;
}

/** VFIO_USER_REGION_WRITE_MULTI. The reply says how many writes were done. */
export const REGION_WRITE_MULTI: MessageCodec<WriteMulti, { wr_cnt: number }> = {
  command: VfioUserCommand.VFIO_USER_REGION_WRITE_MULTI,
  name: "VFIO_USER_REGION_WRITE_MULTI",
  request: multiRequest,
  reply: structureBody(VFIO_USER_WRITE_MULTI_BODY, null),
};
