/**
 * VFIO_USER_DEVICE_FEATURE and the data of the features (vfio-user; spec/08 rules 22 to 24).
 * @module
 */

import { EINVAL_RESULT } from "../result.ts";
import { VfioUserCommand } from "../spec.ts";
import type { Fields } from "../structure.ts";
import {
  VFIO_DEVICE_FEATURE_BODY,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_CONTROL,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_RANGE,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT_DATA,
  VFIO_DEVICE_FEATURE_MASK,
  VFIO_DEVICE_FEATURE_MIG_STATE,
  VFIO_DEVICE_FEATURE_MIGRATION_DATA,
  VfioDeviceFeatureFlags,
} from "../vfio_spec.ts";
import {
  type AddressRange,
  addressRange,
  RangeKind,
  readRange,
  readU64,
  TOO_WIDE,
  writeRange,
  writeU64,
} from "../wide.ts";
import { type BodyCodec, type MessageCodec, structureBody } from "./codec.ts";
import { bitmapBytes, isPowerOfTwo } from "./dma_map.ts";

const SIZE = VFIO_DEVICE_FEATURE_BODY.size;
const {
  VFIO_DEVICE_FEATURE_GET: GET,
  VFIO_DEVICE_FEATURE_SET: SET,
  VFIO_DEVICE_FEATURE_PROBE: PROBE,
} = VfioDeviceFeatureFlags;

/** A feature and what to do with it. The data's structure goes by the feature. */
export interface DeviceFeature {
  /** Request: room for the reply. Reply: bytes of the body. */
  argsz: number;
  /** Feature index and methods; see {@linkcode featureIndex}. */
  flags: number;
  /** Where the data stands. */
  dataAt: number;
  /** Bytes of data; with encode, data of that length is the caller's to place. */
  dataLength: number;
}

/** The feature: a value of `VfioDeviceFeature`, or one we do not know. */
export function featureIndex(feature: Readonly<DeviceFeature>): number {
  return feature.flags & VFIO_DEVICE_FEATURE_MASK;
}

/** The methods: bits of `VfioDeviceFeatureFlags`. */
export function featureMethods(feature: Readonly<DeviceFeature>): number {
  return feature.flags & (GET | SET | PROBE);
}

function decodeFixed(view: DataView, at: number, length: number, into: DeviceFeature): number {
  if (length < SIZE) return EINVAL_RESULT;
  into.argsz = view.getUint32(at + VFIO_DEVICE_FEATURE_BODY.at.argsz, true);
  into.flags = view.getUint32(at + VFIO_DEVICE_FEATURE_BODY.at.flags, true);
  into.dataAt = at + SIZE;
  into.dataLength = length - SIZE;
  return into.argsz < SIZE ? EINVAL_RESULT : 0;
}

function encode(view: DataView, at: number, value: Readonly<DeviceFeature>): number {
  view.setUint32(at + VFIO_DEVICE_FEATURE_BODY.at.argsz, value.argsz, true);
  view.setUint32(at + VFIO_DEVICE_FEATURE_BODY.at.flags, value.flags, true);
  return SIZE + value.dataLength;
}

function newFeature(): DeviceFeature {
  return { argsz: SIZE, flags: 0, dataAt: 0, dataLength: 0 };
}

const request: BodyCodec<DeviceFeature> = {
  size: SIZE,
  create: newFeature,
  decode(view, at, length, into) {
    const result = decodeFixed(view, at, length, into);
    if (result !== 0) return result;
    const methods = featureMethods(into);
    if (methods === 0 || methods === (GET | SET)) return EINVAL_RESULT;
    return (into.flags & ~(VFIO_DEVICE_FEATURE_MASK | GET | SET | PROBE)) !== 0 ? EINVAL_RESULT : 0;
  },
  encode,
};

/** A reply to SET and PROBE repeats the request's argsz, so it says nothing about this body. */
const reply: BodyCodec<DeviceFeature> = {
  size: SIZE,
  create: newFeature,
  decode: decodeFixed,
  encode,
};

/**
 * VFIO_USER_DEVICE_FEATURE. EINVAL by itself (spec/08 rule 22): short, argsz below 8, no method, GET
 * with SET but without PROBE, unknown flags. Which features and methods there are, and whether argsz
 * has room for the data, is the server's to judge.
 */
export const DEVICE_FEATURE: MessageCodec<DeviceFeature, DeviceFeature> = {
  command: VfioUserCommand.VFIO_USER_DEVICE_FEATURE,
  name: "VFIO_USER_DEVICE_FEATURE",
  request,
  reply,
};

/** Data of VFIO_DEVICE_FEATURE_MIGRATION: bits of `VfioMigrationFlags`. */
export const FEATURE_MIGRATION: BodyCodec<Fields<"flags">> = structureBody(
  VFIO_DEVICE_FEATURE_MIGRATION_DATA,
  null,
);

