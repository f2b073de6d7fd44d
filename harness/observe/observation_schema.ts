/**
 * Checks what a watched run tells: it comes from a process that runs a scenario's code.
 * @module
 */

import * as v from "valibot";
import { MAX_INSPECT } from "./device_detail.ts";
import {
  type Answer,
  type DeviceDetail,
  EVENT_FIELDS,
  FAULT_FIELDS,
  MAPPING_FIELDS,
  type MappingTuple,
  type Observed,
  TIMELINE_KINDS,
} from "./observation.ts";

const COUNTERS = 8;
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const integer = v.pipe(v.number(), v.safeInteger());
const finite = v.pipe(v.number(), v.finite(), v.minValue(0));
const id = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(2 ** 32 - 1));
const text = v.pipe(v.string(), v.maxLength(200));

/** Rows of numbers, checked by hand: there are many, and a schema a number would take its time. */
function rows<Row>(fields: number, right: (row: readonly number[]) => boolean, most: number) {
  return v.custom<readonly Row[]>((value) => {
    if (!Array.isArray(value) || value.length > most) return false;
    for (const row of value as unknown[]) {
      if (!Array.isArray(row) || row.length !== fields) return false;
      for (const field of row as unknown[]) {
        if (typeof field !== "number" || !Number.isSafeInteger(field)) return false;
      }
      if (!right(row as number[])) return false;
    }
    return true;
  });
}

const isAddress = (value: number | undefined): boolean =>
  value !== undefined && value >= 0 && value < 2 ** 52;
const isMapping = (row: readonly number[]): boolean =>
  isAddress(row[0]) && isAddress(row[1]) && row[2]! > 0 && row[3]! >= 0 && row[3]! <= 7 &&
  row[4]! >= -1 && row[5]! >= -1;

const MappingsSchema = rows<MappingTuple>(MAPPING_FIELDS, isMapping, 8192);
const MappingSchema = v.nullable(
  v.custom<MappingTuple>((value) => v.is(MappingsSchema, [value])),
);

const AroundSchema = v.strictObject({
  over: MappingSchema,
  below: MappingSchema,
  above: MappingSchema,
  answerer: v.exactOptional(v.picklist(["hot-range", "page-cache", "tree"])),
});

/** Whether it is no more than a run would tell: it is kept. */
function isShort(inspect: unknown): boolean {
  return JSON.stringify(inspect).length <= MAX_INSPECT;
}

const DetailSchema: v.GenericSchema<DeviceDetail> = v.strictObject({
  endpoint: id,
  config: v.pipe(v.string(), v.regex(/^(?:[0-9a-f]{2}){256}$/)),
  bars: v.pipe(
    v.array(v.strictObject({
      index: v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(5)),
      kind: v.picklist(["mmio32", "mmio64", "io"]),
      address: v.nullable(count),
      size: v.nullable(count),
      prefetchable: v.boolean(),
    })),
    v.maxLength(6),
  ),
  msix: v.nullable(v.strictObject({
    enabled: v.boolean(),
    functionMasked: v.boolean(),
    vectors: count,
    bar: count,
    rows: v.pipe(
      v.array(v.strictObject({
        vector: count,
        address: count,
        data: count,
        masked: v.boolean(),
        pending: v.boolean(),
      })),
      v.maxLength(64),
    ),
  })),
  inspect: v.nullable(
    v.pipe(v.record(v.string(), v.unknown()), v.check((inspect) => isShort(inspect))),
  ),
});

const AnswerSchema: v.GenericSchema<Answer> = v.variant("kind", [
  v.strictObject({ kind: v.literal("mappings"), mappings: MappingsSchema }),
  v.strictObject({ kind: v.literal("around"), around: AroundSchema }),
  v.strictObject({ kind: v.literal("detail"), detail: DetailSchema }),
]);

const ObservedSchema: v.GenericSchema<Observed> = v.variant("kind", [
  v.strictObject({ kind: v.literal("hello"), key: text }),
  v.strictObject({
    kind: v.literal("sample"),
    endpoints: rows<readonly number[]>(
      1 + COUNTERS,
      (row) => row.every((value) => value >= 0),
      65_536,
    ),
    domains: rows<readonly [number, number, number]>(
      3,
      (row) => row.every((value) => value >= 0),
      256,
    ),
    domainsLeftOut: count,
    events: rows<readonly number[]>(
      EVENT_FIELDS,
      (row) => row[0]! >= 0 && row[2]! >= 0 && row[2]! < TIMELINE_KINDS.length && isAddress(row[6]),
      8192,
    ),
    recorded: count,
  }),
  v.strictObject({
    kind: v.literal("report"),
    timeNs: count,
    endpoints: v.pipe(
      v.array(v.strictObject({
        id,
        device: text,
        domain: v.nullable(id),
        bypass: v.boolean(),
        latency: v.nullable(v.strictObject({ samples: count, p50Ns: finite, p99Ns: finite })),
        latencyBuckets: v.pipe(v.array(v.tuple([count, count])), v.maxLength(48)),
        latencySumNs: finite,
        heat: v.nullable(v.strictObject({
          start: count,
          width: v.pipe(count, v.minValue(1)),
          buckets: v.pipe(v.array(count), v.maxLength(64)),
        })),
      })),
      v.maxLength(1024),
    ),
    domains: v.pipe(
      v.array(v.strictObject({
        id,
        kind: v.picklist(["mapped", "bypass"]),
        members: v.pipe(v.array(v.tuple([id, integer])), v.maxLength(64)),
        membersLeftOut: count,
      })),
      v.maxLength(256),
    ),
    regions: v.pipe(
      v.array(v.strictObject({
        name: text,
        start: count,
        length: count,
        readOnly: v.boolean(),
        dirtyBytes: v.nullable(count),
      })),
      v.maxLength(1024),
    ),
    faults: rows<readonly number[]>(
      FAULT_FIELDS,
      (row) =>
        isAddress(row[4]) && row[8]! >= 0 && row[8]! <= 3 &&
        (row[8] === 0 || isMapping(row.slice(9))),
      2 ** 21,
    ),
    faultsLost: count,
    totals: v.pipe(v.array(count), v.length(COUNTERS)),
  }),
  v.strictObject({
    kind: v.literal("answer"),
    query: count,
    answer: v.nullable(AnswerSchema),
  }),
  v.strictObject({ kind: v.literal("left-mappings"), domain: id, mappings: MappingsSchema }),
  v.strictObject({ kind: v.literal("left-detail"), detail: DetailSchema }),
  v.strictObject({ kind: v.literal("left") }),
]);

/** The line as what it says, or null when it says nothing that is right. */
export function parseObserved(line: string): Observed | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  const parsed = v.safeParse(ObservedSchema, value);
  return parsed.success ? parsed.output : null;
}
