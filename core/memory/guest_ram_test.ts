import { assert, assertEquals, assertThrows } from "@std/assert";
import { Access, Fault, type Gpa, MAX_ADDRESS } from "../address.ts";
import { GuestRam } from "./guest_ram.ts";
import type { RamRegionSpec } from "./ram_region.ts";
import type { Pin, ScalarSize } from "./memory.ts";

const PAGE = 0x1000;
const FOUR_GIB = 2 ** 32;
const TOP = 2 ** 52 - PAGE;
const gpa = (address: number): Gpa => address as Gpa;

/**
 * Two adjacent regions, a hole, a read-only page that follows on RAM, a region
 * across no boundary above 4 GiB, and the last page of the address space.
 */
const REGIONS: readonly RamRegionSpec[] = [
  { name: "high", start: gpa(FOUR_GIB), length: 2 * PAGE },
  { name: "low", start: gpa(0), length: 4 * PAGE },
  { name: "low-b", start: gpa(0x4000), length: 2 * PAGE },
  { name: "ram", start: gpa(0x8000), length: PAGE },
  { name: "rom", start: gpa(0x9000), length: PAGE, readOnly: true },
  { name: "top", start: gpa(TOP), length: PAGE },
];
/** Addresses that no region holds. */
const NOWHERE = [0x6000, 0x7fff, 0xa000, FOUR_GIB - 1, FOUR_GIB + 2 * PAGE, TOP - 1, 2 ** 52];

function ram(): GuestRam {
  return new GuestRam(REGIONS);
}

/** Every byte distinct from its neighbours, and from the same byte of other pages. */
function pattern(length: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8) * 13 + seed) & 0xff);
}

function bytesAt(memory: GuestRam, address: number, length: number): Uint8Array {
  const into = new Uint8Array(length);
  assertEquals(memory.read(gpa(address), into), 0);
  return into;
}

function isPin(result: Pin | Fault): result is Pin {
  return typeof result === "object";
}

Deno.test("GuestRam sorts its regions, and adds up their size", () => {
  const memory = ram();
  assertEquals(memory.regions.map((region) => region.name), [
    "low",
    "low-b",
    "ram",
    "rom",
    "high",
    "top",
  ]);
  assertEquals(memory.size, 11 * PAGE);
  assertEquals(memory.regions.map((region) => region.readOnly), [
    false,
    false,
    false,
    true,
    false,
    false,
  ]);
});

Deno.test("GuestRam refuses regions that are not whole pages, overlap, or lie outside", () => {
  const region = (start: number, length: number): RamRegionSpec => ({
    name: "bad",
    start: gpa(start),
    length,
  });
  const cases: [RamRegionSpec[], string][] = [
    [[region(0, 0)], "whole pages"],
    [[region(1, PAGE)], "whole pages"],
    [[region(0, PAGE + 1)], "whole pages"],
    [[region(0, 2 * PAGE), region(PAGE, PAGE)], "overlaps"],
    [[region(PAGE, PAGE), region(0, PAGE + PAGE)], "overlaps"],
    [[region(0, PAGE), region(0, PAGE)], "overlaps"],
    [[region(TOP, 2 * PAGE)], "0 to 2^52 - 1"],
    [[region(-PAGE, PAGE)], "0 to 2^52 - 1"],
    [[region(NaN, PAGE)], "0 to 2^52 - 1"],
    [[{ ...region(0, PAGE), bytes: new Uint8Array(PAGE - 1) }], "it was given 4095 bytes"],
    [
      [{ ...region(0, PAGE), bytes: new Uint8Array(new ArrayBuffer(2 * PAGE), 4, PAGE) }],
      "at offset 0x4 of their buffer",
    ],
  ];
  for (const [regions, message] of cases) {
    assertThrows(() => new GuestRam(regions), RangeError, message);
  }
});

Deno.test("GuestRam.addRegion() names the region that is in the way, before or behind", () => {
  const memory = new GuestRam([
    { name: "first", start: gpa(0), length: 2 * PAGE },
    { name: "second", start: gpa(4 * PAGE), length: PAGE },
  ]);
  const cases: [number, number, string][] = [
    [PAGE, PAGE, "first"],
    [PAGE, 2 * PAGE, "first"],
    [3 * PAGE, 2 * PAGE, "second"],
    [4 * PAGE, PAGE, "second"],
  ];
  for (const [start, length, there] of cases) {
    assertThrows(
      () => memory.addRegion({ name: "new", start: gpa(start), length }),
      RangeError,
      `overlaps region ${there}`,
    );
  }
  assertEquals(memory.regions.length, 2);
});

