/**
 * VFIO_USER_VERSION (vfio-user, VFIO_USER_VERSION): numbers here, the JSON in `capabilities.ts`.
 * @module
 */

import { EINVAL_RESULT } from "../result.ts";
import { VFIO_USER_VERSION_BODY, VfioUserCommand, VfioUserLimit } from "../spec.ts";
import type { BodyCodec, MessageCodec } from "./codec.ts";

const AT = VFIO_USER_VERSION_BODY.at;
const SIZE = VFIO_USER_VERSION_BODY.size;

/** A proposed or accepted version. */
export interface Version {
  major: number;
  minor: number;
  /** Where the JSON stands, in bytes. */
  dataAt: number;
  /** Bytes of the JSON without its NUL; 0 for none. With encode, data of more than 0 is followed by a NUL. */
  dataLength: number;
}

const body: BodyCodec<Version> = {
  size: SIZE,
  create: () => ({ major: 0, minor: 0, dataAt: 0, dataLength: 0 }),
  decode(view, at, length, into) {
    if (length < SIZE) return EINVAL_RESULT;
    into.major = view.getUint16(at + AT.major, true);
    into.minor = view.getUint16(at + AT.minor, true);
    into.dataAt = at + SIZE;
    into.dataLength = 0;
    const data = length - SIZE;
    if (data === 0) return 0;
    if (data > VfioUserLimit.VERSION_DATA || view.getUint8(at + length - 1) !== 0) {
      return EINVAL_RESULT;
    }
    into.dataLength = data - 1;
    return 0;
  },
  encode(view, at, value) {
    view.setUint16(at + AT.major, value.major, true);
    view.setUint16(at + AT.minor, value.minor, true);
    if (value.dataLength === 0) return SIZE;
    view.setUint8(at + SIZE + value.dataLength, 0);
    return SIZE + value.dataLength + 1;
  },
};

/** VFIO_USER_VERSION. Data without a NUL at its end is EINVAL (spec/08 rule 7). */
export const VERSION: MessageCodec<Version, Version> = {
  command: VfioUserCommand.VFIO_USER_VERSION,
  name: "VFIO_USER_VERSION",
  request: body,
  reply: body,
};
