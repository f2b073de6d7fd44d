import { assertEquals } from "@std/assert";
import {
  DEVICE_GET_REGION_INFO,
  encodeRegionInfo,
  type RegionInfo,
  regionInfoFits,
  regionInfoSize,
} from "./region_info.ts";

const bytes = new Uint8Array(256);
const view = new DataView(bytes.buffer);
const reply = DEVICE_GET_REGION_INFO.reply;

const BAR: RegionInfo = {
  argsz: 0,
  flags: 7,
  index: 2,
  size: 0x3000,
  offset: 0x1000,
  sparse: [{ offset: 0x2000, size: 0x1000 }],
  type: null,
  msixMappable: false,
};

Deno.test("spec/08 rule 9: argsz below the structure is EINVAL, a larger one is fine", () => {
  const request = DEVICE_GET_REGION_INFO.request;
  bytes.fill(0);
  for (const [argsz, expected] of [[0, -22], [31, -22], [32, 0], [0xffff_ffff, 0]] as const) {
    view.setUint32(0, argsz, true);
    assertEquals(request.decode(view, 0, 32, request.create()), expected, `argsz ${argsz}`);
  }
});

Deno.test("spec/08 rule 10: argsz too small gives what is needed, MMAP set, CAPS clear", () => {
  assertEquals(encodeRegionInfo(view, 0, BAR, 63), 32);
  const info = reply.create();
  assertEquals(reply.decode(view, 0, 32, info), 0);
  assertEquals(info, { ...BAR, argsz: 64, sparse: null });
  assertEquals(view.getUint32(12, true), 0);
  assertEquals([regionInfoFits(BAR, 63), regionInfoFits(BAR, 64)], [false, true]);
});

Deno.test("spec/09 rule 16: one sparse area needs 64 bytes, laid out as VFIO does", () => {
  assertEquals(encodeRegionInfo(view, 0, BAR, 64), 64);
  assertEquals(regionInfoSize(BAR), 64);
  assertEquals(view.getUint32(0, true), 64);
  assertEquals(view.getUint32(4, true), 0xf);
  assertEquals(view.getUint32(12, true), 32);
  assertEquals([...bytes.subarray(32, 48)], [1, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
  assertEquals(view.getBigUint64(48, true), 0x2000n);
  assertEquals(view.getBigUint64(56, true), 0x1000n);
});

Deno.test("a region without capabilities is 32 bytes whatever the room", () => {
  assertEquals(encodeRegionInfo(view, 0, { ...BAR, sparse: null }, 4096), 32);
  assertEquals(view.getUint32(0, true), 32);
});

/** A reply with all three capabilities, of which the test then spoils a field. */
function listed(): number {
  return encodeRegionInfo(
    view,
    0,
    { ...BAR, type: { type: 1, subtype: 2 }, msixMappable: true },
    4096,
  );
}

Deno.test("a hostile capability list is EINVAL, never a loop or a read outside the body", () => {
  const cases: Readonly<Record<string, () => void>> = {
    "cap_offset inside the fixed part": () => view.setUint32(12, 16, true),
    "cap_offset past the end": () => view.setUint32(12, 4096, true),
    "cap_offset at the last byte": () => view.setUint32(12, 87, true),
    "next points at itself": () => view.setUint32(36, 32, true),
    "next points back": () => view.setUint32(64 + 4, 32, true),
    "next into the header before it": () => view.setUint32(36, 36, true),
    "next past the end": () => view.setUint32(36, 0xffff_ffff, true),
    "more areas than there is room for": () => view.setUint32(40, 0x1000_0001, true),
    "an area past the region's end": () => view.setBigUint64(48, 0x2001n, true),
    "an area that wraps": () => view.setBigUint64(48, 2n ** 64n - 0x1000n, true),
    "a region of 2^53 bytes": () => view.setBigUint64(16, 2n ** 53n, true),
    "argsz below the structure": () => view.setUint32(0, 31, true),
  };
  for (const [name, spoil] of Object.entries(cases)) {
    const length = listed();
    assertEquals(reply.decode(view, 0, length, reply.create()), 0);
    spoil();
    assertEquals(reply.decode(view, 0, length, reply.create()), -22, name);
  }
});

Deno.test("an unknown capability is stepped over", () => {
  const length = listed();
  view.setUint16(32, 77, true);
  const info = reply.create();
  assertEquals(reply.decode(view, 0, length, info), 0);
  assertEquals([info.sparse, info.type, info.msixMappable], [null, { type: 1, subtype: 2 }, true]);
});