Deno.test("GuestRam: what is no address is nowhere, also while no region is known", () => {
  for (const memory of [new GuestRam([]), ram()]) {
    for (const address of [-1, -PAGE, 2 ** 53, 2 ** 64, Infinity, NaN]) {
      assertEquals(memory.readU8(gpa(address)), Fault.NO_MEMORY, `${address}`);
      assertEquals(memory.readU32(gpa(address)), Fault.NO_MEMORY, `${address}`);
      assertEquals(memory.writeU32(gpa(address), 1), Fault.NO_MEMORY, `${address}`);
      assertEquals(memory.regionAt(new Float64Array([0, address / PAGE, 0])), null, `${address}`);
    }
  }
});

Deno.test("GuestRam.addRegion() and removeRegion() change what is a hole, and keep the order", () => {
  const memory = new GuestRam([]);
  assertEquals([memory.size, memory.readU8(gpa(0))], [0, Fault.NO_MEMORY]);
  for (const at of [3, 1, 2]) {
    memory.addRegion({ name: `r${at}`, start: gpa(at * PAGE), length: PAGE });
    assertEquals(memory.writeU8(gpa(at * PAGE), at), 0);
  }
  assertEquals(memory.regions.map(({ name }) => name), ["r1", "r2", "r3"]);
  assertEquals(memory.writeU32(gpa(2 * PAGE - 2), 0x0102_0304), 0);
  assertEquals(memory.readU8(gpa(2 * PAGE)), 0x02);
  assertEquals(memory.removeRegion(gpa(2 * PAGE)), true);
  assertEquals(memory.removeRegion(gpa(2 * PAGE)), false);
  assertEquals(memory.readU8(gpa(2 * PAGE)), Fault.NO_MEMORY);
  assertEquals([memory.readU8(gpa(PAGE)), memory.readU8(gpa(3 * PAGE))], [1, 3]);
  memory.startDirtyLog();
  memory.addRegion({ name: "again", start: gpa(2 * PAGE), length: PAGE });
  assertEquals(memory.readU8(gpa(2 * PAGE)), 0);
  memory.writeU8(gpa(2 * PAGE), 1);
  assertEquals(memory.takeDirtyPages(), [gpa(2 * PAGE)]);
});

Deno.test("GuestRam uses the bytes it is given, at their offset in their buffer", () => {
  const buffer = new ArrayBuffer(4 * PAGE);
  const memory = new GuestRam([
    { name: "a", start: gpa(0), length: PAGE, bytes: new Uint8Array(buffer, PAGE, PAGE) },
    { name: "b", start: gpa(PAGE), length: PAGE, bytes: new Uint8Array(buffer, 3 * PAGE, PAGE) },
  ]);
  memory.writeU8(gpa(1), 0x11);
  memory.writeU16(gpa(2), 0x2222);
  memory.atomicStore(gpa(4), 4, 0x4444_4444);
  memory.atomicStore(gpa(PAGE), 8, 0x0102_0304_0506);
  memory.atomicStore(gpa(PAGE + 8), 2, 0x5555);
  memory.writeU64(gpa(PAGE + 16), 0x0102_0304_0506);
  const all = new Uint8Array(buffer);
  assertEquals([...all.subarray(PAGE, PAGE + 8)], [0, 0x11, 0x22, 0x22, 0x44, 0x44, 0x44, 0x44]);
  const six = [6, 5, 4, 3, 2, 1, 0, 0];
  assertEquals([...all.subarray(3 * PAGE, 3 * PAGE + 8)], six);
  assertEquals([...all.subarray(3 * PAGE + 8, 3 * PAGE + 10)], [0x55, 0x55]);
  assertEquals([...all.subarray(3 * PAGE + 16, 3 * PAGE + 24)], six);
  assertEquals(memory.atomicLoad(gpa(PAGE), 8), 0x0102_0304_0506);
});

