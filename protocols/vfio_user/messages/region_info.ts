/**
 * VFIO_USER_DEVICE_GET_REGION_INFO with its capability list (vfio-user; spec/08 rules 9 and 10).
 * @module
 */

import { EINVAL_RESULT } from "../result.ts";
import { VfioUserCommand } from "../spec.ts";
import { type Fields, Structure } from "../structure.ts";
import {
  VFIO_INFO_CAP_HEADER,
  VFIO_REGION_CAP_TYPE,
  VFIO_REGION_INFO,
  VFIO_REGION_INFO_CAP_VERSION,
  VFIO_REGION_SPARSE_MMAP,
  VFIO_REGION_SPARSE_MMAP_AREA,
  VfioRegionInfoCap,
  VfioRegionInfoFlags,
} from "../vfio_spec.ts";
import { readU64, TOO_WIDE, writeU64 } from "../wide.ts";
import type { BodyCodec, MessageCodec } from "./codec.ts";

const INFO_SIZE = VFIO_REGION_INFO.size;
const CAP = VFIO_INFO_CAP_HEADER;
const SPARSE = VFIO_REGION_SPARSE_MMAP;
const AREA = VFIO_REGION_SPARSE_MMAP_AREA;
const TYPE = VFIO_REGION_CAP_TYPE;

const { VFIO_REGION_INFO_FLAG_CAPS: FLAG_CAPS } = VfioRegionInfoFlags;

/** A request: `index` and `argsz`; the other fields mean nothing. */
export type RegionInfoRequest = Fields<keyof typeof VFIO_REGION_INFO.at>;

/** A part of a region that can be mapped: bytes, offset within the region. */
export interface MmapArea {
  readonly offset: number;
  readonly size: number;
}

/** A region as the server describes it. */
export interface RegionInfo {
  /** Bytes of the whole reply body; computed by encode. */
  argsz: number;
  /** Bits of `VfioRegionInfoFlags`; CAPS is computed by encode. */
  flags: number;
  index: number;
  /** Bytes; 0 when the region is absent. */
  size: number;
  /** Where the region starts in the descriptor's file. */
  offset: number;
  /** The parts that can be mapped, or null when it is all or nothing. */
  sparse: readonly MmapArea[] | null;
  /** What a device-specific region is, or null. */
  type: { readonly type: number; readonly subtype: number } | null;
  /** Whether the page with the MSI-X table may be mapped. */
  msixMappable: boolean;
}

const fixed = new Structure(VFIO_REGION_INFO);
const scratch = fixed.create();

/** Bytes of a reply body with all of its capabilities. */
export function regionInfoSize(info: Readonly<RegionInfo>): number {
  let size = INFO_SIZE;
  if (info.sparse !== null) size += CAP.size + SPARSE.size + info.sparse.length * AREA.size;
  if (info.type !== null) size += CAP.size + TYPE.size;
  if (info.msixMappable) size += CAP.size;
  return size;
}

/**
 * Writes the reply to a client that has room for `argsz` bytes. With too little room for the
 * capabilities, only the fixed part is written, with the size needed in argsz and CAPS clear; the
 * descriptor then stays here (spec/08 rule 10): {@linkcode regionInfoFits} tells. @returns body bytes
 */
export function encodeRegionInfo(
  view: DataView,
  at: number,
  info: Readonly<RegionInfo>,
  argsz: number,
): number {
  const size = regionInfoSize(info);
  const listed = size > INFO_SIZE && size <= argsz;
  scratch.argsz = size;
  scratch.flags = listed ? info.flags | FLAG_CAPS : info.flags & ~FLAG_CAPS;
  scratch.index = info.index;
  scratch.cap_offset = listed ? INFO_SIZE : 0;
  scratch.size = info.size;
  scratch.offset = info.offset;
  fixed.encode(view, at, scratch);
  if (!listed) return INFO_SIZE;

  let next = INFO_SIZE;
  const begin = (id: number, bytes: number): number => {
    const here = at + next;
    next += CAP.size + bytes;
    view.setUint16(here + CAP.at.id, id, true);
    view.setUint16(here + CAP.at.version, VFIO_REGION_INFO_CAP_VERSION, true);
    view.setUint32(here + CAP.at.next, next < size ? next : 0, true);
    return here + CAP.size;
  };
  if (info.sparse !== null) {
    let to = begin(
      VfioRegionInfoCap.VFIO_REGION_INFO_CAP_SPARSE_MMAP,
      SPARSE.size + info.sparse.length * AREA.size,
    );
    view.setUint32(to + SPARSE.at.nr_areas, info.sparse.length, true);
    view.setUint32(to + SPARSE.at.reserved, 0, true);
    to += SPARSE.size;
    for (const area of info.sparse) {
      writeU64(view, to + AREA.at.offset, area.offset);
      writeU64(view, to + AREA.at.size, area.size);
      to += AREA.size;
    }
  }
  if (info.type !== null) {
    const to = begin(VfioRegionInfoCap.VFIO_REGION_INFO_CAP_TYPE, TYPE.size);
    view.setUint32(to + TYPE.at.type, info.type.type, true);
    view.setUint32(to + TYPE.at.subtype, info.type.subtype, true);
  }
  if (info.msixMappable) begin(VfioRegionInfoCap.VFIO_REGION_INFO_CAP_MSIX_MAPPABLE, 0);
  return size;
}

