import { assertEquals } from "@std/assert";
import { RangeKind } from "../wide.ts";
import {
  DEVICE_FEATURE,
  FEATURE_DMA_LOGGING_REPORT,
  FEATURE_DMA_LOGGING_REPORT_REPLY,
  FEATURE_DMA_LOGGING_START,
  featureIndex,
  featureMethods,
} from "./feature.ts";
import { MIG_DATA_READ, MIG_DATA_WRITE } from "./migration_data.ts";

const view = new DataView(new ArrayBuffer(128));

Deno.test("spec/08 rule 22: no operation, GET with SET, small argsz are EINVAL", () => {
  const { request } = DEVICE_FEATURE;
  const feature = request.create();
  for (
    const [argsz, flags, expected] of [
      [8, 0x1_0001, 0],
      [8, 0x7_0001, 0],
      [8, 0x4_0001, 0],
      [7, 0x1_0001, -22],
      [8, 0x0_0001, -22],
      [8, 0x3_0001, -22],
      [8, 0x9_0001, -22],
      [8, 0x8001_0001, -22],
    ] as const
  ) {
    request.encode(view, 0, { argsz, flags, dataAt: 0, dataLength: 0 });
    assertEquals(request.decode(view, 0, 8, feature), expected, flags.toString(16));
  }
  request.encode(view, 0, { argsz: 8, flags: 0x2_0006, dataAt: 0, dataLength: 0 });
  request.decode(view, 0, 8, feature);
  assertEquals([featureIndex(feature), featureMethods(feature)], [6, 0x2_0000]);
});

Deno.test("spec/08 rule 24: START with page size 0 or not a power of two is EINVAL", () => {
  const start = FEATURE_DMA_LOGGING_START.create();
  const decode = (pageSize: bigint, ranges: number, length: number): number => {
    view.setBigUint64(0, pageSize, true);
    view.setUint32(8, ranges, true);
    view.setBigUint64(16, 0x1000n, true);
    view.setBigUint64(24, 0x1000n, true);
    return FEATURE_DMA_LOGGING_START.decode(view, 0, length, start);
  };
  assertEquals(decode(4096n, 0, 16), 0);
  assertEquals(start.ranges, []);
  assertEquals(decode(4096n, 1, 32), 0);
  assertEquals(start.ranges.length, 1);
  assertEquals(decode(0n, 0, 16), -22);
  assertEquals(decode(4095n, 0, 16), -22);
  assertEquals(decode(2n ** 63n, 0, 16), -22);
  assertEquals(decode(4096n, 2, 32), -22, "fewer ranges than announced");
  assertEquals(decode(4096n, 0xffff_ffff, 32), -22);
});

Deno.test("START clamps a range to our addresses and refuses one that wraps or is empty", () => {
  const start = FEATURE_DMA_LOGGING_START.create();
  view.setBigUint64(0, 4096n, true);
  view.setUint32(8, 1, true);
  for (
    const [iova, length, expected] of [
      [0n, 2n ** 64n - 1n, 0],
      [2n, 2n ** 64n - 1n, -22],
      [0n, 0n, -22],
    ] as const
  ) {
    view.setBigUint64(16, iova, true);
    view.setBigUint64(24, length, true);
    assertEquals(FEATURE_DMA_LOGGING_START.decode(view, 0, 32, start), expected);
  }
});

Deno.test("REPORT leaves a range beyond our addresses to the server, for ENOENT", () => {
  const report = FEATURE_DMA_LOGGING_REPORT.create();
  view.setBigUint64(0, 2n ** 60n, true);
  view.setBigUint64(8, 4096n, true);
  view.setBigUint64(16, 4096n, true);
  assertEquals(FEATURE_DMA_LOGGING_REPORT.decode(view, 0, 24, report), 0);
  assertEquals(report.range.kind, RangeKind.BEYOND);
  view.setBigUint64(16, 3n, true);
  assertEquals(FEATURE_DMA_LOGGING_REPORT.decode(view, 0, 24, report), -22);
});

Deno.test("REPORT's reply is EINVAL when the bitmap is short", () => {
  const codec = FEATURE_DMA_LOGGING_REPORT_REPLY;
  view.setBigUint64(0, 0n, true);
  view.setBigUint64(8, 65n * 4096n, true);
  view.setBigUint64(16, 4096n, true);
  assertEquals(codec.decode(view, 0, 24 + 16, codec.create()), 0);
  assertEquals(codec.decode(view, 0, 24 + 15, codec.create()), -22);
});

Deno.test("MIG_DATA_READ needs an argsz for all it asks for, since less data ends the stream", () => {
  const { request } = MIG_DATA_READ;
  request.encode(view, 0, { argsz: 8 + 99, size: 100, dataAt: 0 });
  assertEquals(request.decode(view, 0, 8, request.create()), -22);
  request.encode(view, 0, { argsz: 8 + 100, size: 100, dataAt: 0 });
  assertEquals(request.decode(view, 0, 8, request.create()), 0);
  request.encode(view, 0, { argsz: 0xffff_ffff, size: 0xffff_ffff, dataAt: 0 });
  assertEquals(request.decode(view, 0, 8, request.create()), -22);
});

Deno.test("MIG_DATA_WRITE is EINVAL with less data than its size says", () => {
  const { request } = MIG_DATA_WRITE;
  request.encode(view, 0, { argsz: 0, size: 4, dataAt: 0 });
  assertEquals(request.decode(view, 0, 11, request.create()), -22);
  assertEquals(request.decode(view, 0, 12, request.create()), 0);
});

Deno.test("DEVICE_FEATURE's reply to PROBE may repeat an argsz above its length", () => {
  const { reply } = DEVICE_FEATURE;
  reply.encode(view, 0, { argsz: 64, flags: 0x6_0002, dataAt: 0, dataLength: 0 });
  assertEquals(reply.decode(view, 0, 8, reply.create()), 0);
});
