/**
 * One frame of each kind, for the tests of what shows frames: the log, the capture file, the dissector.
 * @module
 */

import type { BodyCodec, MessageCodec } from "./messages/codec.ts";
import { DEVICE_GET_INFO, DEVICE_RESET } from "./messages/device.ts";
import { DMA_READ, DMA_WRITE } from "./messages/dma_access.ts";
import { DMA_MAP, DMA_UNMAP } from "./messages/dma_map.ts";
import {
  DEVICE_FEATURE,
  FEATURE_DMA_LOGGING_START,
  FEATURE_MIG_STATE,
} from "./messages/feature.ts";
import {
  encodeCommandHeader,
  encodeErrorReply,
  encodeReplyHeader,
  header,
} from "./messages/header.ts";
import { ALLOC_IOAS } from "./messages/iommufd.ts";
import { DEVICE_GET_IRQ_INFO, DEVICE_SET_IRQS } from "./messages/irqs.ts";
import { MIG_DATA_READ, MIG_DATA_WRITE } from "./messages/migration_data.ts";
import {
  encodeWriteMultiEntry,
  REGION_READ,
  REGION_WRITE,
  REGION_WRITE_MULTI,
} from "./messages/region_access.ts";
import { DEVICE_GET_REGION_INFO } from "./messages/region_info.ts";
import { DEVICE_GET_REGION_IO_FDS } from "./messages/region_io_fds.ts";
import { VERSION } from "./messages/version.ts";
import type { Direction } from "./message_line.ts";
import type { Frame } from "./message_log.ts";
import { addressRange, setRange } from "./wide.ts";