Deno.test("GuestRam.write() and read() move ranges within and across adjacent regions", () => {
  const ranges: [number, number][] = [
    [0, 1],
    [0, 16],
    [3, 17],
    [PAGE - 8, 16],
    [0x3fff, 2],
    [0x3ff0, 0x20],
    [0x3001, 0x2fff],
    [0, 0x6000],
    [FOUR_GIB, 2 * PAGE],
    [FOUR_GIB + 2 * PAGE - 1, 1],
    [TOP, PAGE],
    [MAX_ADDRESS, 1],
  ];
  for (const [address, length] of ranges) {
    const memory = ram();
    const bytes = pattern(length);
    assertEquals(memory.write(gpa(address), bytes), 0);
    assertEquals(memory.transferred, length);
    assertEquals(bytesAt(memory, address, length), bytes);
    assertEquals(memory.transferred, length);
    for (let i = 0; i < length; i += 97) {
      assertEquals(memory.readU8(gpa(address + i)), bytes[i]!);
    }
  }
});

Deno.test("GuestRam.copyIn() and copyOut() use the part of the buffer they are told, and no more", () => {
  for (const length of [5, 16, 17, 300]) {
    const memory = ram();
    const bytes = pattern(length + 20);
    const address = gpa(0x4000 - 3);
    assertEquals(memory.copyIn(address, bytes, 7, length), 0);
    assertEquals(memory.transferred, length);
    assertEquals(bytesAt(memory, address, length), bytes.slice(7, 7 + length));
    assertEquals(memory.readU8(gpa(address - 1)), 0);
    assertEquals(memory.readU8(gpa(address + length)), 0);
    const into = new Uint8Array(length + 20).fill(0xee);
    assertEquals(memory.copyOut(address, into, 4, length), 0);
    assertEquals(into.slice(4, 4 + length), bytes.slice(7, 7 + length));
    assertEquals([...into.slice(0, 4), ...into.slice(4 + length)], Array(20).fill(0xee));
  }
});

Deno.test("GuestRam: a range of length 0 succeeds at every address, also where nothing is", () => {
  const memory = ram();
  const empty = new Uint8Array(0);
  for (const address of [0, 0x1234, 0x9000, 0x9fff, TOP, MAX_ADDRESS, ...NOWHERE]) {
    memory.write(gpa(0), pattern(3));
    assertEquals(memory.read(gpa(address), empty), 0);
    assertEquals(memory.transferred, 0);
    memory.write(gpa(0), pattern(3));
    assertEquals(memory.write(gpa(address), empty), 0);
    assertEquals(memory.transferred, 0);
    assertEquals(memory.check(gpa(address), 0, Access.READ_WRITE), 0);
    assertEquals(memory.slices(gpa(address), 0, Access.READ_WRITE), []);
    const pin = memory.pin(gpa(address), 0, Access.READ_WRITE);
    assert(isPin(pin));
    assertEquals([pin.length, pin.slices], [0, []]);
    pin.release();
  }
});

Deno.test("GuestRam: an access that runs into a hole moves the bytes before it, and faults", () => {
  const cases: [number, number, number][] = [
    [0x6000, 8, 0],
    [0x5ffc, 8, 4],
    [0x3ff8, 0x3000, 0x2008],
    [FOUR_GIB + 2 * PAGE - 1, 100, 1],
    [FOUR_GIB - 4, 8, 0],
    [MAX_ADDRESS, 2, 1],
    [MAX_ADDRESS - 99, 200, 100],
    [2 ** 52, 1, 0],
    [0x7fff, 2, 0],
  ];
  for (const [address, length, before] of cases) {
    const memory = ram();
    const bytes = pattern(length);
    assertEquals(memory.write(gpa(address), bytes), Fault.NO_MEMORY);
    assertEquals(memory.transferred, before);
    assertEquals(bytesAt(memory, address, before), bytes.slice(0, before));
    const into = new Uint8Array(length).fill(0xee);
    assertEquals(memory.read(gpa(address), into), Fault.NO_MEMORY);
    assertEquals(memory.transferred, before);
    assertEquals(into.slice(0, before), bytes.slice(0, before));
    assertEquals([...into.slice(before)], Array(length - before).fill(0xee));
    assertEquals(memory.check(gpa(address), length, Access.READ), Fault.NO_MEMORY);
    assertEquals(memory.slices(gpa(address), length, Access.READ), Fault.NO_MEMORY);
    assertEquals(memory.pin(gpa(address), length, Access.READ), Fault.NO_MEMORY);
  }
});

