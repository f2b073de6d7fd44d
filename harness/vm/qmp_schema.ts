/**
 * The QMP commands we use, with what they take and return
 * (QEMU Machine Protocol Reference Manual).
 * @module
 */

import * as v from "valibot";

/** One region of a function, as `query-pci` lists them. */
const PciRegion = v.object({
  bar: v.number(),
  type: v.picklist(["io", "memory"]),
  address: v.number(),
  size: v.number(),
});

const PciFunction = v.object({
  bus: v.number(),
  slot: v.number(),
  function: v.number(),
  qdev_id: v.string(),
  id: v.object({ vendor: v.number(), device: v.number() }),
  regions: v.array(PciRegion),
});

const Nothing = v.looseObject({});

/** What each command returns. */
export const QmpResults = {
  qmp_capabilities: Nothing,
  "query-version": v.object({ package: v.string() }),
  "query-status": v.object({ status: v.string(), running: v.boolean() }),
  "query-pci": v.array(v.object({ bus: v.number(), devices: v.array(PciFunction) })),
  "human-monitor-command": v.string(),
  stop: Nothing,
  cont: Nothing,
  quit: Nothing,
  system_reset: Nothing,
  system_powerdown: Nothing,
  device_add: Nothing,
  device_del: Nothing,
  "qom-get": v.unknown(),
} as const;

/** A device's properties for `device_add`: its driver, and its own. */
export interface DeviceProperties {
  readonly driver: string;
  /** By which `device_del` finds it. */
  readonly id: string;
  readonly [property: string]: unknown;
}

/** What commands take; those that are not here take nothing. */
interface TakenArguments {
  readonly "human-monitor-command": { readonly "command-line": string };
  readonly device_add: DeviceProperties;
  readonly device_del: { readonly id: string };
  readonly "qom-get": { readonly path: string; readonly property: string };
}

/** Names of the commands. */
export type QmpCommand = keyof typeof QmpResults;
/** What a command returns. */
export type QmpResult<Name extends QmpCommand> = v.InferOutput<(typeof QmpResults)[Name]>;
/** A command's arguments as a parameter list: none, or one object. */
export type QmpArguments<Name extends QmpCommand> = Name extends keyof TakenArguments
  ? [TakenArguments[Name]]
  : [];

/** An event, such as `RESET` or `DEVICE_DELETED`. */
export interface QmpEvent {
  readonly name: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** Every line that QEMU may send. */
export const QmpLine = v.union([
  v.object({ QMP: v.looseObject({}) }),
  v.object({ event: v.string(), data: v.optional(v.record(v.string(), v.unknown())) }),
  v.object({ id: v.number(), return: v.unknown() }),
  v.object({
    id: v.optional(v.number()),
    error: v.object({ class: v.string(), desc: v.string() }),
  }),
]);
