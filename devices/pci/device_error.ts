/**
 * A bug of a device model, as the function that hosts it reports it.
 * @module
 */

import { hex } from "../../core/address.ts";

/** What the model was asked for when it threw. */
export interface DeviceOperation {
  /**
   * The method of `PciDevice`; `timer` for deferred work, `config` for a watcher of its capabilities,
   * `revoke` for the `onRevoke` of a pin.
   */
  readonly method:
    | "attach"
    | "barRead"
    | "barWrite"
    | "reset"
    | "inspect"
    | "timer"
    | "config"
    | "revoke"
    | "share"
    | "pause"
    | "resume"
    | "save"
    | "restore";
  /** BAR index, for register accesses. */
  readonly bar?: number;
  /** Byte offset in the BAR, or in configuration space. */
  readonly offset?: number;
  /** Bytes. */
  readonly size?: number;
  /** What was to be written. */
  readonly value?: number | bigint;
}

/** A device model threw. `cause` is what it threw. */
export class DeviceError extends Error {
  /** For messages and reports. */
  override readonly name = "DeviceError";
  /** As `PciDevice.type`. */
  readonly deviceType: string;
  /** What it was asked for. */
  readonly operation: DeviceOperation;

  /** Made by the function that caught `cause`. */
  constructor(deviceType: string, operation: DeviceOperation, cause: unknown) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    super(`Cannot ${describe(operation)} ${deviceType}: the model threw: ${reason}`, { cause });
    this.deviceType = deviceType;
    this.operation = operation;
  }
}

function describe({ method, bar, offset, size, value }: DeviceOperation): string {
  const place = `${size} bytes at BAR ${bar} offset ${hex(offset ?? 0)} of`;
  switch (method) {
    case "barRead":
      return `read ${place}`;
    case "barWrite":
      return `write ${hex(value ?? 0)} to ${place}`;
    case "config":
      return `tell of an access to ${size} bytes at configuration offset ${hex(offset ?? 0)}`;
    case "revoke":
      return "take memory back from";
    case "timer":
      return "run deferred work of";
    default:
      return method;
  }
}