/** Data of VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE. Whether there is such a state is not checked. */
export const FEATURE_MIG_STATE: BodyCodec<Fields<"device_state" | "data_fd">> = structureBody(
  VFIO_DEVICE_FEATURE_MIG_STATE,
  null,
);

/** Data of VFIO_DEVICE_FEATURE_DMA_LOGGING_START. */
export interface DmaLoggingStart {
  /** Bytes: a power of two. */
  page_size: number;
  /** What to log, at most up to our last address; nothing for everything. Allocated per message. */
  ranges: readonly AddressRange[];
}

const CONTROL = VFIO_DEVICE_FEATURE_DMA_LOGGING_CONTROL;
const RANGE = VFIO_DEVICE_FEATURE_DMA_LOGGING_RANGE;

/**
 * Data of VFIO_DEVICE_FEATURE_DMA_LOGGING_START. EINVAL (spec/08 rule 24): a page size that is 0 or
 * no power of two, fewer ranges than announced, a range that is empty or wraps.
 */
export const FEATURE_DMA_LOGGING_START: BodyCodec<DmaLoggingStart> = {
  size: CONTROL.size,
  create: () => ({ page_size: 0, ranges: [] }),
  decode(view, at, length, into) {
    if (length < CONTROL.size) return EINVAL_RESULT;
    into.page_size = readU64(view, at + CONTROL.at.page_size);
    const count = view.getUint32(at + CONTROL.at.num_ranges, true);
    if (!isPowerOfTwo(into.page_size) || count > (length - CONTROL.size) / RANGE.size) {
      return EINVAL_RESULT;
    }
    const ranges: AddressRange[] = [];
    for (let index = 0; index < count; index++) {
      const range = addressRange();
      readRange(view, at + CONTROL.size + index * RANGE.size, range);
      if (range.kind === RangeKind.EMPTY || range.kind === RangeKind.WRAPS) return EINVAL_RESULT;
      ranges.push(range);
    }
    into.ranges = ranges;
    return 0;
  },
  encode(view, at, value) {
    writeU64(view, at + CONTROL.at.page_size, value.page_size);
    view.setUint32(at + CONTROL.at.num_ranges, value.ranges.length, true);
    view.setUint32(at + CONTROL.at.reserved, 0, true);
    value.ranges.forEach((range, index) =>
      writeRange(view, at + CONTROL.size + index * RANGE.size, range)
    );
    return CONTROL.size + value.ranges.length * RANGE.size;
  },
};

/** Data of VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT. */
export interface DmaLoggingReport {
  /** What to report. BEYOND and CLAMPED are left to the server: no region can cover them. */
  readonly range: AddressRange;
  /** Bytes that one bit stands for: a power of two. */
  page_size: number;
  /** In a reply: where the bitmap stands, {@linkcode bitmapBytes} of it. */
  dataAt: number;
}

const REPORT = VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT_DATA;

function newReport(): DmaLoggingReport {
  return { range: addressRange(), page_size: 0, dataAt: 0 };
}

function decodeReport(view: DataView, at: number, length: number, into: DmaLoggingReport): number {
  if (length < REPORT.size) return EINVAL_RESULT;
  readRange(view, at + REPORT.at.iova, into.range);
  into.page_size = readU64(view, at + REPORT.at.page_size);
  into.dataAt = at + REPORT.size;
  const { kind } = into.range;
  return kind === RangeKind.EMPTY || kind === RangeKind.WRAPS || !isPowerOfTwo(into.page_size)
    ? EINVAL_RESULT
    : 0;
}

function encodeReport(view: DataView, at: number, value: Readonly<DmaLoggingReport>): number {
  writeRange(view, at + REPORT.at.iova, value.range);
  writeU64(view, at + REPORT.at.page_size, value.page_size);
  return REPORT.size;
}

/** Bytes of the bitmap that a report on a range within our addresses holds. */
export function reportBitmapBytes(report: Readonly<DmaLoggingReport>): number {
  return bitmapBytes(report.range.last - report.range.start + 1, report.page_size);
}

/** Data of VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT in the request. An empty or wrapping range, or a page size that is no power of two, is EINVAL. */
export const FEATURE_DMA_LOGGING_REPORT: BodyCodec<DmaLoggingReport> = {
  size: REPORT.size,
  create: newReport,
  decode: decodeReport,
  encode: encodeReport,
};

/** As {@linkcode FEATURE_DMA_LOGGING_REPORT} in the reply, with the bitmap after it. */
export const FEATURE_DMA_LOGGING_REPORT_REPLY: BodyCodec<DmaLoggingReport> = {
  size: REPORT.size,
  create: newReport,
  decode(view, at, length, into) {
    const result = decodeReport(view, at, length, into);
    if (result !== 0) return result;
    if (into.range.kind !== RangeKind.WITHIN || into.page_size === TOO_WIDE) return EINVAL_RESULT;
    return length - REPORT.size < reportBitmapBytes(into) ? EINVAL_RESULT : 0;
  },
  encode: (view, at, value) => encodeReport(view, at, value) + reportBitmapBytes(value),
};
