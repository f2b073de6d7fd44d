/**
 * The 16 bytes before every message (vfio-user, Header).
 * @module
 */

import { EINVAL_RESULT } from "../result.ts";
import { VFIO_USER_HEADER, VfioUserFlags, VfioUserLimit } from "../spec.ts";

const AT = VFIO_USER_HEADER.at;

/** A header's fields, reused from message to message. */
export interface Header {
  id: number;
  command: number;
  /** Bytes of the message, header included. */
  size: number;
  flags: number;
  /** The errno of a reply with the ERROR flag. */
  error: number;
}

/** Bytes of a header. */
export const HEADER_SIZE: number = VFIO_USER_HEADER.size;

/** An empty header, to be filled. */
export function header(): Header {
  return { id: 0, command: 0, size: 0, flags: 0, error: 0 };
}

/** Reads the 16 bytes at `at`. Every bit pattern is a header; {@linkcode checkHeader} judges it. */
export function decodeHeader(view: DataView, at: number, into: Header): void {
  into.id = view.getUint16(at + AT.id, true);
  into.command = view.getUint16(at + AT.command, true);
  into.size = view.getUint32(at + AT.size, true);
  into.flags = view.getUint32(at + AT.flags, true);
  into.error = view.getUint32(at + AT.error, true);
}

/** Writes the header of a command with `bodySize` bytes after it; `flags` is 0 or NO_REPLY. @returns 16 */
export function encodeCommandHeader(
  view: DataView,
  at: number,
  id: number,
  command: number,
  bodySize: number,
  flags: number,
): number {
  return put(view, at, id, command, HEADER_SIZE + bodySize, VfioUserFlags.COMMAND | flags, 0);
}

/** Writes the header of a successful reply to `to` with `bodySize` bytes after it. @returns 16 */
export function encodeReplyHeader(
  view: DataView,
  at: number,
  to: Readonly<Header>,
  bodySize: number,
): number {
  return put(view, at, to.id, to.command, HEADER_SIZE + bodySize, VfioUserFlags.REPLY, 0);
}

/**
 * Writes the whole error reply to `to`: a header and no more, as the specification wants it.
 * `errno` may be a decode result, negative, or positive. @returns 16
 */
export function encodeErrorReply(
  view: DataView,
  at: number,
  to: Readonly<Header>,
  errno: number,
): number {
  const flags = VfioUserFlags.REPLY | VfioUserFlags.ERROR;
  return put(view, at, to.id, to.command, HEADER_SIZE, flags, Math.abs(errno));
}

function put(
  view: DataView,
  at: number,
  id: number,
  command: number,
  size: number,
  flags: number,
  error: number,
): number {
  view.setUint16(at + AT.id, id, true);
  view.setUint16(at + AT.command, command, true);
  view.setUint32(at + AT.size, size, true);
  view.setUint32(at + AT.flags, flags, true);
  view.setUint32(at + AT.error, error, true);
  return HEADER_SIZE;
}

/** Whether the header is that of a command. */
export function isCommand(header: Readonly<Header>): boolean {
  return (header.flags & VfioUserFlags.TYPE) === VfioUserFlags.COMMAND;
}

/** Whether the header is that of a reply. */
export function isReply(header: Readonly<Header>): boolean {
  return (header.flags & VfioUserFlags.TYPE) === VfioUserFlags.REPLY;
}

/** Whether a command's sender wants a reply. */
export function wantsReply(header: Readonly<Header>): boolean {
  return (header.flags & VfioUserFlags.NO_REPLY) === 0;
}

/**
 * What a reply says: 0 for success, otherwise a negative errno. A reply with the ERROR flag and
 * errno 0 failed all the same (vfio-user, Header): that is -EINVAL.
 */
export function replyResult(header: Readonly<Header>): number {
  if ((header.flags & VfioUserFlags.ERROR) === 0) return 0;
  return header.error === 0 ? EINVAL_RESULT : -header.error;
}

/**
 * Bytes of the longest message that may come while `maxDataXferSize` is in force. A small transfer
 * size does not bind what is no data transfer: version JSON, interrupt and range lists.
 */
export function messageLimit(maxDataXferSize: number): number {
  return Math.max(maxDataXferSize, VfioUserLimit.VERSION_DATA) + VfioUserLimit.FIXED_PART;
}

/** Whether the size can be believed, so that a body to drain can be told from a broken stream. */
export function hasUsableSize(header: Readonly<Header>, limit: number): boolean {
  return header.size >= HEADER_SIZE && header.size <= limit;
}

/**
 * 0 for a header that may stand where it is read, otherwise -EINVAL (spec/08 rule 1): a size below
 * 16 or above `limit`, or a type that is neither command nor reply. Whether a reply is due is for
 * the caller to know.
 */
export function checkHeader(header: Readonly<Header>, limit: number): number {
  if (!hasUsableSize(header, limit)) return EINVAL_RESULT;
  return (header.flags & VfioUserFlags.TYPE) <= VfioUserFlags.REPLY ? 0 : EINVAL_RESULT;
}