Deno.test("GuestRam: a read-only region reads, and stops a write at its first byte", () => {
  const rom = pattern(PAGE, 9);
  const memory = new GuestRam(
    REGIONS.map((region) => region.name === "rom" ? { ...region, bytes: rom } : region),
  );
  const before = rom.slice();
  assertEquals(bytesAt(memory, 0x9000, PAGE), before);
  assertEquals(memory.write(gpa(0x8ff8), pattern(32)), Fault.PERMISSION);
  assertEquals(memory.transferred, 8);
  assertEquals(bytesAt(memory, 0x8ff8, 8), pattern(8));
  assertEquals(memory.writeU8(gpa(0x9000), 1), Fault.PERMISSION);
  assertEquals(memory.writeU16(gpa(0x9ffe), 1), Fault.PERMISSION);
  assertEquals(memory.writeU32(gpa(0x9001), 1), Fault.PERMISSION);
  assertEquals(memory.writeU64(gpa(0x9008), 1), Fault.PERMISSION);
  assertEquals(memory.writeU32(gpa(0x8ffe), 0xffff_ffff), Fault.PERMISSION);
  for (const size of [1, 2, 4, 8] as const) {
    assertEquals(memory.atomicStore(gpa(0x9010), size, 1), Fault.PERMISSION);
    assert(memory.atomicLoad(gpa(0x9010), size) !== Fault.PERMISSION);
  }
  assertEquals(memory.check(gpa(0x9000), 16, Access.READ), 0);
  assertEquals(memory.check(gpa(0x9000), 16, Access.WRITE), Fault.PERMISSION);
  assertEquals(memory.check(gpa(0x8ff8), 16, Access.READ_WRITE), Fault.PERMISSION);
  assertEquals(memory.slices(gpa(0x9000), 16, Access.WRITE), Fault.PERMISSION);
  assertEquals(memory.pin(gpa(0x8ff8), 16, Access.WRITE), Fault.PERMISSION);
  assertEquals(rom, before);
});

interface Scalar {
  readonly size: ScalarSize;
  readonly read: (memory: GuestRam, address: Gpa) => number;
  readonly write: (memory: GuestRam, address: Gpa, value: number) => number;
  readonly values: readonly number[];
}

const SCALARS: readonly Scalar[] = [
  {
    size: 1,
    read: (memory, address) => memory.readU8(address),
    write: (memory, address, value) => memory.writeU8(address, value),
    values: [0, 1, 0x7f, 0x80, 0xff],
  },
  {
    size: 2,
    read: (memory, address) => memory.readU16(address),
    write: (memory, address, value) => memory.writeU16(address, value),
    values: [0, 0x0102, 0x8000, 0xffff],
  },
  {
    size: 4,
    read: (memory, address) => memory.readU32(address),
    write: (memory, address, value) => memory.writeU32(address, value),
    values: [0, 0x0102_0304, 0x8000_0000, 0xffff_ffff],
  },
  {
    size: 8,
    read: (memory, address) => memory.readU64(address),
    write: (memory, address, value) => memory.writeU64(address, value),
    values: [0, 0x01_0203_0405_0607, 0x8000_0000, 0x1_0000_0000, 2 ** 53 - 1, 2 ** 52],
  },
];

Deno.test("GuestRam: scalars are little-endian at every alignment, and across adjacent regions", () => {
  for (const { size, read, write, values } of SCALARS) {
    // Around a boundary inside a region, around one of two regions, at both ends of memory.
    const addresses = [0, FOUR_GIB, TOP, MAX_ADDRESS + 1 - size, 0x6000 - size];
    for (let offset = 1; offset <= size + 8; offset++) {
      addresses.push(0x4000 + 8 - offset, 0x1000 + 8 - offset);
    }
    for (const address of addresses) {
      for (const value of values) {
        const memory = ram();
        assertEquals(write(memory, gpa(address), value), 0);
        assertEquals(read(memory, gpa(address)), value, `${value} at ${address}`);
        const bytes = bytesAt(memory, address, size);
        let rest = BigInt(value);
        for (const byte of bytes) {
          assertEquals(byte, Number(rest & 0xffn), `${value} at ${address}`);
          rest >>= 8n;
        }
        if (address >= 8 && address < 0x5000) {
          assertEquals(memory.readU8(gpa(address - 1)), 0);
          assertEquals(memory.readU8(gpa(address + size)), 0);
        }
      }
    }
  }
});