/** Whether all of the reply, and so the descriptor too, goes to a client with room for `argsz` bytes. */
export function regionInfoFits(info: Readonly<RegionInfo>, argsz: number): boolean {
  return regionInfoSize(info) <= argsz;
}

function decodeReply(view: DataView, at: number, length: number, into: RegionInfo): number {
  if (length < INFO_SIZE || !fixed.decode(view, at, scratch) || scratch.argsz < INFO_SIZE) {
    return EINVAL_RESULT;
  }
  into.argsz = scratch.argsz;
  into.flags = scratch.flags;
  into.index = scratch.index;
  into.size = scratch.size;
  into.offset = scratch.offset;
  into.sparse = null;
  into.type = null;
  into.msixMappable = false;
  if ((scratch.flags & FLAG_CAPS) === 0) return 0;

  // Each step must go forward, so a list that points back at itself ends here, not in a loop.
  let here = scratch.cap_offset;
  let least = INFO_SIZE;
  while (here !== 0) {
    if (here < least || here + CAP.size > length) return EINVAL_RESULT;
    least = here + CAP.size;
    const from = at + least;
    const room = length - least;
    switch (view.getUint16(at + here + CAP.at.id, true)) {
      case VfioRegionInfoCap.VFIO_REGION_INFO_CAP_SPARSE_MMAP: {
        const areas = decodeAreas(view, from, room, into.size);
        if (areas === null) return EINVAL_RESULT;
        into.sparse = areas;
        break;
      }
      case VfioRegionInfoCap.VFIO_REGION_INFO_CAP_TYPE:
        if (room < TYPE.size) return EINVAL_RESULT;
        into.type = {
          type: view.getUint32(from + TYPE.at.type, true),
          subtype: view.getUint32(from + TYPE.at.subtype, true),
        };
        break;
      case VfioRegionInfoCap.VFIO_REGION_INFO_CAP_MSIX_MAPPABLE:
        into.msixMappable = true;
        break;
    }
    here = view.getUint32(at + here + CAP.at.next, true);
  }
  return 0;
}

/** The areas, or null when they are not all there or one leaves the region. */
function decodeAreas(
  view: DataView,
  from: number,
  room: number,
  regionSize: number,
): MmapArea[] | null {
  if (room < SPARSE.size) return null;
  const count = view.getUint32(from + SPARSE.at.nr_areas, true);
  if (count > (room - SPARSE.size) / AREA.size) return null;
  const areas: MmapArea[] = [];
  for (let index = 0; index < count; index++) {
    const here = from + SPARSE.size + index * AREA.size;
    const offset = readU64(view, here + AREA.at.offset);
    const size = readU64(view, here + AREA.at.size);
    if (offset === TOO_WIDE || size === TOO_WIDE || offset > regionSize - size) return null;
    areas.push({ offset, size });
  }
  return areas;
}

const reply: BodyCodec<RegionInfo> = {
  size: INFO_SIZE,
  create: () => ({
    argsz: INFO_SIZE,
    flags: 0,
    index: 0,
    size: 0,
    offset: 0,
    sparse: null,
    type: null,
    msixMappable: false,
  }),
  decode: decodeReply,
  encode: (view, at, value) => encodeRegionInfo(view, at, value, Infinity),
};

const request: BodyCodec<RegionInfoRequest> = {
  size: INFO_SIZE,
  create: () => fixed.create(),
  decode(view, at, length, into) {
    if (length < INFO_SIZE) return EINVAL_RESULT;
    // `size` and `offset` say nothing in a request, so their width is no reason to refuse it.
    fixed.decode(view, at, into);
    return into.argsz < INFO_SIZE ? EINVAL_RESULT : 0;
  },
  encode: (view, at, value) => fixed.encode(view, at, value),
};

/**
 * VFIO_USER_DEVICE_GET_REGION_INFO. A short request or an argsz below 32 is EINVAL; so is a reply
 * whose list leaves the body or goes backwards, or whose areas leave the region. A reply whose argsz
 * is more than was asked for holds no capabilities: ask again with that much room.
 */
export const DEVICE_GET_REGION_INFO: MessageCodec<RegionInfoRequest, RegionInfo> = {
  command: VfioUserCommand.VFIO_USER_DEVICE_GET_REGION_INFO,
  name: "VFIO_USER_DEVICE_GET_REGION_INFO",
  request,
  reply,
};
