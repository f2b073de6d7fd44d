import { assertEquals } from "@std/assert";
import {
  DEVICE_GET_REGION_IO_FDS,
  encodeRegionIoFds,
  type IoFd,
  regionIoFdsSize,
} from "./region_io_fds.ts";

const view = new DataView(new ArrayBuffer(256));
const { request, reply } = DEVICE_GET_REGION_IO_FDS;

const PART: IoFd = {
  offset: 0x20,
  size: 4,
  fd_index: 1,
  type: 0,
  flags: 1,
  datamatch: 2n ** 64n - 1n,
  shadow_mem_fd_index: 0,
  shadow_offset: 0,
};

Deno.test("spec/08 rule 11: flags or count not 0, argsz < 16 or > 1 MiB is EINVAL", () => {
  for (
    const [argsz, flags, count, expected] of [
      [16, 0, 0, 0],
      [0x10_0000, 0, 0, 0],
      [15, 0, 0, -22],
      [0x10_0001, 0, 0, -22],
      [16, 1, 0, -22],
      [16, 0, 1, -22],
    ] as const
  ) {
    request.encode(view, 0, { argsz, flags, index: 0, count });
    assertEquals(request.decode(view, 0, 16, request.create()), expected);
  }
});

Deno.test("spec/08 rule 11: small argsz gives only the header with the size needed", () => {
  const value = { argsz: 0, index: 2, subRegions: [PART, PART], complete: true };
  assertEquals(regionIoFdsSize(value.subRegions), 96);
  assertEquals(encodeRegionIoFds(view, 0, value, 95), 16);
  const decoded = reply.create();
  assertEquals(reply.decode(view, 0, 16, decoded), 0);
  assertEquals(decoded, { argsz: 96, index: 2, subRegions: [], complete: false });
});

Deno.test("an ioeventfd is 40 bytes with datamatch at 32, or 48 with it at 40 beside a shadow one", () => {
  const shadow = { ...PART, type: 2, shadow_mem_fd_index: 3, shadow_offset: 0x40 };
  encodeRegionIoFds(view, 0, { argsz: 0, index: 0, subRegions: [PART], complete: true }, 4096);
  assertEquals([view.getUint32(0, true), view.getBigUint64(16 + 32, true)], [56, PART.datamatch]);
  const region = { ...PART, type: 1, datamatch: 7n };
  const all = { argsz: 0, index: 0, subRegions: [PART, shadow, region], complete: true };
  assertEquals(encodeRegionIoFds(view, 0, all, 4096), 160);
  assertEquals(view.getBigUint64(16 + 40, true), PART.datamatch);
  assertEquals(view.getUint32(64 + 28, true), 3);
  assertEquals(view.getBigUint64(64 + 32, true), 0x40n);
  assertEquals(view.getBigUint64(112 + 32, true), 7n);
  const decoded = reply.create();
  assertEquals(reply.decode(view, 0, 160, decoded), 0);
  assertEquals(decoded.subRegions, all.subRegions);
});

Deno.test("a reply whose entries do not fill argsz is EINVAL", () => {
  const all = { argsz: 0, index: 0, subRegions: [PART, PART], complete: true };
  const length = encodeRegionIoFds(view, 0, all, 4096);
  for (const count of [3, 5, 0xffff_ffff]) {
    view.setUint32(12, count, true);
    assertEquals(reply.decode(view, 0, length, reply.create()), -22, `count ${count}`);
  }
  view.setUint32(12, 2, true);
  view.setUint32(16 + 20, 2, true);
  assertEquals(reply.decode(view, 0, length, reply.create()), -22, "a shadow entry of 40 bytes");
});
