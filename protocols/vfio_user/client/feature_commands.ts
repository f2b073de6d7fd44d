/**
 * Migration and dirty-page logging: DEVICE_FEATURE and the stream of a device's state.
 * @module
 */

import { hexRange } from "../../../core/address.ts";
import { Errno } from "../../linux/errno.ts";
import type { Negotiated } from "../capabilities.ts";
import type { BodyCodec } from "../messages/codec.ts";
import { bitmapBytes } from "../messages/dma_map.ts";
import {
  DEVICE_FEATURE,
  FEATURE_DMA_LOGGING_REPORT,
  FEATURE_DMA_LOGGING_REPORT_REPLY,
  FEATURE_DMA_LOGGING_START,
  FEATURE_MIG_STATE,
  FEATURE_MIGRATION,
} from "../messages/feature.ts";
import { MIG_DATA_READ, MIG_DATA_WRITE } from "../messages/migration_data.ts";
import {
  VFIO_DEVICE_FEATURE_DMA_LOGGING_CONTROL,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_RANGE,
  VFIO_DEVICE_FEATURE_MASK,
  VfioDeviceFeature,
  VfioDeviceFeatureFlags,
} from "../vfio_spec.ts";
import { addressRange, setRange } from "../wide.ts";
import { badReply, beyondLimit, VfioUserError } from "./client_error.ts";
import type { MessageEngine, Reply } from "./message_engine.ts";
import { joinTickets, Ticket } from "./ticket.ts";

/** A range of IOVAs. */
export interface IovaRange {
  readonly iova: number;
  readonly length: number;
}

const {
  VFIO_DEVICE_FEATURE_GET: GET,
  VFIO_DEVICE_FEATURE_SET: SET,
  VFIO_DEVICE_FEATURE_PROBE: PROBE,
} = VfioDeviceFeatureFlags;
const {
  VFIO_DEVICE_FEATURE_MIGRATION: MIGRATION,
  VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE: STATE,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_START: START,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP: STOP,
  VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT: REPORT,
} = VfioDeviceFeature;
const FIXED = DEVICE_FEATURE.request.size;
/** Bytes of a bitmap that one report asks for: with its fixed parts it fits into any message. */
const MAX_BITMAP = 0x4_0000;
const NO_DATA = new Uint8Array(0);

/** For a {@linkcode VfioUserClient}. */
export class FeatureCommands {
  readonly #engine: MessageEngine;
  readonly #inForce: Negotiated;

  constructor(engine: MessageEngine, inForce: Negotiated) {
    this.#engine = engine;
    this.#inForce = inForce;
  }

  /**
   * Whether the server has a feature (`VfioDeviceFeature`), and lets us get or set it when
   * `methods`, bits of GET and SET, are named. Any refusal is a no.
   */
  probe(feature: number, methods = 0): Ticket<boolean> {
    const asked = this.#send(feature, PROBE | methods, NO_DATA, 0, () => true);
    const answer = new Ticket<boolean>(asked.command);
    answer.dependOn(asked);
    asked.whenDone(() => {
      const { error } = asked;
      if (error === null) answer.settle(true);
      else if (error instanceof VfioUserError && error.code === "refused") answer.settle(false);
      else answer.fail(error);
    });
    return answer;
  }

