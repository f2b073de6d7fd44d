/**
 * VFIO_USER_DMA_READ and VFIO_USER_DMA_WRITE, the commands that the server sends (vfio-user; spec/08
 * rule 21).
 * @module
 */

import { EINVAL_RESULT } from "../result.ts";
import { VFIO_USER_DMA_ACCESS, VfioUserCommand } from "../spec.ts";
import { readU64, TOO_WIDE, writeU64 } from "../wide.ts";
import { type BodyCodec, type MessageCodec, withData } from "./codec.ts";

const AT = VFIO_USER_DMA_ACCESS.at;
const SIZE = VFIO_USER_DMA_ACCESS.size;
/** A reply to DMA_WRITE as the specification's table has it, with a count of 4 bytes. */
const SHORT_SIZE = AT.count + 4;

/** An access to the client's memory. */
export interface DmaAccess {
  /** IOVA. */
  address: number;
  /** Bytes. */
  count: number;
  /** Where the data stands, in a body that carries it. */
  dataAt: number;
}

function newAccess(): DmaAccess {
  return { address: 0, count: 0, dataAt: 0 };
}

function decodeFixed(view: DataView, at: number, length: number, into: DmaAccess): number {
  if (length < SIZE) return EINVAL_RESULT;
  const address = readU64(view, at + AT.address);
  const count = readU64(view, at + AT.count);
  if (address === TOO_WIDE || count === TOO_WIDE) return EINVAL_RESULT;
  into.address = address;
  into.count = count;
  into.dataAt = at + SIZE;
  return 0;
}

function encodeFixed(view: DataView, at: number, value: Readonly<DmaAccess>): number {
  writeU64(view, at + AT.address, value.address);
  writeU64(view, at + AT.count, value.count);
  return SIZE;
}

const bare: BodyCodec<DmaAccess> = {
  size: SIZE,
  create: newAccess,
  decode: decodeFixed,
  encode: encodeFixed,
};

const counted = withData(bare, ({ count }) => count);

/** The specification's table gives this count 4 bytes, all peers give it 8. */
const writeReply: BodyCodec<DmaAccess> = {
  size: SIZE,
  create: newAccess,
  decode(view, at, length, into) {
    if (length !== SHORT_SIZE) return decodeFixed(view, at, length, into);
    const address = readU64(view, at + AT.address);
    if (address === TOO_WIDE) return EINVAL_RESULT;
    into.address = address;
    into.count = view.getUint32(at + AT.count, true);
    into.dataAt = at + SHORT_SIZE;
    return 0;
  },
  encode: encodeFixed,
};

/** VFIO_USER_DMA_READ: data in the reply. */
export const DMA_READ: MessageCodec<DmaAccess, DmaAccess> = {
  command: VfioUserCommand.VFIO_USER_DMA_READ,
  name: "VFIO_USER_DMA_READ",
  request: bare,
  reply: counted,
};

/** VFIO_USER_DMA_WRITE: data in the request. The reply has 16 bytes; 12 are understood too. */
export const DMA_WRITE: MessageCodec<DmaAccess, DmaAccess> = {
  command: VfioUserCommand.VFIO_USER_DMA_WRITE,
  name: "VFIO_USER_DMA_WRITE",
  request: counted,
  reply: writeReply,
};
