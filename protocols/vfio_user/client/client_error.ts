/**
 * What can go wrong between us and a server, as one typed error.
 * @module
 */

import { errnoName } from "../../linux/errno.ts";
import { commandName } from "../message_fields.ts";

/** Stable reason of a {@linkcode VfioUserError}. */
export type VfioUserErrorCode =
  /** The server answered with an error number. The connection goes on. */
  | "refused"
  /** No answer came in time. The connection goes on, and the answer may still come. */
  | "timeout"
  /** The connection is over: the server ended it, or we closed it. */
  | "closed"
  /** The server broke the protocol. The connection is over unless it was one reply that made no sense. */
  | "protocol"
  /** What was asked for is beyond what was negotiated. Nothing was sent. */
  | "limit";

/** A command failed, or the connection did. `message` says what was tried, found, and would be right. */
export class VfioUserError extends Error {
  /** Tells it from other errors. */
  override readonly name = "VfioUserError";
  /** Stable. */
  readonly code: VfioUserErrorCode;
  /** The error number of a refusal, positive; 0 otherwise. */
  readonly errno: number;
  /** The command at hand, 0 for the connection as a whole. */
  readonly command: number;

  constructor(
    code: VfioUserErrorCode,
    message: string,
    details: { readonly errno?: number; readonly command?: number; readonly cause?: unknown } = {},
  ) {
    super(message, details.cause === undefined ? {} : { cause: details.cause });
    this.code = code;
    this.errno = Math.abs(details.errno ?? 0);
    this.command = details.command ?? 0;
  }
}

/** The server answered `errno`, of either sign. */
export function refused(command: number, errno: number): VfioUserError {
  return new VfioUserError(
    "refused",
    `The server refused ${commandName(command)}: ${errnoName(errno)}`,
    { errno, command },
  );
}

/** A reply that makes no sense: `found` says what is wrong with it. */
export function badReply(command: number, found: string): VfioUserError {
  return new VfioUserError(
    "protocol",
    `Cannot use the server's reply to ${commandName(command)}: ${found}`,
    { command },
  );
}

/** What was asked for cannot be sent. */
export function beyondLimit(command: number, reason: string): VfioUserError {
  return new VfioUserError("limit", `Cannot send ${commandName(command)}: ${reason}`, { command });
}