  /** VFIO_DEVICE_FEATURE_MIGRATION: bits of `VfioMigrationFlags`. */
  migrationFlags(): Ticket<number> {
    return this.#send(
      MIGRATION,
      GET,
      NO_DATA,
      FEATURE_MIGRATION.size,
      (reply, at, length) => take(FEATURE_MIGRATION, reply, at, length).flags,
    );
  }

  /** The state it is in: a value of `VfioDeviceMigState`. */
  state(): Ticket<number> {
    return this.#send(
      STATE,
      GET,
      NO_DATA,
      FEATURE_MIG_STATE.size,
      (reply, at, length) => take(FEATURE_MIG_STATE, reply, at, length).device_state,
    );
  }

  /** Moves it to a state. Answered when it is there. */
  setState(state: number): Ticket<void> {
    const data = encoded(FEATURE_MIG_STATE, FEATURE_MIG_STATE.size, {
      device_state: state,
      data_fd: 0xffff_ffff,
    });
    return this.#send(STATE, SET, data, data.length, () => {});
  }

  /**
   * From now on writes to the ranges are logged, to everything when there are none. The answer is
   * the granule that the server chose.
   */
  startLogging(pageSize: number, ranges: readonly IovaRange[] = []): Ticket<number> {
    const size = VFIO_DEVICE_FEATURE_DMA_LOGGING_CONTROL.size +
      ranges.length * VFIO_DEVICE_FEATURE_DMA_LOGGING_RANGE.size;
    const data = encoded(FEATURE_DMA_LOGGING_START, size, {
      page_size: pageSize,
      ranges: ranges.map(({ iova, length }) => setRange(addressRange(), iova, length)),
    });
    return this.#send(START, SET, data, data.length, (reply, at, length) =>
      // A reply that repeats nothing has changed nothing.
      length === 0 ? pageSize : take(FEATURE_DMA_LOGGING_START, reply, at, length).page_size);
  }

  /** Logging ends. */
  stopLogging(): Ticket<void> {
    return this.#send(STOP, SET, NO_DATA, 0, () => {});
  }

  /**
   * Which pages of the range were written since the last report: one bit for each `pageSize`
   * bytes, low bits first, in as many reports as it takes. They count as clean from now on.
   */
  dirtyPages(iova: number, length: number, pageSize: number): Ticket<Uint8Array> {
    const bitmap = new Uint8Array(bitmapBytes(length, pageSize));
    // Whole 64-bit words each, so that the parts follow one another.
    const most = Math.min(MAX_BITMAP, Math.floor(this.#inForce.maxDataXferSize / 8) * 8);
    const step = Math.max(8, most) * 8 * pageSize;
    const tickets: Ticket<void>[] = [];
    for (let done = 0; done < length; done += step) {
      const part = Math.min(step, length - done);
      const into = bitmap.subarray(done / pageSize / 8);
      tickets.push(this.#report(iova + done, part, pageSize, into));
    }
    return joinTickets(tickets, () => bitmap);
  }

  /** VFIO_USER_MIG_DATA_READ: at most `size` bytes of the device's state; fewer are the last. */
  readData(size: number = this.#inForce.maxDataXferSize): Ticket<Uint8Array> {
    const { command } = MIG_DATA_READ;
    this.#checkSize(command, size);
    const argsz = MIG_DATA_READ.request.size + size;
    return this.#engine.send(MIG_DATA_READ, { argsz, size, dataAt: 0 }, (reply) => {
      const found = MIG_DATA_READ.reply.create();
      const result = MIG_DATA_READ.reply.decode(reply.view, reply.at, reply.length, found);
      if (result !== 0 || found.size > size) {
        throw badReply(
          command,
          `it says ${found.size} bytes of data in a body of ${reply.length}, of ${size} asked for`,
        );
      }
      return reply.bytes.slice(found.dataAt, found.dataAt + found.size);
    });
  }

  /** VFIO_USER_MIG_DATA_WRITE: the next bytes of a device's state, in as many messages as it takes. */
  writeData(data: Uint8Array): Ticket<void> {
    const step = this.#inForce.maxDataXferSize;
    const tickets: Ticket<void>[] = [];
    for (let done = 0; done < data.length; done += step) {
      const part = data.subarray(done, done + step);
      const argsz = MIG_DATA_WRITE.request.size + part.length;
      const request = { argsz, size: part.length, dataAt: 0 };
      tickets.push(this.#engine.send(MIG_DATA_WRITE, request, () => {}, { data: part }));
    }
    return joinTickets(tickets, () => {});
  }

  #report(iova: number, length: number, pageSize: number, into: Uint8Array): Ticket<void> {
    const range = setRange(addressRange(), iova, length);
    const data = encoded(FEATURE_DMA_LOGGING_REPORT, FEATURE_DMA_LOGGING_REPORT.size, {
      range,
      page_size: pageSize,
      dataAt: 0,
    });
    const bytes = bitmapBytes(length, pageSize);
    return this.#send(REPORT, GET, data, data.length + bytes, (reply, at, size) => {
      const found = take(FEATURE_DMA_LOGGING_REPORT_REPLY, reply, at, size);
      if (
        found.range.start !== range.start || found.range.last !== range.last ||
        found.page_size !== pageSize
      ) {
        const there = found.range.last - found.range.start + 1;
        throw badReply(
          DEVICE_FEATURE.command,
          `it reports on ${hexRange(found.range.start, there)} by ${found.page_size} bytes, and ` +
            `we asked for ${hexRange(iova, length)} by ${pageSize}`,
        );
      }
      into.set(reply.bytes.subarray(found.dataAt, found.dataAt + bytes));
    });
  }

  #send<T>(
    feature: number,
    methods: number,
    data: Uint8Array,
    room: number,
    receive: (reply: Reply, at: number, length: number) => T,
  ): Ticket<T> {
    const flags = (feature & VFIO_DEVICE_FEATURE_MASK) | methods;
    const request = { argsz: FIXED + room, flags, dataAt: 0, dataLength: data.length };
    return this.#engine.send(DEVICE_FEATURE, request, (reply) => {
      const found = DEVICE_FEATURE.reply.create();
      const result = DEVICE_FEATURE.reply.decode(reply.view, reply.at, reply.length, found);
      if (result !== 0 || (found.flags & VFIO_DEVICE_FEATURE_MASK) !== feature) {
        throw badReply(
          DEVICE_FEATURE.command,
          `its ${reply.length} bytes are not about feature ${feature}`,
        );
      }
      return receive(reply, found.dataAt, found.dataLength);
    }, { data });
  }

  #checkSize(command: number, size: number): void {
    if (size <= this.#inForce.maxDataXferSize) return;
    throw beyondLimit(
      command,
      `${size} bytes are more than the ${this.#inForce.maxDataXferSize} of one message`,
    );
  }
}

/** Whether a refusal says that there is no such feature, or no such way to use it. */
export function isUnsupported(error: unknown): boolean {
  return error instanceof VfioUserError && error.code === "refused" &&
    (error.errno === Errno.EINVAL || error.errno === Errno.ENOTTY ||
      error.errno === Errno.EOPNOTSUPP || error.errno === Errno.ENOSYS);
}

function encoded<T>(codec: BodyCodec<T>, size: number, value: T): Uint8Array {
  const bytes = new Uint8Array(size);
  codec.encode(new DataView(bytes.buffer), 0, value);
  return bytes;
}

function take<T>(codec: BodyCodec<T>, reply: Reply, at: number, length: number): T {
  const found = codec.create();
  if (codec.decode(reply.view, at, length, found) === 0) return found;
  throw badReply(DEVICE_FEATURE.command, `its ${length} bytes of data are not what was asked for`);
}
