/**
 * VFIO_USER_DEVICE_GET_REGION_IO_FDS (vfio-user; spec/08 rule 11): descriptors by which accesses to
 * parts of a region reach the server without the client.
 * @module
 */

import { EINVAL_RESULT } from "../result.ts";
import {
  VFIO_USER_IO_FD,
  VFIO_USER_IO_FD_SHADOW,
  VFIO_USER_REGION_IO_FDS,
  VfioUserCommand,
  VfioUserIoFdType,
  VfioUserLimit,
} from "../spec.ts";
import { type Fields, Structure } from "../structure.ts";
import { readU64, TOO_WIDE, writeU64 } from "../wide.ts";
import type { BodyCodec, MessageCodec } from "./codec.ts";

const SIZE = VFIO_USER_REGION_IO_FDS.size;
const PLAIN = VFIO_USER_IO_FD;
const WIDE = VFIO_USER_IO_FD_SHADOW;
const { VFIO_USER_IO_FD_TYPE_IOREGIONFD, VFIO_USER_IO_FD_TYPE_IOEVENTFD_SHADOW } = VfioUserIoFdType;

/** A request: which region, and room for the reply. */
export type RegionIoFdsRequest = Fields<keyof typeof VFIO_USER_REGION_IO_FDS.at>;

/** A part of a region with a descriptor of its own. */
export interface IoFd {
  /** Byte offset within the region. */
  readonly offset: number;
  /** Bytes; 0 for any access that starts there. */
  readonly size: number;
  /** Which of the reply's descriptors. Not checked here: only the receiver knows how many came. */
  readonly fd_index: number;
  /** A value of `VfioUserIoFdType`, or one we do not know. */
  readonly type: number;
  /** Bits by type. */
  readonly flags: number;
  /** `datamatch` of an ioeventfd, `user_data` of an ioregionfd: 64 opaque bits. */
  readonly datamatch: bigint;
  /** Which of the reply's descriptors is the memory of a shadow ioeventfd; otherwise 0. */
  readonly shadow_mem_fd_index: number;
  /** Byte offset in that memory. */
  readonly shadow_offset: number;
}

/** The parts of one region. */
export interface RegionIoFds {
  /** Bytes of the whole reply body; computed by encode. */
  argsz: number;
  index: number;
  subRegions: readonly IoFd[];
  /** Whether {@linkcode subRegions} are all there: false when argsz says that there was no room. */
  complete: boolean;
}

/** Bytes of an entry: 40, or 48 for all as soon as one is a shadow ioeventfd, as libvfio-user sends them. */
function stride(subRegions: readonly IoFd[]): number {
  return subRegions.some((part) => part.type === VFIO_USER_IO_FD_TYPE_IOEVENTFD_SHADOW)
    ? WIDE.size
    : PLAIN.size;
}

/** Where the 64 opaque bits are: an ioregionfd's stay at 32 in an entry of either length. */
function datamatchAt(type: number, entrySize: number): number {
  return entrySize >= WIDE.size && type !== VFIO_USER_IO_FD_TYPE_IOREGIONFD
    ? WIDE.at.datamatch
    : PLAIN.at.datamatch;
}

/** Bytes of a reply body with all sub-regions. */
export function regionIoFdsSize(subRegions: readonly IoFd[]): number {
  return SIZE + subRegions.length * stride(subRegions);
}

/**
 * Writes the reply to a client that has room for `argsz` bytes. With too little, only the fixed part
 * is written, with the size needed in argsz, and the descriptors stay here. @returns body bytes
 */
export function encodeRegionIoFds(
  view: DataView,
  at: number,
  value: Readonly<RegionIoFds>,
  argsz: number,
): number {
  const entrySize = stride(value.subRegions);
  const size = SIZE + value.subRegions.length * entrySize;
  view.setUint32(at, size, true);
  view.setUint32(at + VFIO_USER_REGION_IO_FDS.at.flags, 0, true);
  view.setUint32(at + VFIO_USER_REGION_IO_FDS.at.index, value.index, true);
  view.setUint32(at + VFIO_USER_REGION_IO_FDS.at.count, value.subRegions.length, true);
  if (size > argsz) return SIZE;
  let to = at + SIZE;
  for (const part of value.subRegions) {
    writeU64(view, to + PLAIN.at.offset, part.offset);
    writeU64(view, to + PLAIN.at.size, part.size);
    view.setUint32(to + PLAIN.at.fd_index, part.fd_index, true);
    view.setUint32(to + PLAIN.at.type, part.type, true);
    view.setUint32(to + PLAIN.at.flags, part.flags, true);
    view.setUint32(to + PLAIN.at.padding, 0, true);
    for (let byte = PLAIN.at.datamatch; byte < entrySize; byte++) view.setUint8(to + byte, 0);
    if (part.type === VFIO_USER_IO_FD_TYPE_IOEVENTFD_SHADOW) {
      view.setUint32(to + WIDE.at.shadow_mem_fd_index, part.shadow_mem_fd_index, true);
      writeU64(view, to + WIDE.at.shadow_offset, part.shadow_offset);
    }
    view.setBigUint64(to + datamatchAt(part.type, entrySize), part.datamatch, true);
    to += entrySize;
  }
  return size;
}

