/**
 * A bug of a device model, as the function that hosts it reports it.
 * @module
 */

import { hex } from "../../core/address.ts";
import { thrownMessage } from "../../core/thrown.ts";
import { isPromise } from "./returned_promise.ts";

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

/** How a model failed: by what it threw, or by what it gave back. */
export type DeviceFailure =
  | { readonly threw: unknown }
  /** Not what the operation gives; shown by its kind, never kept. */
  | { readonly returned: unknown };

/** A device model threw, and `cause` is what it threw; or it gave what the operation does not give. */
export class DeviceError extends Error {
  /** For messages and reports. */
  override readonly name = "DeviceError";
  /** As `PciDevice.type`. */
  readonly deviceType: string;
  /** What it was asked for. */
  readonly operation: DeviceOperation;

  /** Made by the function that saw `failure`. Throws for nothing that a model can throw or return. */
  constructor(deviceType: string, operation: DeviceOperation, failure: DeviceFailure) {
    const threw = "threw" in failure;
    const what = threw
      ? `threw: ${thrownMessage(failure.threw)}`
      : `returned ${kindOf(failure.returned)} instead of ${expected(operation)}`;
    super(
      `Cannot ${describe(operation)} ${deviceType}: the model ${what}`,
      threw ? { cause: failure.threw } : {},
    );
    this.deviceType = deviceType;
    this.operation = operation;
  }
}

/** What the operation gives. */
function expected({ method, size }: DeviceOperation): string {
  switch (method) {
    case "barRead":
      return size === 8 ? "a bigint of 8 bytes" : `an integer of ${size} bytes`;
    case "inspect":
      return "an object";
    case "save":
      return "a state";
    case "restore":
      return "a text or null";
    default:
      return "being done";
  }
}

/** Looks at no property of `value`, which may be a stranger's. */
function kindOf(value: unknown): string {
  switch (typeof value) {
    case "undefined":
    case "number":
      return String(value);
    case "object":
      return value === null ? "null" : isPromise(value, () => {}) ? "a promise" : "an object";
    default:
      return `a ${typeof value}`;
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