Deno.test("GuestRam: scalar writes below 64 bits keep the low bits of the value", () => {
  const memory = ram();
  for (const address of [0x100, 0x3fff]) {
    memory.writeU8(gpa(address), 0x1ff);
    assertEquals(memory.readU8(gpa(address)), 0xff);
    memory.writeU16(gpa(address), 0x1_2345);
    assertEquals(memory.readU16(gpa(address)), 0x2345);
    memory.writeU32(gpa(address), 0x12_3456_789a);
    assertEquals(memory.readU32(gpa(address)), 0x3456_789a);
  }
});

Deno.test("GuestRam: a scalar that meets a hole or the end of the address space is NO_MEMORY", () => {
  const memory = ram();
  for (const { size, read, write } of SCALARS) {
    for (let inside = 0; inside < size; inside++) {
      for (const end of [0x6000, FOUR_GIB + 2 * PAGE, 2 ** 52]) {
        const address = gpa(end - inside);
        assertEquals(read(memory, address), Fault.NO_MEMORY);
        assertEquals(write(memory, address, 1), Fault.NO_MEMORY);
      }
      for (const start of [0x8000, FOUR_GIB, TOP]) {
        const address = gpa(start - size + inside);
        assertEquals(read(memory, address), Fault.NO_MEMORY);
        assertEquals(write(memory, address, 1), Fault.NO_MEMORY);
      }
    }
  }
});

Deno.test("GuestRam: a scalar write that runs into a hole has stored the bytes before it, and none after", () => {
  const memory = ram();
  assertEquals(memory.writeU64(gpa(0x5ffd), 0x01_0203_0405_0607), Fault.NO_MEMORY);
  assertEquals([...bytesAt(memory, 0x5ffd, 3)], [7, 6, 5]);
  memory.writeU32(gpa(0x7ffe), 0xffff_ffff);
  assertEquals(memory.readU16(gpa(0x8000)), 0);
});

Deno.test("GuestRam.readU64() is TOO_WIDE from 2^53 on, and never a rounded number", () => {
  const cases: [bigint, number][] = [
    [(1n << 53n) - 1n, 2 ** 53 - 1],
    [1n << 53n, Fault.TOO_WIDE],
    [(1n << 53n) + 1n, Fault.TOO_WIDE],
    [1n << 63n, Fault.TOO_WIDE],
    [(1n << 64n) - 1n, Fault.TOO_WIDE],
    [0x0020_0000_0000_0000n, Fault.TOO_WIDE],
    [0x0100_0000_0000_0000n, Fault.TOO_WIDE],
  ];
  for (const [value, expected] of cases) {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, value, true);
    for (const address of [0x100, 0x101, 0x3ffc, 0x3ff9, 0x3fff]) {
      const memory = ram();
      memory.write(gpa(address), bytes);
      assertEquals(memory.readU64(gpa(address)), expected, `${value} at ${address}`);
    }
    const memory = ram();
    memory.write(gpa(0x200), bytes);
    assertEquals(memory.atomicLoad(gpa(0x200), 8), expected);
  }
});

Deno.test("GuestRam.readU64() names the hole before it weighs the value behind it", () => {
  const memory = ram();
  memory.write(gpa(0x8000), new Uint8Array(8).fill(0xff));
  for (let inside = 1; inside < 8; inside++) {
    assertEquals(memory.readU64(gpa(0x8000 - 8 + inside)), Fault.NO_MEMORY);
  }
});

Deno.test("GuestRam.atomicLoad() and atomicStore() agree with the scalars", () => {
  for (const { size, read, write, values } of SCALARS) {
    for (const address of [0, 0x4000 - size, 0x4000, FOUR_GIB + 8, MAX_ADDRESS + 1 - size]) {
      for (const value of values) {
        const memory = ram();
        assertEquals(memory.atomicStore(gpa(address), size, value), 0);
        assertEquals(read(memory, gpa(address)), value);
        assertEquals(write(memory, gpa(address), values[1]!), 0);
        assertEquals(memory.atomicLoad(gpa(address), size), values[1]!);
      }
    }
  }
});

Deno.test("GuestRam: an atomic access that is not aligned STRADDLES, and stores nothing", () => {
  const memory = ram();
  for (const size of [2, 4, 8] as const) {
    for (let offset = 1; offset < size; offset++) {
      for (const base of [0x100, 0x3ff8, 0x6000, 0x9000]) {
        const address = gpa(base + offset);
        assertEquals(memory.atomicLoad(address, size), Fault.STRADDLES);
        assertEquals(memory.atomicStore(address, size, 1), Fault.STRADDLES);
      }
    }
  }
  assertEquals(bytesAt(memory, 0x100, 8), new Uint8Array(8));
});