/** A conversation with every command, ten microseconds from frame to frame. */
export function exampleFrames(): Frame[] {
  const frames: Frame[] = [];
  let id = -1;

  const push = (direction: Direction, bytes: Uint8Array, descriptors: number): void => {
    frames.push({ timeNs: 1000 + frames.length * 10_000, direction, bytes, descriptors });
  };
  const build = <T>(
    codec: BodyCodec<T>,
    value: Partial<T>,
    data: readonly number[],
    dataAt: number,
    head: (view: DataView, bodySize: number) => void,
  ): Uint8Array => {
    const view = new DataView(new ArrayBuffer(512));
    const bodySize = codec.encode(view, 16, { ...codec.create(), ...value });
    const bytes = new Uint8Array(view.buffer, 0, 16 + bodySize);
    head(view, bodySize);
    bytes.set(data, 16 + dataAt);
    return bytes;
  };
  const command = <Q, R>(
    message: MessageCodec<Q, R>,
    value: Partial<Q>,
    more: { data?: readonly number[]; flags?: number; direction?: Direction; fds?: number } = {},
  ): void => {
    id++;
    const bytes = build(
      message.request,
      value,
      more.data ?? [],
      message.request.size,
      (view, size) => encodeCommandHeader(view, 0, id, message.command, size, more.flags ?? 0),
    );
    push(more.direction ?? ">", bytes, more.fds ?? 0);
  };
  const to = (number: number) => ({ ...header(), id, command: number });
  const reply = <Q, R>(
    message: MessageCodec<Q, R>,
    value: Partial<R>,
    more: { data?: readonly number[]; direction?: Direction; fds?: number } = {},
  ): void => {
    const bytes = build(
      message.reply,
      value,
      more.data ?? [],
      message.reply.size,
      (view, size) => encodeReplyHeader(view, 0, to(message.command), size),
    );
    push(more.direction ?? "<", bytes, more.fds ?? 0);
  };
  const failure = (number: number, errno: number): void => {
    const bytes = new Uint8Array(16);
    encodeErrorReply(new DataView(bytes.buffer), 0, to(number), errno);
    push("<", bytes, 0);
  };

  const text = new TextEncoder().encode('{"capabilities":{"max_msg_fds":8}}');
  const version = { minor: 1, dataLength: text.length };
  command(VERSION, version, { data: [...text] });
  reply(VERSION, version, { data: [...text] });
  command(
    DMA_MAP,
    { flags: 3, offset: 0x4_0000, address: 0x10_0000, size: 0x20_0000 },
    { fds: 1 },
  );
  reply(DMA_MAP, {});
  command(DEVICE_GET_INFO, { argsz: 16 });
  reply(DEVICE_GET_INFO, { argsz: 16, flags: 3, num_regions: 9, num_irqs: 5 });
  command(DEVICE_GET_REGION_INFO, { argsz: 64 });
  reply(
    DEVICE_GET_REGION_INFO,
    { flags: 7, size: 0x4000, offset: 0x1000, sparse: [{ offset: 0x2000, size: 0x1000 }] },
    { fds: 1 },
  );
  command(DEVICE_GET_REGION_IO_FDS, { argsz: 4096 });
  reply(DEVICE_GET_REGION_IO_FDS, {
    subRegions: [{
      offset: 0x20,
      size: 4,
      fd_index: 0,
      type: 0,
      flags: 1,
      datamatch: 7n,
      shadow_mem_fd_index: 0,
      shadow_offset: 0,
    }],
  }, { fds: 1 });
  command(DEVICE_GET_IRQ_INFO, { argsz: 16, index: 2 });
  reply(DEVICE_GET_IRQ_INFO, { argsz: 16, index: 2, flags: 9, count: 4 });
  command(DEVICE_SET_IRQS, { flags: 0x24, index: 2, start: 1, count: 2 }, { fds: 2 });
  reply(DEVICE_SET_IRQS, {});
  command(REGION_READ, { offset: 0x10, region: 7, count: 4 });
  reply(REGION_READ, { offset: 0x10, region: 7, count: 4 }, { data: [0, 0, 0xfe, 0xbf] });
  command(REGION_WRITE, { offset: 0x98, count: 4 }, { data: [1, 0, 0, 0], flags: 0x10 });
  const bytes32 = Array.from({ length: 32 }, (_, index) => index);
  command(DMA_READ, { address: 0x10_1000, count: 32 }, { direction: "<" });
  reply(DMA_READ, { address: 0x10_1000, count: 32 }, { data: bytes32, direction: ">" });
  command(DMA_WRITE, { address: 0x10_2000, count: 4 }, {
    data: [0xde, 0xad, 0xbe, 0xef],
    direction: "<",
  });
  reply(DMA_WRITE, { address: 0x10_2000, count: 4 }, { direction: ">" });
  const writes = new DataView(new ArrayBuffer(56));
  const first = encodeWriteMultiEntry(writes, 0, 0, {
    offset: 0x20,
    region: 0,
    count: 1,
    dataAt: 0,
  });
  writes.setUint8(first, 1);
  const second = encodeWriteMultiEntry(writes, 0, 1, {
    offset: 0x24,
    region: 2,
    count: 4,
    dataAt: 0,
  });
  writes.setUint8(second, 2);
  command(REGION_WRITE_MULTI, { wr_cnt: 2 }, { data: [...new Uint8Array(writes.buffer, 8)] });
  reply(REGION_WRITE_MULTI, { wr_cnt: 2 });
  const state = new DataView(new ArrayBuffer(8));
  FEATURE_MIG_STATE.encode(state, 0, { device_state: 3, data_fd: 0 });
  const stateBytes = [...new Uint8Array(state.buffer)];
  const feature = { argsz: 16, flags: 0x2_0002, dataLength: 8 };
  command(DEVICE_FEATURE, feature, { data: stateBytes });
  reply(DEVICE_FEATURE, feature, { data: stateBytes });
  command(MIG_DATA_READ, { argsz: 12, size: 4 });
  reply(MIG_DATA_READ, { argsz: 12, size: 4 }, { data: [0xca, 0xfe, 0xf0, 0x0d] });
  command(MIG_DATA_WRITE, { argsz: 12, size: 4 }, { data: [0xca, 0xfe, 0xf0, 0x0d] });
  failure(MIG_DATA_WRITE.command, 22);
  const range = setRange(addressRange(), 0x10_0000, 0x20_0000);
  const unmap = { argsz: 104, flags: 1, range, pgsize: 4096, bitmapSize: 64 };
  command(DMA_UNMAP, unmap);
  reply(DMA_UNMAP, unmap, { data: [] });
  const last = frames[frames.length - 1];
  if (last !== undefined) last.bytes[16 + 40] = 1;
  command(DEVICE_RESET, {});
  reply(DEVICE_RESET, {});
  const logging = new DataView(new ArrayBuffer(32));
  FEATURE_DMA_LOGGING_START.encode(logging, 0, {
    page_size: 4096,
    ranges: [setRange(addressRange(), 0, 2 ** 32)],
  });
  command(
    DEVICE_FEATURE,
    { argsz: 40, flags: 0x2_0006, dataLength: 32 },
    { data: [...new Uint8Array(logging.buffer)] },
  );
  failure(DEVICE_FEATURE.command, 4095);
  command(ALLOC_IOAS, { argsz: 16 });

  const raw = (number: number, body: readonly number[]): void => {
    id++;
    const bytes = new Uint8Array(16 + body.length);
    encodeCommandHeader(new DataView(bytes.buffer), 0, id, number, body.length, 0);
    bytes.set(body, 16);
    push(">", bytes, 0);
  };
  raw(14, [1, 2, 3, 4]);
  raw(REGION_READ.command, new Array(8).fill(0xff));
  return frames;
}
