/**
 * VFIO_USER_DEVICE_FEATURE: migration and the logging of dirty pages (vfio-user; spec/08 rules 22 to
 * 24).
 * @module
 */

import type { AddressSpace } from "../../../core/iommu/address_space.ts";
import { Errno } from "../../linux/errno.ts";
import {
  type DeviceFeature,
  FEATURE_DMA_LOGGING_REPORT,
  FEATURE_DMA_LOGGING_START,
  FEATURE_MIG_STATE,
  FEATURE_MIGRATION,
  featureIndex,
  featureMethods,
  reportBitmapBytes,
} from "../messages/feature.ts";
import {
  VFIO_DEVICE_FEATURE_BODY,
  VfioDeviceFeature,
  VfioDeviceFeatureFlags,
} from "../vfio_spec.ts";
import { VfioMigrationFlags } from "../vfio_spec.ts";
import { PAGE_SIZE } from "../../../core/address.ts";
import { RangeKind } from "../wide.ts";
import { DirtyLog } from "./dirty_log.ts";
import type { DmaRegions } from "./dma_regions.ts";
import type { Migration } from "./migration.ts";

const {
  VFIO_DEVICE_FEATURE_GET: GET,
  VFIO_DEVICE_FEATURE_SET: SET,
  VFIO_DEVICE_FEATURE_PROBE: PROBE,
} = VfioDeviceFeatureFlags;
const {
  VFIO_DEVICE_FEATURE_MIGRATION: MIGRATION,
  VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE: MIG_STATE,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_START: LOGGING_START,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP: LOGGING_STOP,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT: LOGGING_REPORT,
} = VfioDeviceFeature;

/** Which methods a feature has. */
const METHODS: Readonly<Record<number, number>> = {
  [MIGRATION]: GET,
  [MIG_STATE]: GET | SET,
  [LOGGING_START]: SET,
  [LOGGING_STOP]: SET,
  [LOGGING_REPORT]: GET,
};

const HEAD = VFIO_DEVICE_FEATURE_BODY.size;

/** The body of the reply, or a negative errno. */
export type FeatureResult = Uint8Array | number;

/** The features of one device. */
export class Features {
  readonly #migration: Migration;
  readonly #space: AddressSpace;
  readonly #regions: DmaRegions;

  /** Logging is that of `space`, whose regions are `regions`. */
  constructor(migration: Migration, space: AddressSpace, regions: DmaRegions) {
    this.#migration = migration;
    this.#space = space;
    this.#regions = regions;
  }

  /** The pages written while logging, or null. */
  get dirty(): DirtyLog | null {
    const { dirty } = this.#space;
    return dirty instanceof DirtyLog ? dirty : null;
  }

  /** The client is gone: nothing is logged any more. */
  disconnect(): void {
    this.#space.dirty = null;
  }

  /**
   * Carries out a decoded request whose body is `body`; `done` is called with the reply, at once or when
   * the device has got there.
   *
   * @param maxBitmap bytes of the largest bitmap that is sent
   */
  execute(
    feature: Readonly<DeviceFeature>,
    body: Uint8Array,
    maxBitmap: number,
    done: (result: FeatureResult) => void,
  ): void {
    const index = featureIndex(feature);
    const methods = featureMethods(feature);
    const known = METHODS[index] ?? 0;
    const wanted = methods & (GET | SET);
    const there = known !== 0 &&
      (this.#migration.supported || (index !== MIGRATION && index !== MIG_STATE));
    if (!there || (wanted & ~known) !== 0) {
      done(-Errno.EINVAL);
      return;
    }
    // The reply to SET and PROBE repeats the request, so that much room there must be.
    if ((methods & PROBE) !== 0 || wanted === SET) {
      if (feature.argsz < body.length) return done(-Errno.EINVAL);
    }
    if ((methods & PROBE) !== 0) return done(body);
    const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
    switch (index) {
      case MIGRATION:
        return done(
          this.#get(
            feature,
            FEATURE_MIGRATION.size,
            (data) =>
              FEATURE_MIGRATION.encode(data, HEAD, {
                flags: VfioMigrationFlags.VFIO_MIGRATION_STOP_COPY |
                  VfioMigrationFlags.VFIO_MIGRATION_PRE_COPY,
              }),
          ),
        );
      case MIG_STATE:
        if (wanted === GET) {
          return done(
            this.#get(
              feature,
              FEATURE_MIG_STATE.size,
              (data) =>
                FEATURE_MIG_STATE.encode(data, HEAD, {
                  device_state: this.#migration.state,
                  data_fd: 0,
                }),
            ),
          );
        }
        return this.#setState(view, body, done);
      case LOGGING_START:
        return done(this.#start(view, body));
      case LOGGING_STOP:
        this.#space.dirty = null;
        return done(body);
      default:
        return done(this.#report(feature, view, body, maxBitmap));
    }
  }

  #get(
    feature: Readonly<DeviceFeature>,
    size: number,
    encode: (view: DataView) => void,
  ): FeatureResult {
    if (feature.argsz < HEAD + size) return -Errno.EINVAL;
    const reply = new Uint8Array(HEAD + size);
    const view = new DataView(reply.buffer);
    view.setUint32(0, reply.length, true);
    view.setUint32(4, feature.flags, true);
    encode(view);
    return reply;
  }

  #setState(view: DataView, body: Uint8Array, done: (result: FeatureResult) => void): void {
    const state = FEATURE_MIG_STATE.create();
    const result = FEATURE_MIG_STATE.decode(view, HEAD, body.length - HEAD, state);
    if (result !== 0) return done(result);
    this.#migration.change(state.device_state, (changed) => done(changed === 0 ? body : changed));
  }

  #start(view: DataView, body: Uint8Array): FeatureResult {
    const request = FEATURE_DMA_LOGGING_START.create();
    const result = FEATURE_DMA_LOGGING_START.decode(view, HEAD, body.length - HEAD, request);
    if (result !== 0) return result;
    if (this.#space.dirty !== null) return -Errno.EINVAL;
    // Everything is logged whatever ranges are named: what is not asked for costs nothing.
    this.#space.dirty = new DirtyLog();
    const reply = body.slice();
    // The granule is ours; reports come in whatever granule is asked for.
    new DataView(reply.buffer).setBigUint64(HEAD, BigInt(PAGE_SIZE), true);
    return reply;
  }

  #report(
    feature: Readonly<DeviceFeature>,
    view: DataView,
    body: Uint8Array,
    maxBitmap: number,
  ): FeatureResult {
    const request = FEATURE_DMA_LOGGING_REPORT.create();
    const result = FEATURE_DMA_LOGGING_REPORT.decode(view, HEAD, body.length - HEAD, request);
    if (result !== 0) return result;
    const log = this.dirty;
    if (log === null) return -Errno.EINVAL;
    const { range, page_size } = request;
    if (range.kind === RangeKind.BEYOND) return -Errno.ENOENT;
    if (range.kind !== RangeKind.WITHIN) return -Errno.EINVAL;
    const bytes = reportBitmapBytes(request);
    const fixed = HEAD + FEATURE_DMA_LOGGING_REPORT.size;
    if (bytes > maxBitmap || feature.argsz < fixed + bytes) return -Errno.EINVAL;
    if (!this.#regions.meets(range.start, range.last)) return -Errno.ENOENT;
    const reply = new Uint8Array(fixed + bytes);
    reply.set(body.subarray(0, fixed));
    new DataView(reply.buffer).setUint32(0, reply.length, true);
    log.report(range.start, range.last, page_size, reply.subarray(fixed));
    return reply;
  }
}