Deno.test("GuestRam: an aligned atomic access to a hole is NO_MEMORY", () => {
  const memory = ram();
  for (const size of [1, 2, 4, 8] as const) {
    for (const address of [0x6000, 0x7ff8, FOUR_GIB - 8, 2 ** 52]) {
      assertEquals(memory.atomicLoad(gpa(address), size), Fault.NO_MEMORY);
      assertEquals(memory.atomicStore(gpa(address), size, 1), Fault.NO_MEMORY);
    }
  }
});

Deno.test("GuestRam.slices() are views on the bytes themselves, one a region", () => {
  const memory = ram();
  const views = memory.slices(gpa(0x3ffe), 0x1005, Access.READ_WRITE);
  assert(typeof views === "object");
  assertEquals(views.map((view) => view.length), [2, 0x1003]);
  views[0]![1] = 0xab;
  views[1]![0] = 0xcd;
  assertEquals(memory.readU16(gpa(0x3fff)), 0xcdab);
  memory.writeU8(gpa(0x5002), 0x77);
  assertEquals(views[1]![0x1002], 0x77);
});

Deno.test("GuestRam.appendSlices() adds behind what is there, and keeps the part before a fault", () => {
  const memory = ram();
  const first = new Uint8Array(1);
  const views = [first];
  assertEquals(memory.appendSlices(gpa(0x5ff0), 0x100, Access.READ, views), Fault.NO_MEMORY);
  assertEquals(memory.transferred, 0x10);
  assertEquals(views.map((view) => view.length), [1, 0x10]);
  assert(views[0] === first);
});

Deno.test("GuestRam.pin() gives the slices, and is never revoked", () => {
  const memory = ram();
  const pin = memory.pin(gpa(0x3000), 0x2000, Access.READ);
  assert(isPin(pin));
  assertEquals([pin.length, pin.slices.length, pin.revoked], [0x2000, 2, false]);
  pin.release();
  pin.release();
  assertEquals(pin.revoked, false);
});

Deno.test("GuestRam.check() looks at the whole range, and moves nothing", () => {
  const memory = ram();
  assertEquals(memory.check(gpa(0), 0x6000, Access.READ_WRITE), 0);
  assertEquals(memory.check(gpa(0), 0x6001, Access.READ), Fault.NO_MEMORY);
  assertEquals(memory.check(gpa(0x8000), 2 * PAGE, Access.READ), 0);
  assertEquals(memory.check(gpa(0x8000), 2 * PAGE, Access.WRITE), Fault.PERMISSION);
  assertEquals(memory.check(gpa(MAX_ADDRESS), 1, Access.READ_WRITE), 0);
  assertEquals(memory.check(gpa(0), 2 ** 52, Access.READ), Fault.NO_MEMORY);
});

Deno.test("GuestRam's dirty log is off until started, and forgets when stopped", () => {
  const memory = ram();
  assertEquals(memory.dirtyLog, "off");
  memory.writeU8(gpa(0), 1);
  assertEquals(memory.takeDirtyPages(), []);
  memory.startDirtyLog();
  assertEquals([memory.dirtyLog, memory.takeDirtyPages()], ["on", []]);
  memory.writeU8(gpa(0), 1);
  memory.stopDirtyLog();
  assertEquals([memory.dirtyLog, memory.takeDirtyPages()], ["off", []]);
  memory.startDirtyLog();
  assertEquals(memory.takeDirtyPages(), []);
});

Deno.test("GuestRam's dirty log records what every kind of write touched, by GPA, ascending", () => {
  const writes: [(memory: GuestRam) => unknown, number[]][] = [
    [(memory) => memory.write(gpa(0x3fff), pattern(0x1002)), [0x3000, 0x4000, 0x5000]],
    [(memory) => memory.copyIn(gpa(TOP), pattern(40), 3, 20), [TOP]],
    [(memory) => memory.writeU8(gpa(0x1fff), 1), [0x1000]],
    [(memory) => memory.writeU16(gpa(0x1fff), 1), [0x1000, 0x2000]],
    [(memory) => memory.writeU32(gpa(0x3ffd), 1), [0x3000, 0x4000]],
    [(memory) => memory.writeU64(gpa(FOUR_GIB + 0xffc), 1), [FOUR_GIB, FOUR_GIB + PAGE]],
    [(memory) => memory.atomicStore(gpa(0x2000), 1, 1), [0x2000]],
    [(memory) => memory.atomicStore(gpa(0x2ffc), 4, 1), [0x2000]],
    [(memory) => memory.slices(gpa(0x1fff), 2, Access.WRITE), [0x1000, 0x2000]],
    [(memory) => memory.markDirty(gpa(0x3000), 0x2000), [0x3000, 0x4000]],
    [
      (memory) => [memory.writeU8(gpa(FOUR_GIB), 1), memory.writeU8(gpa(0), 1)],
      [0, FOUR_GIB],
    ],
  ];
  for (const [write, expected] of writes) {
    const memory = ram();
    memory.startDirtyLog();
    write(memory);
    assertEquals(memory.takeDirtyPages(), expected.map(gpa), String(write));
    assertEquals(memory.takeDirtyPages(), []);
  }
});

