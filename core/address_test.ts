import { assertEquals, assertNotEquals } from "@std/assert";
import {
  Access,
  accessName,
  Fault,
  FAULT_REASONS,
  faultName,
  hex,
  hexRange,
  isFault,
  isRange,
  MAX_ADDRESS,
  PAGE_SIZE,
  pageOf,
  pageOffset,
} from "./address.ts";

Deno.test("MAX_ADDRESS is the last byte below 2^52", () => {
  assertEquals(MAX_ADDRESS, 0xf_ffff_ffff_ffff);
  assertEquals(PAGE_SIZE, 0x1000);
});

Deno.test("pageOf() and pageOffset() keep the bits above 32", () => {
  const cases: [number, number, number][] = [
    [0, 0, 0],
    [0xfff, 0, 0xfff],
    [0x1000, 1, 0],
    [0xffff_ffff, 0xf_ffff, 0xfff],
    [0x1_0000_0000, 0x10_0000, 0],
    [0x1234_5678_9abc, 0x1_2345_6789, 0xabc],
    [MAX_ADDRESS, 0xff_ffff_ffff, 0xfff],
  ];
  for (const [address, page, offset] of cases) {
    assertEquals(pageOf(address), page);
    assertEquals(pageOffset(address), offset);
    assertEquals(pageOf(address) * PAGE_SIZE + pageOffset(address), address);
  }
});

Deno.test("isFault() tells every fault from every value", () => {
  for (const fault of Object.values(Fault)) assertEquals(isFault(fault), true);
  for (const value of [0, 1, 0xffff_ffff, Number.MAX_SAFE_INTEGER]) {
    assertEquals(isFault(value), false);
  }
});

Deno.test("faultName() names each fault once, and FAULT_REASONS has room for all", () => {
  const names = Object.values(Fault).map(faultName);
  assertEquals(names, [
    "unmapped",
    "permission",
    "no-domain",
    "no-memory",
    "straddles",
    "too-wide",
    "bus-master-off",
  ]);
  assertEquals(new Set(names).size, names.length);
  assertEquals(FAULT_REASONS, names.length + 1);
  for (const fault of Object.values(Fault)) assertEquals(-fault < FAULT_REASONS, true);
  assertEquals(faultName(0), "none");
  assertEquals(faultName(-99), "fault -99");
});

Deno.test("Access has the bits of VIRTIO_IOMMU_MAP_F_*", () => {
  assertEquals([Access.READ, Access.WRITE, Access.READ_WRITE], [1, 2, 3]);
  assertEquals([0, 1, 2, 3].map(accessName), ["none", "r", "w", "rw"]);
});

Deno.test("isRange() accepts what lies in 0..2^52, ends and empty ranges included", () => {
  const cases: [number, number, boolean][] = [
    [0, 0, true],
    [0, 2 ** 52, true],
    [2 ** 52, 0, true],
    [MAX_ADDRESS, 1, true],
    [MAX_ADDRESS, 2, false],
    [2 ** 52, 1, false],
    [1, 2 ** 52, false],
    [-1, 1, false],
    [0, -1, false],
    [0.5, 1, false],
    [0, 0.5, false],
    [NaN, 1, false],
    [0, NaN, false],
    [0, Infinity, false],
    [2 ** 53, 0, false],
    [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER, false],
  ];
  for (const [start, length, expected] of cases) {
    assertEquals(isRange(start, length), expected, `isRange(${start}, ${length})`);
  }
});

Deno.test("hex() pads, and prints bigints and wide numbers without rounding", () => {
  assertEquals(hex(0), "0x0");
  assertEquals(hex(0xab, 4), "0x00ab");
  assertEquals(hex(MAX_ADDRESS), "0xfffffffffffff");
  assertEquals(hex(0xffff_ffff_ffff_ffffn), "0xffffffffffffffff");
});

Deno.test("hexRange() prints both ends inclusive, and says when there is no byte", () => {
  assertEquals(hexRange(0x1000, 0x1000), "0x1000..0x1fff");
  assertEquals(hexRange(0x1000, 1), "0x1000..0x1000");
  assertEquals(hexRange(0x1000, 0), "0x1000 (empty)");
  assertEquals(hexRange(0, 2 ** 52), "0x0..0xfffffffffffff");
  assertNotEquals(hexRange(0, 1), hexRange(0, 0));
});