function decodeReply(view: DataView, at: number, length: number, into: RegionIoFds): number {
  if (length < SIZE) return EINVAL_RESULT;
  const argsz = view.getUint32(at, true);
  const count = view.getUint32(at + VFIO_USER_REGION_IO_FDS.at.count, true);
  into.argsz = argsz;
  into.index = view.getUint32(at + VFIO_USER_REGION_IO_FDS.at.index, true);
  into.subRegions = [];
  into.complete = count === 0;
  if (argsz < SIZE) return EINVAL_RESULT;
  if (count === 0 || length < argsz) {
    // Only a reply without any entry says "no room"; a part of the entries says nothing.
    return length === SIZE || count === 0 ? 0 : EINVAL_RESULT;
  }
  // vfio-user: the length of an entry is to be computed, not relied on.
  const entrySize = (argsz - SIZE) / count;
  if (!Number.isInteger(entrySize) || entrySize < PLAIN.size) return EINVAL_RESULT;
  const parts: IoFd[] = [];
  for (let index = 0; index < count; index++) {
    const from = at + SIZE + index * entrySize;
    const type = view.getUint32(from + PLAIN.at.type, true);
    const shadow = type === VFIO_USER_IO_FD_TYPE_IOEVENTFD_SHADOW;
    if (shadow && entrySize < WIDE.size) return EINVAL_RESULT;
    const offset = readU64(view, from + PLAIN.at.offset);
    const size = readU64(view, from + PLAIN.at.size);
    const shadowOffset = shadow ? readU64(view, from + WIDE.at.shadow_offset) : 0;
    if (offset === TOO_WIDE || size === TOO_WIDE || shadowOffset === TOO_WIDE) return EINVAL_RESULT;
    parts.push({
      offset,
      size,
      fd_index: view.getUint32(from + PLAIN.at.fd_index, true),
      type,
      flags: view.getUint32(from + PLAIN.at.flags, true),
      datamatch: view.getBigUint64(from + datamatchAt(type, entrySize), true),
      shadow_mem_fd_index: shadow ? view.getUint32(from + WIDE.at.shadow_mem_fd_index, true) : 0,
      shadow_offset: shadowOffset,
    });
  }
  into.subRegions = parts;
  into.complete = true;
  return 0;
}

const structure = new Structure(VFIO_USER_REGION_IO_FDS);

const request: BodyCodec<RegionIoFdsRequest> = {
  size: SIZE,
  create: () => structure.create(),
  decode(view, at, length, into) {
    if (length < SIZE) return EINVAL_RESULT;
    structure.decode(view, at, into);
    const room = into.argsz >= SIZE && into.argsz <= VfioUserLimit.IO_FDS_ARGSZ;
    return room && into.flags === 0 && into.count === 0 ? 0 : EINVAL_RESULT;
  },
  encode: (view, at, value) => structure.encode(view, at, value),
};

const reply: BodyCodec<RegionIoFds> = {
  size: SIZE,
  create: () => ({ argsz: SIZE, index: 0, subRegions: [], complete: true }),
  decode: decodeReply,
  encode: (view, at, value) => encodeRegionIoFds(view, at, value, Infinity),
};

/** VFIO_USER_DEVICE_GET_REGION_IO_FDS. EINVAL: flags or count not 0, argsz below 16 or above 1 MiB. */
export const DEVICE_GET_REGION_IO_FDS: MessageCodec<RegionIoFdsRequest, RegionIoFds> = {
  command: VfioUserCommand.VFIO_USER_DEVICE_GET_REGION_IO_FDS,
  name: "VFIO_USER_DEVICE_GET_REGION_IO_FDS",
  request,
  reply,
};