Deno.test("GuestRam.markDirty() marks the pages of every region that the range meets, and no other", () => {
  const memory = ram();
  memory.startDirtyLog();
  const cases: [number, number, number[]][] = [
    [0, 0, []],
    [PAGE - 1, 2, [0, PAGE]],
    [3 * PAGE, 2 * PAGE, [3 * PAGE, 4 * PAGE]],
    [0x6000, 2 * PAGE, []],
    [0x7fff, 2, [0x8000]],
    [0x5fff, FOUR_GIB, [0x5000, 0x8000, 0x9000, FOUR_GIB, FOUR_GIB + PAGE]],
    [FOUR_GIB + 2 * PAGE, PAGE, []],
    [TOP - 1, PAGE + 1, [TOP]],
  ];
  for (const [start, length, pages] of cases) {
    memory.markDirty(gpa(start), length);
    assertEquals(memory.takeDirtyPages(), pages.map(gpa), `${start} and ${length}`);
  }
});

Deno.test("GuestRam's dirty log records nothing for reads, refused writes and empty ranges", () => {
  const memory = ram();
  memory.startDirtyLog();
  bytesAt(memory, 0, 0x6000);
  memory.readU64(gpa(0x3ffc));
  memory.atomicLoad(gpa(0), 8);
  memory.slices(gpa(0), 0x6000, Access.READ);
  memory.check(gpa(0), 0x6000, Access.WRITE);
  memory.write(gpa(0x1000), new Uint8Array(0));
  memory.slices(gpa(0x1000), 0, Access.WRITE);
  memory.write(gpa(0x9000), pattern(4));
  memory.writeU32(gpa(0x9000), 1);
  memory.atomicStore(gpa(0x1002), 4, 1);
  const pin = memory.pin(gpa(0), 0x100, Access.READ);
  assert(isPin(pin));
  pin.release();
  assertEquals(memory.takeDirtyPages(), []);
});

Deno.test("GuestRam's dirty log records the part of a write that went before its fault", () => {
  const memory = ram();
  memory.startDirtyLog();
  memory.write(gpa(0x5000), pattern(0x2000));
  memory.write(gpa(0x8fff), pattern(2));
  memory.writeU16(gpa(0x5fff), 1);
  assertEquals(memory.takeDirtyPages(), [gpa(0x5000), gpa(0x8000)]);
});

Deno.test("GuestRam.pin() for writing marks its pages when it begins, and again on release, once", () => {
  const memory = ram();
  memory.startDirtyLog();
  const pin = memory.pin(gpa(0x3fff), 2, Access.WRITE);
  assert(isPin(pin));
  assertEquals(memory.takeDirtyPages(), [gpa(0x3000), gpa(0x4000)]);
  pin.slices[0]![0] = 1;
  assertEquals(memory.takeDirtyPages(), []);
  pin.release();
  assertEquals(memory.takeDirtyPages(), [gpa(0x3000), gpa(0x4000)]);
  pin.release();
  assertEquals(memory.takeDirtyPages(), []);
});

Deno.test("GuestRam.takeDirtyPages() between two writes gives each page to one of the fetches", () => {
  const memory = ram();
  memory.startDirtyLog();
  const first: number[] = [];
  for (let address = 0; address < 0x6000; address += 0x800) {
    memory.writeU8(gpa(address), 1);
    if (address === 0x2800) first.push(...memory.takeDirtyPages());
  }
  assertEquals(first, [0, 0x1000, 0x2000]);
  assertEquals(memory.takeDirtyPages(), [0x3000, 0x4000, 0x5000].map(gpa));
});
