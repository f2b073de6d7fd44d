/**
 * VFIO_USER_MIG_DATA_READ and VFIO_USER_MIG_DATA_WRITE (vfio-user; spec/08 rule 23): the stream of a
 * device's state.
 * @module
 */

import { EINVAL_RESULT } from "../result.ts";
import { VFIO_USER_MIG_DATA, VfioUserCommand } from "../spec.ts";
import { type BodyCodec, type Empty, EMPTY_REPLY, type MessageCodec, withData } from "./codec.ts";

const AT = VFIO_USER_MIG_DATA.at;
const SIZE = VFIO_USER_MIG_DATA.size;

/** A piece of the stream. */
export interface MigrationData {
  argsz: number;
  /** Bytes of data. */
  size: number;
  /** Where the data stands, in a body that carries it. */
  dataAt: number;
}

function create(): MigrationData {
  return { argsz: SIZE, size: 0, dataAt: 0 };
}

function decodeFixed(view: DataView, at: number, length: number, into: MigrationData): number {
  if (length < SIZE) return EINVAL_RESULT;
  into.argsz = view.getUint32(at + AT.argsz, true);
  into.size = view.getUint32(at + AT.size, true);
  into.dataAt = at + SIZE;
  return 0;
}

function encodeFixed(view: DataView, at: number, value: Readonly<MigrationData>): number {
  view.setUint32(at + AT.argsz, value.argsz, true);
  view.setUint32(at + AT.size, value.size, true);
  return SIZE;
}

const readRequest: BodyCodec<MigrationData> = {
  size: SIZE,
  create,
  decode(view, at, length, into) {
    const result = decodeFixed(view, at, length, into);
    // Less data than asked for means the end of the stream, so a reply cannot be cut to fit argsz.
    return result === 0 && into.argsz < SIZE + into.size ? EINVAL_RESULT : result;
  },
  encode: encodeFixed,
};

const counted = withData(
  { size: SIZE, create, decode: decodeFixed, encode: encodeFixed },
  ({ size }) => size,
);

/** VFIO_USER_MIG_DATA_READ: data in the reply. EINVAL: short, or argsz below 8 and the size asked for. */
export const MIG_DATA_READ: MessageCodec<MigrationData, MigrationData> = {
  command: VfioUserCommand.VFIO_USER_MIG_DATA_READ,
  name: "VFIO_USER_MIG_DATA_READ",
  request: readRequest,
  reply: counted,
};

/** VFIO_USER_MIG_DATA_WRITE: data in the request. EINVAL: less data than its size says. */
export const MIG_DATA_WRITE: MessageCodec<MigrationData, Empty> = {
  command: VfioUserCommand.VFIO_USER_MIG_DATA_WRITE,
  name: "VFIO_USER_MIG_DATA_WRITE",
  request: counted,
  reply: EMPTY_REPLY,
};
