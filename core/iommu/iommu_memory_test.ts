import { assert, assertEquals } from "@std/assert";
import { Access, Fault, type Gpa, type Iova, MAX_ADDRESS, type Status } from "../address.ts";
import { GuestRam } from "../memory/guest_ram.ts";
import type { Pin, ScalarSize } from "../memory/memory.ts";
import { type TraceEvent, TraceKind, TraceRing } from "../observe/trace.ts";
import { VirtualClock } from "../observe/virtual_clock.ts";
import { Iommu } from "./iommu.ts";
import type { IommuMemory } from "./iommu_memory.ts";

const PAGE = 0x1000;
const FOUR_GIB = 2 ** 32;
const TOP = 2 ** 52 - PAGE;
const ENDPOINT = 8;
const { READ, WRITE, READ_WRITE } = Access;
const iova = (address: number): Iova => address as Iova;
const gpa = (address: number): Gpa => address as Gpa;

interface Bench {
  readonly ram: GuestRam;
  readonly clock: VirtualClock;
  readonly trace: TraceRing;
  readonly iommu: Iommu;
  readonly memory: IommuMemory;
}

type MappingRow = readonly [iova: number, gpa: number, length: number, access: number];

/** RAM below and above 4 GiB with a read-only page between; one endpoint in domain 1. */
function bench(...mappings: MappingRow[]): Bench {
  const ram = new GuestRam([
    { name: "low", start: gpa(0), length: 32 * PAGE },
    { name: "rom", start: gpa(32 * PAGE), length: PAGE, readOnly: true },
    { name: "high", start: gpa(FOUR_GIB), length: 16 * PAGE },
    { name: "top", start: gpa(TOP), length: PAGE },
  ]);
  const clock = new VirtualClock();
  const trace = new TraceRing(64);
  const iommu = new Iommu(ram, { clock, trace });
  iommu.createDomain(1);
  for (const [from, to, length, access] of mappings) {
    iommu.map(1, iova(from), gpa(to), length, access);
  }
  const { memory } = iommu.addEndpoint(ENDPOINT);
  iommu.attach(ENDPOINT, 1);
  return { ram, clock, trace, iommu, memory };
}

/** Three pages that follow each other by IOVA and are scattered by GPA, in falling order. */
const SCATTERED: readonly MappingRow[] = [
  [0x10_0000, FOUR_GIB + 2 * PAGE, PAGE, READ_WRITE],
  [0x10_1000, 5 * PAGE, PAGE, READ_WRITE],
  [0x10_2000, 3 * PAGE, PAGE, READ_WRITE],
];

function pattern(length: number, seed = 1): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + (i >> 8) * 13 + seed) & 0xff);
}

function ramBytes(ram: GuestRam, address: number, length: number): Uint8Array {
  const into = new Uint8Array(length);
  assertEquals(ram.read(gpa(address), into), 0);
  return into;
}

/** The faults since the last call: first bad byte, access, reason. */
function faults(iommu: Iommu): [number, number, number][] {
  return iommu.drainFaults().map((record) => {
    assertEquals([record.endpoint, record.pasid], [ENDPOINT, -1]);
    return [record.iova, record.access, record.reason];
  });
}

function metrics(iommu: Iommu) {
  return iommu.endpoint(ENDPOINT).counters.snapshot();
}

function pinned(memory: IommuMemory, address: number, length: number, access: number): Pin {
  const pin = memory.pin(iova(address), length, access);
  assert(typeof pin === "object", `pin() gave ${pin}`);
  return pin;
}

Deno.test("IommuMemory.write() and read() split at fragments, below and above 4 GiB", () => {
  const ranges = [[0x10_0000, 0x3000], [0x10_0ff0, 0x20], [0x10_0fff, 0x1002], [0x10_1800, 8]];
  for (const [address, length] of ranges as [number, number][]) {
    const { ram, memory, iommu } = bench(...SCATTERED);
    const bytes = pattern(length);
    assertEquals(memory.write(iova(address), bytes), 0);
    assertEquals(memory.transferred, length);
    for (let i = 0; i < length; i++) {
      const [from, to] = SCATTERED[Math.floor((address + i - 0x10_0000) / PAGE)]!;
      assertEquals(ram.readU8(gpa(to + (address + i - from))), bytes[i]!);
    }
    const into = new Uint8Array(length);
    assertEquals(memory.read(iova(address), into), 0);
    assertEquals([memory.transferred, into], [length, bytes]);
    assertEquals(faults(iommu), []);
  }
});

Deno.test("IommuMemory follows byte-granular mappings that touch inside a page", () => {
  const { ram, memory } = bench(
    [0x1000, 0x5003, 5, READ_WRITE],
    [0x1005, 0x3fff, 7, READ_WRITE],
    [0x100c, FOUR_GIB, 1, READ_WRITE],
  );
  const bytes = pattern(13);
  for (let round = 0; round < 2; round++) {
    assertEquals(memory.write(iova(0x1000), bytes), 0);
    assertEquals(ramBytes(ram, 0x5003, 5), bytes.slice(0, 5));
    assertEquals(ramBytes(ram, 0x3fff, 7), bytes.slice(5, 12));
    assertEquals(ramBytes(ram, FOUR_GIB, 1), bytes.slice(12));
    const into = new Uint8Array(13);
    assertEquals(memory.read(iova(0x1000), into), 0);
    assertEquals(into, bytes);
  }
});

Deno.test("IommuMemory: a range that meets a hole moves the bytes before it, and the record has the first bad byte", () => {
  // Mapped: 0x10_0000..0x10_2fff, and 0x10_4000..0x10_4fff.
  const rows: [number, number, number][] = [
    [0xf_fffe, 4, 0],
    [0x10_3000, 4, 0],
    [0x10_2ffe, 4, 2],
    [0x10_0800, 0x3000, 0x2800],
    [0x10_0000, 0x5000, 0x3000],
  ];
  for (const [address, length, before] of rows) {
    const { memory, iommu, ram } = bench(...SCATTERED, [0x10_4000, 0, PAGE, READ_WRITE]);
    ram.write(gpa(0), pattern(PAGE, 77));
    const bytes = pattern(length);
    assertEquals(memory.write(iova(address), bytes), Fault.UNMAPPED);
    assertEquals(memory.transferred, before);
    assertEquals(faults(iommu), [[address + before, WRITE, Fault.UNMAPPED]]);
    const into = new Uint8Array(length).fill(0xee);
    assertEquals(memory.read(iova(address), into), Fault.UNMAPPED);
    assertEquals(memory.transferred, before);
    assertEquals(into.slice(0, before), bytes.slice(0, before));
    assertEquals(into.slice(before), new Uint8Array(length - before).fill(0xee));
    assertEquals(faults(iommu), [[address + before, READ, Fault.UNMAPPED]]);
    // What lies behind the hole is as it was.
    assertEquals(ramBytes(ram, 0, PAGE), pattern(PAGE, 77));
  }
});

Deno.test("IommuMemory: permissions hold for reads and writes, at the byte where they end", () => {
  for (const [granted, wanted] of [[READ, WRITE], [WRITE, READ], [0, READ], [0, WRITE]] as const) {
    const { memory, iommu, ram } = bench(
      [0x1000, 0x1000, PAGE, READ_WRITE],
      [0x2000, 0x2000, PAGE, granted],
    );
    ram.write(gpa(0x1ff0), pattern(0x20));
    const buffer = pattern(0x20, 99);
    const access = () =>
      wanted === WRITE ? memory.write(iova(0x1ff0), buffer) : memory.read(iova(0x1ff0), buffer);
    // Twice: past the caches, and through them.
    for (let round = 0; round < 2; round++) {
      assertEquals(access(), Fault.PERMISSION);
      assertEquals(memory.transferred, 0x10);
      assertEquals(faults(iommu), [[0x2000, wanted, Fault.PERMISSION]]);
    }
    assertEquals(ramBytes(ram, 0x2000, 0x10), pattern(0x20).slice(0x10));
    assertEquals(buffer.slice(0x10), pattern(0x20, 99).slice(0x10));
    if (granted !== 0) {
      const other = wanted === WRITE
        ? memory.readU32(iova(0x2000))
        : memory.writeU32(iova(0x2000), 5);
      assert(other >= 0);
    }
  }
});

Deno.test("IommuMemory: a mapping to where no memory is faults as NO_MEMORY, to read-only memory as PERMISSION", () => {
  const { memory, iommu, ram } = bench(
    [0x1000, 31 * PAGE, 4 * PAGE, READ_WRITE],
    [0x9000, FOUR_GIB + 15 * PAGE, 2 * PAGE, READ_WRITE],
  );
  const bytes = pattern(3 * PAGE);
  assertEquals(memory.write(iova(0x1000), bytes), Fault.PERMISSION);
  assertEquals(memory.transferred, PAGE);
  assertEquals(faults(iommu), [[0x2000, WRITE, Fault.PERMISSION]]);
  assertEquals(memory.read(iova(0x1000), bytes), Fault.NO_MEMORY);
  assertEquals(memory.transferred, 2 * PAGE);
  assertEquals(faults(iommu), [[0x3000, READ, Fault.NO_MEMORY]]);
  assertEquals(memory.writeU32(iova(0x9ffe), 0x0403_0201), Fault.NO_MEMORY);
  assertEquals(faults(iommu), [[0xa000, WRITE, Fault.NO_MEMORY]]);
  assertEquals([...ramBytes(ram, FOUR_GIB + 16 * PAGE - 2, 2)], [1, 2]);
  assertEquals(memory.readU64(iova(0x9ffc)), Fault.NO_MEMORY);
  assertEquals(faults(iommu), [[0xa000, READ, Fault.NO_MEMORY]]);
  assertEquals(memory.writeU8(iova(0x2000), 1), Fault.PERMISSION);
  assertEquals(memory.readU8(iova(0x3000)), Fault.NO_MEMORY);
  assertEquals(memory.atomicStore(iova(0x2000), 4, 1), Fault.PERMISSION);
  assertEquals(memory.atomicLoad(iova(0x3000), 4), Fault.NO_MEMORY);
  assertEquals(faults(iommu), [
    [0x2000, WRITE, Fault.PERMISSION],
    [0x3000, READ, Fault.NO_MEMORY],
    [0x2000, WRITE, Fault.PERMISSION],
    [0x3000, READ, Fault.NO_MEMORY],
  ]);
});

Deno.test("IommuMemory.readU64() of a hole before wide bytes is a recorded fault, not TOO_WIDE", () => {
  const { memory, iommu, ram } = bench([0, FOUR_GIB - PAGE, 2 * PAGE, READ]);
  ram.write(gpa(FOUR_GIB), new Uint8Array(8).fill(0xff));
  assertEquals(memory.readU64(iova(PAGE - 4)), Fault.NO_MEMORY);
  assertEquals(faults(iommu), [[PAGE - 4, READ, Fault.NO_MEMORY]]);
});

interface Scalar {
  readonly size: ScalarSize;
  readonly value: number;
  readonly read: (memory: IommuMemory, address: Iova) => number;
  readonly write: (memory: IommuMemory, address: Iova, value: number) => number;
}

const SCALARS: readonly Scalar[] = [
  {
    size: 1,
    value: 0xfe,
    read: (memory, address) => memory.readU8(address),
    write: (memory, address, value) => memory.writeU8(address, value),
  },
  {
    size: 2,
    value: 0xfedc,
    read: (memory, address) => memory.readU16(address),
    write: (memory, address, value) => memory.writeU16(address, value),
  },
  {
    size: 4,
    value: 0xfedc_ba98,
    read: (memory, address) => memory.readU32(address),
    write: (memory, address, value) => memory.writeU32(address, value),
  },
  {
    size: 8,
    value: 0x1f_0203_0405_0607,
    read: (memory, address) => memory.readU64(address),
    write: (memory, address, value) => memory.writeU64(address, value),
  },
];

Deno.test("IommuMemory: scalars at every alignment, also straddling scattered fragments", () => {
  for (const { size, value, read, write } of SCALARS) {
    for (let offset = 0; offset <= size + 8; offset++) {
      const { memory, iommu } = bench(...SCATTERED);
      const address = iova(0x10_1008 - offset);
      for (let round = 0; round < 2; round++) {
        assertEquals(write(memory, address, value), 0);
        assertEquals(read(memory, address), value);
        const bytes = new Uint8Array(size);
        memory.read(address, bytes);
        for (let i = 0; i < size; i++) {
          assertEquals(bytes[i], Number((BigInt(value) >> BigInt(8 * i)) & 0xffn));
        }
      }
      assertEquals(faults(iommu), []);
      const { dmaReadBytes, dmaWriteBytes } = metrics(iommu);
      assertEquals([dmaReadBytes, dmaWriteBytes], [4 * size, 2 * size]);
    }
  }
});

Deno.test("IommuMemory: a scalar that runs out of its mapping faults at the first bad byte", () => {
  for (const { size, value, read, write } of SCALARS) {
    for (let inside = 0; inside < size; inside++) {
      const { memory, iommu, ram } = bench([0x1000, 0x1000, PAGE, READ_WRITE]);
      const address = iova(0x2000 - inside);
      assertEquals(read(memory, address), Fault.UNMAPPED);
      assertEquals(faults(iommu), [[0x2000, READ, Fault.UNMAPPED]]);
      assertEquals(write(memory, address, value), Fault.UNMAPPED);
      assertEquals(faults(iommu), [[0x2000, WRITE, Fault.UNMAPPED]]);
      // The bytes before the fault are stored; the page behind, unmapped, is not touched.
      const expected = Array.from(
        { length: inside },
        (_, i) => Number((BigInt(value) >> BigInt(8 * i)) & 0xffn),
      );
      assertEquals([...ramBytes(ram, 0x2000 - inside, inside)], expected);
      assertEquals([...ramBytes(ram, 0x2000, 8)], Array(8).fill(0));
    }
  }
});

Deno.test("IommuMemory.readU64() is TOO_WIDE from 2^53 on, in one fragment or two, and records nothing", () => {
  for (const address of [0x10_0100, 0x10_0ffc]) {
    const { memory, iommu } = bench(...SCATTERED);
    memory.write(iova(address), new Uint8Array([0, 0, 0, 0, 0, 0, 0x20, 0]));
    assertEquals(memory.readU64(iova(address)), Fault.TOO_WIDE);
    memory.write(iova(address), new Uint8Array([255, 255, 255, 255, 255, 255, 0x1f, 0]));
    assertEquals(memory.readU64(iova(address)), 2 ** 53 - 1);
    assertEquals(faults(iommu), []);
  }
});

Deno.test("IommuMemory: aligned atomic accesses agree with the scalars", () => {
  for (const { size, value, read } of SCALARS) {
    const { memory, iommu } = bench(...SCATTERED);
    for (const address of [0x10_0000, 0x10_1000 - size, 0x10_2000 + size]) {
      assertEquals(memory.atomicStore(iova(address), size, value), 0);
      assertEquals(read(memory, iova(address)), value);
      assertEquals(memory.atomicLoad(iova(address), size), value);
    }
    assertEquals(faults(iommu), []);
    const { dmaReadBytes, dmaWriteBytes } = metrics(iommu);
    assertEquals([dmaReadBytes, dmaWriteBytes], [6 * size, 3 * size]);
  }
});

Deno.test("IommuMemory: an atomic access that is misaligned or straddles fragments is refused and stores nothing", () => {
  const { memory, iommu, ram } = bench(
    [0x1000, 0x1000, 4, READ_WRITE],
    [0x1004, 0x3004, 4, READ_WRITE],
    // Aligned by IOVA, not by GPA.
    [0x5000, 0x5001, 0x100, READ_WRITE],
    // The second half unmapped.
    [0x7000, 0x7000, 2, READ_WRITE],
  );
  for (const [address, size] of [[0x1000, 8], [0x1001, 2], [0x1002, 4], [0x5000, 4]] as const) {
    assertEquals(memory.atomicStore(iova(address), size, 1), Fault.STRADDLES);
    assertEquals(memory.atomicLoad(iova(address), size), Fault.STRADDLES);
  }
  assertEquals(memory.atomicStore(iova(0x7000), 4, 1), Fault.STRADDLES);
  assertEquals(memory.atomicStore(iova(0x1004), 4, 7), 0);
  assertEquals(ram.readU32(gpa(0x3004)), 7);
  assertEquals([ram.readU32(gpa(0x1000)), ram.readU32(gpa(0x5000))], [0, 0]);
  assertEquals(faults(iommu), []);
});

Deno.test("IommuMemory: an aligned atomic access that is refused by the mappings is recorded", () => {
  const { memory, iommu } = bench([0x1000, 0, PAGE, READ]);
  assertEquals(memory.atomicLoad(iova(0x2000), 4), Fault.UNMAPPED);
  assertEquals(memory.atomicStore(iova(0x1008), 8, 1), Fault.PERMISSION);
  assertEquals(faults(iommu), [
    [0x2000, READ, Fault.UNMAPPED],
    [0x1008, WRITE, Fault.PERMISSION],
  ]);
});

Deno.test("IommuMemory: a range of length 0 never faults, mapped or not, attached or not", () => {
  const { memory, iommu } = bench(...SCATTERED);
  const empty = new Uint8Array(0);
  for (const state of ["attached", "detached", "bypass"]) {
    if (state === "detached") iommu.detach(ENDPOINT);
    if (state === "bypass") iommu.setBypass("on");
    for (const address of [0, 0x10_0000, 0x10_3000, MAX_ADDRESS, 2 ** 52]) {
      assertEquals(memory.read(iova(address), empty), 0);
      assertEquals(memory.write(iova(address), empty), 0);
      assertEquals(memory.transferred, 0);
      assertEquals(memory.check(iova(address), 0, READ_WRITE), 0);
      assertEquals(memory.slices(iova(address), 0, READ_WRITE), []);
      const pin = pinned(memory, address, 0, READ_WRITE);
      assertEquals([pin.length, pin.slices], [0, []]);
      pin.release();
    }
  }
  assertEquals(faults(iommu), []);
  const { translations, faults: count, dmaReadBytes, dmaWriteBytes } = metrics(iommu);
  assertEquals([translations, count, dmaReadBytes, dmaWriteBytes], [0, 0, 0, 0]);
});

Deno.test("IommuMemory: the last byte of the space is as good as any other, what goes on beyond it faults there", () => {
  const { memory, iommu, ram } = bench([TOP, TOP, PAGE, READ_WRITE]);
  for (const state of ["attached", "bypass"]) {
    if (state === "bypass") {
      iommu.detach(ENDPOINT);
      iommu.setBypass("on");
    }
    const reason = state === "bypass" ? Fault.NO_MEMORY : Fault.UNMAPPED;
    assertEquals(memory.writeU8(iova(MAX_ADDRESS), 0xab), 0);
    assertEquals(memory.readU8(iova(MAX_ADDRESS)), 0xab);
    assertEquals(memory.write(iova(TOP), pattern(PAGE)), 0);
    assertEquals(ramBytes(ram, TOP, PAGE), pattern(PAGE));
    assertEquals(memory.atomicStore(iova(MAX_ADDRESS - 7), 8, 5), 0);
    assertEquals(memory.readU64(iova(MAX_ADDRESS - 7)), 5);
    assertEquals(faults(iommu), []);
    assertEquals(memory.readU16(iova(MAX_ADDRESS)), reason);
    assertEquals(memory.writeU64(iova(MAX_ADDRESS - 3), 1), reason);
    assertEquals(memory.write(iova(TOP), new Uint8Array(PAGE + 1)), reason);
    assertEquals(memory.transferred, PAGE);
    assertEquals(memory.readU8(iova(2 ** 52)), reason);
    assertEquals(memory.slices(iova(TOP), PAGE + 1, READ), reason);
    assertEquals(memory.check(iova(TOP), PAGE + 1, READ), reason);
    assertEquals(
      faults(iommu).map(([address]) => address),
      Array(5).fill(2 ** 52),
    );
  }
});

Deno.test("IommuMemory: addresses that no device should issue fault, after any unmap", () => {
  const { memory, iommu } = bench();
  for (let page = 0; page < 64; page++) {
    iommu.map(1, iova(page * PAGE), gpa(0), PAGE, READ_WRITE);
    memory.readU8(iova(page * PAGE));
  }
  iommu.unmap(1, iova(0), 64 * PAGE);
  for (const address of [-1, -PAGE, 2 ** 53, 2 ** 64, Infinity, NaN]) {
    assertEquals(memory.readU32(iova(address)), Fault.UNMAPPED, `${address}`);
    assertEquals(memory.writeU8(iova(address), 1), Fault.UNMAPPED, `${address}`);
  }
});

Deno.test("IommuMemory in bypass: addresses that no device should issue are nowhere in memory", () => {
  for (const regions of ["known", "forgotten"]) {
    const { memory, iommu, ram } = bench();
    iommu.detach(ENDPOINT);
    iommu.setBypass("on");
    if (regions === "forgotten") {
      ram.addRegion({ name: "passing", start: gpa(2 ** 40), length: PAGE });
      assertEquals(memory.readU8(iova(2 ** 40)), 0);
      ram.removeRegion(gpa(2 ** 40));
    }
    for (const address of [-1, -PAGE, 2 ** 52, 2 ** 53, 2 ** 64, Infinity, NaN]) {
      assertEquals(memory.readU32(iova(address)), Fault.NO_MEMORY, `${address}`);
      assertEquals(memory.writeU8(iova(address), 1), Fault.NO_MEMORY, `${address}`);
      assertEquals(memory.read(iova(address), new Uint8Array(100)), Fault.NO_MEMORY, `${address}`);
      assertEquals(memory.transferred, 0, `${address}`);
    }
  }
});

Deno.test("IommuMemory.check() says what the access would, and records and counts nothing", () => {
  const { memory, iommu } = bench(
    ...SCATTERED,
    [0x10_3000, 0, PAGE, READ],
    [0x10_4000, 32 * PAGE, PAGE, READ_WRITE],
    [0x10_5000, 33 * PAGE, PAGE, READ_WRITE],
  );
  const rows: [number, number, number, Status][] = [
    [0x10_0000, 0x3000, READ_WRITE, 0],
    [0x10_0000, 0x4000, READ, 0],
    [0x10_0000, 0x4000, WRITE, Fault.PERMISSION],
    [0x10_2fff, 2, READ_WRITE, Fault.PERMISSION],
    [0x10_4000, 1, READ, 0],
    [0x10_4000, 1, WRITE, Fault.PERMISSION],
    [0x10_3fff, 0x1002, READ, Fault.NO_MEMORY],
    [0xf_ffff, 2, READ, Fault.UNMAPPED],
    [0x10_5fff, 1, READ, Fault.NO_MEMORY],
    [0x10_6000, 1, READ, Fault.UNMAPPED],
    [0, 2 ** 52, READ, Fault.UNMAPPED],
  ];
  for (const [address, length, access, expected] of rows) {
    assertEquals(memory.check(iova(address), length, access), expected, `${address}+${length}`);
  }
  iommu.detach(ENDPOINT);
  assertEquals(memory.check(iova(0), 1, READ), Fault.NO_DOMAIN);
  iommu.setBypass("on");
  assertEquals(memory.check(iova(0), 32 * PAGE, READ_WRITE), 0);
  assertEquals(memory.check(iova(0), 33 * PAGE, READ_WRITE), Fault.PERMISSION);
  assertEquals(memory.check(iova(0), 34 * PAGE, READ), Fault.NO_MEMORY);
  assertEquals(faults(iommu), []);
  const { translations, iotlbHits, iotlbMisses, faults: count } = metrics(iommu);
  assertEquals([translations, iotlbHits, iotlbMisses, count], [0, 0, 0, 0]);
});

Deno.test("IommuMemory.slices() are views on the guest's bytes, one a fragment", () => {
  const { memory, ram } = bench(...SCATTERED);
  const views = memory.slices(iova(0x10_0ffe), 0x1004, READ_WRITE);
  assert(typeof views === "object");
  assertEquals(views.map((view) => view.length), [2, PAGE, 2]);
  views[0]![0] = 0x11;
  views[1]![0] = 0x22;
  views[2]![1] = 0x33;
  assertEquals(ram.readU8(gpa(FOUR_GIB + 2 * PAGE + 0xffe)), 0x11);
  assertEquals(ram.readU8(gpa(5 * PAGE)), 0x22);
  assertEquals(ram.readU8(gpa(3 * PAGE + 1)), 0x33);
});

Deno.test("IommuMemory.slices() split one mapping where guest memory changes its region", () => {
  const { memory } = bench([0, 31 * PAGE, 2 * PAGE, READ]);
  const views = memory.slices(iova(0), 2 * PAGE, READ);
  assert(typeof views === "object");
  assertEquals(views.map((view) => view.length), [PAGE, PAGE]);
});

Deno.test("IommuMemory.slices() and pin() that are refused record the first bad byte, and hold nothing", () => {
  const { memory, iommu } = bench(...SCATTERED, [0x10_3000, 0, PAGE, READ]);
  assertEquals(memory.slices(iova(0x10_2000), 0x3000, READ), Fault.UNMAPPED);
  assertEquals(memory.slices(iova(0x10_2000), 0x3000, READ_WRITE), Fault.PERMISSION);
  assertEquals(memory.pin(iova(0x10_2ff0), 0x20, WRITE), Fault.PERMISSION);
  assertEquals(faults(iommu), [
    [0x10_4000, READ, Fault.UNMAPPED],
    [0x10_3000, READ_WRITE, Fault.PERMISSION],
    [0x10_3000, WRITE, Fault.PERMISSION],
  ]);
  assertEquals(iommu.domain(1).space.inFlight.count, 0);
  assertEquals(iommu.unmap(1, iova(0), 2 ** 52).done, true);
});

Deno.test("IommuMemory.pin() holds back the unmap of what it covers, and its views stay the guest's bytes", () => {
  const { memory, iommu, ram } = bench(...SCATTERED);
  const pin = pinned(memory, 0x10_0ff0, 0x20, READ_WRITE);
  assertEquals([pin.length, pin.slices.map((view) => view.length)], [0x20, [0x10, 0x10]]);
  assertEquals(iommu.unmap(1, iova(0x10_2000), PAGE).done, true);
  assertEquals(pin.revoked, false);
  const unmap = iommu.unmap(1, iova(0x10_1000), PAGE);
  assertEquals([unmap.done, pin.revoked], [false, true]);
  assertEquals(memory.readU8(iova(0x10_1000)), Fault.UNMAPPED);
  pin.slices[1]![0] = 0x5a;
  assertEquals(ram.readU8(gpa(5 * PAGE)), 0x5a);
  pin.release();
  assertEquals(unmap.done, true);
});

Deno.test("IommuMemory marks what a device writes by IOVA and by GPA", () => {
  const writes: [(memory: IommuMemory) => unknown, number[], number[]][] = [
    [
      (memory) => memory.write(iova(0x10_0fff), pattern(0x1002)),
      [0x10_0000, 0x10_1000, 0x10_2000],
      [3 * PAGE, 5 * PAGE, FOUR_GIB + 2 * PAGE],
    ],
    [(memory) => memory.writeU8(iova(0x10_1fff), 1), [0x10_1000], [5 * PAGE]],
    [(memory) => memory.writeU16(iova(0x10_1fff), 1), [0x10_1000, 0x10_2000], [
      3 * PAGE,
      5 * PAGE,
    ]],
    [(memory) => memory.writeU32(iova(0x10_1ff0), 1), [0x10_1000], [5 * PAGE]],
    [(memory) => memory.writeU64(iova(0x10_1ffc), 1), [0x10_1000, 0x10_2000], [
      3 * PAGE,
      5 * PAGE,
    ]],
    [(memory) => memory.atomicStore(iova(0x10_2000), 4, 1), [0x10_2000], [3 * PAGE]],
    [(memory) => memory.slices(iova(0x10_1fff), 2, WRITE), [0x10_1000, 0x10_2000], [
      3 * PAGE,
      5 * PAGE,
    ]],
    // What moved before a fault.
    [(memory) => memory.write(iova(0x10_2ffe), pattern(9)), [0x10_2000], [3 * PAGE]],
    [(memory) => memory.writeU32(iova(0x10_2ffe), 1), [0x10_2000], [3 * PAGE]],
  ];
  for (const [write, byIova, byGpa] of writes) {
    const { memory, iommu, ram } = bench(...SCATTERED);
    ram.startDirtyLog();
    iommu.startDirtyTracking(1, iova(0x10_0000), 16 * PAGE);
    write(memory);
    assertEquals(iommu.takeDirtyPages(1), byIova.map(iova), String(write));
    assertEquals(ram.takeDirtyPages(), byGpa.map(gpa), String(write));
  }
});

Deno.test("IommuMemory marks nothing by IOVA or by GPA for reads and for writes that did not begin", () => {
  const { memory, iommu, ram } = bench(...SCATTERED, [0x10_3000, 0, PAGE, READ]);
  ram.startDirtyLog();
  iommu.startDirtyTracking(1, iova(0x10_0000), 16 * PAGE);
  memory.read(iova(0x10_0000), new Uint8Array(0x3000));
  memory.readU64(iova(0x10_0ffc));
  memory.slices(iova(0x10_0000), 0x3000, READ);
  memory.write(iova(0x10_3000), pattern(8));
  memory.writeU32(iova(0x10_4000), 1);
  memory.atomicStore(iova(0x10_3000), 4, 1);
  memory.check(iova(0x10_0000), 0x3000, WRITE);
  memory.write(iova(0x10_0000), new Uint8Array(0));
  assertEquals([iommu.takeDirtyPages(1), ram.takeDirtyPages()], [[], []]);
});

Deno.test("IommuMemory.pin() for writing marks when it begins and again on release, also after unmap and detach", () => {
  const { memory, iommu, ram } = bench(...SCATTERED);
  ram.startDirtyLog();
  iommu.startDirtyTracking(1, iova(0x10_0000), 16 * PAGE);
  const pin = pinned(memory, 0x10_0fff, 2, WRITE);
  const byIova = [0x10_0000, 0x10_1000].map(iova);
  const byGpa = [5 * PAGE, FOUR_GIB + 2 * PAGE].map(gpa);
  assertEquals([iommu.takeDirtyPages(1), ram.takeDirtyPages()], [byIova, byGpa]);
  iommu.unmap(1, iova(0x10_0000), 3 * PAGE);
  const detach = iommu.detach(ENDPOINT);
  pin.slices[0]![0] = 1;
  assertEquals([iommu.takeDirtyPages(1), ram.takeDirtyPages()], [[], []]);
  let markedWhenDone: number[] = [];
  detach.whenDone(() => markedWhenDone = ram.takeDirtyPages());
  pin.release();
  assertEquals([iommu.takeDirtyPages(1), markedWhenDone], [byIova, byGpa]);
  pin.release();
  assertEquals([iommu.takeDirtyPages(1), ram.takeDirtyPages()], [[], []]);
});

Deno.test("IommuMemory.pin() for reading marks nothing", () => {
  const { memory, iommu, ram } = bench(...SCATTERED);
  ram.startDirtyLog();
  iommu.startDirtyTracking(1, iova(0x10_0000), 16 * PAGE);
  pinned(memory, 0x10_0000, 0x2000, READ).release();
  assertEquals([iommu.takeDirtyPages(1), ram.takeDirtyPages()], [[], []]);
});

Deno.test("IommuMemory in bypass is identity, counts, marks by GPA, and pins", () => {
  const { memory, iommu, ram } = bench();
  iommu.detach(ENDPOINT);
  iommu.setBypass("on");
  ram.startDirtyLog();
  const bytes = pattern(0x2000);
  assertEquals(memory.write(iova(FOUR_GIB + 0x800), bytes), 0);
  assertEquals(ramBytes(ram, FOUR_GIB + 0x800, 0x2000), bytes);
  const into = new Uint8Array(0x2000);
  assertEquals(memory.read(iova(FOUR_GIB + 0x800), into), 0);
  assertEquals(into, bytes);
  assertEquals(ram.takeDirtyPages(), [0, PAGE, 2 * PAGE].map((at) => gpa(FOUR_GIB + at)));
  assertEquals(memory.writeU32(iova(32 * PAGE), 1), Fault.PERMISSION);
  assertEquals(memory.write(iova(32 * PAGE - 4), pattern(8)), Fault.PERMISSION);
  assertEquals(memory.transferred, 4);
  assertEquals(memory.readU64(iova(33 * PAGE - 4)), Fault.NO_MEMORY);
  assertEquals(faults(iommu), [
    [32 * PAGE, WRITE, Fault.PERMISSION],
    [32 * PAGE, WRITE, Fault.PERMISSION],
    [33 * PAGE, READ, Fault.NO_MEMORY],
  ]);
  const { translations, iotlbHits, iotlbMisses, faults: count, dmaReadBytes, dmaWriteBytes } =
    metrics(iommu);
  assert(translations >= 5);
  assertEquals([iotlbHits, iotlbMisses, count], [0, 0, 3]);
  // The last read moved 4 bytes before it faulted.
  assertEquals([dmaReadBytes, dmaWriteBytes], [0x2004, 0x2004]);
  ram.takeDirtyPages();
  const pin = pinned(memory, FOUR_GIB, 16, WRITE);
  ram.takeDirtyPages();
  const off = iommu.setBypass("off");
  assertEquals(off.done, false);
  pin.release();
  assertEquals([off.done, ram.takeDirtyPages()], [true, [gpa(FOUR_GIB)]]);
});

Deno.test("IommuMemory counts translations by fragment, hits, misses, faults and bytes", () => {
  const { memory, iommu } = bench(...SCATTERED);
  memory.read(iova(0x10_0000), new Uint8Array(0x3000));
  assertEquals(metrics(iommu), {
    translations: 3,
    iotlbHits: 0,
    iotlbMisses: 3,
    faults: 0,
    pageRequests: 0,
    invalidations: 0,
    dmaReadBytes: 0x3000,
    dmaWriteBytes: 0,
  });
  memory.write(iova(0x10_0000), new Uint8Array(0x3000));
  memory.readU32(iova(0x10_2000));
  memory.writeU32(iova(0x10_2000), 1);
  assertEquals(memory.write(iova(0x10_2ffc), pattern(8)), Fault.UNMAPPED);
  const { translations, iotlbHits, iotlbMisses, faults: count, dmaReadBytes, dmaWriteBytes } =
    metrics(iommu);
  assertEquals(translations, 10);
  assertEquals([iotlbHits, iotlbMisses], [6, 4]);
  assertEquals([count, dmaReadBytes, dmaWriteBytes], [1, 0x3004, 0x3008]);
});

Deno.test("IommuMemory: a mapping of 1 GiB is one translation, whatever the access", () => {
  const { memory, iommu } = bench([2 ** 40, 0, 2 ** 30, READ_WRITE]);
  memory.read(iova(2 ** 40 + 1), new Uint8Array(20 * PAGE));
  assertEquals(metrics(iommu).translations, 1);
});

Deno.test("IommuMemory times one in some thousand translations", () => {
  const { memory, iommu } = bench(...SCATTERED);
  const { latency } = iommu.endpoint(ENDPOINT);
  for (let i = 0; i < 4095; i++) memory.readU8(iova(0x10_0000));
  assertEquals(latency.count, 0);
  for (let i = 0; i < 4096 * 3; i++) memory.readU8(iova(0x10_0000));
  assertEquals(latency.count, 3);
});

Deno.test("IommuMemory: an access that is timed is counted and done as every other, the short way and the long", () => {
  const { memory, iommu, ram } = bench(...SCATTERED);
  const { latency } = iommu.endpoint(ENDPOINT);
  for (let i = 0; i < 4096 * 4; i++) {
    const at = iova(0x10_0000 + i % 3 * PAGE + 8);
    assertEquals(memory.writeU32(at, i), 0);
    assertEquals(memory.readU32(at), i);
  }
  assertEquals(latency.count, 8);
  const { translations, iotlbHits, iotlbMisses, dmaReadBytes, dmaWriteBytes } = metrics(iommu);
  assertEquals([translations, iotlbHits + iotlbMisses], [4096 * 8, 4096 * 8]);
  assertEquals([dmaReadBytes, dmaWriteBytes], [4096 * 16, 4096 * 16]);
  ram.startDirtyLog();
  const page = new Uint8Array(PAGE);
  for (let i = 0; i < 4096; i++) {
    assertEquals(memory.read(iova(0x10_0000), page), 0);
    assertEquals(memory.writeU32(iova(0x10_2000), i), 0);
    assertEquals(memory.readU32(iova(0x10_2000)), i);
    assertEquals(memory.readU8(iova(0x20_0000)), Fault.UNMAPPED);
  }
  assertEquals(metrics(iommu).translations, 4096 * 12);
  assert(latency.count >= 12, `${latency.count} timed`);
});

Deno.test("IommuMemory dates its faults by the clock", () => {
  const { memory, iommu, clock } = bench();
  clock.advance(3);
  memory.readU8(iova(0));
  clock.advance(4);
  memory.writeU8(iova(0), 1);
  assertEquals(iommu.drainFaults().map((record) => record.timeNs), [3e6, 7e6]);
});

Deno.test("IommuMemory.pin() records when an access begins and ends, and how many are in flight then", () => {
  const { memory, trace, clock } = bench(...SCATTERED);
  const untraced = memory.pin(iova(0x10_0000), 8, Access.READ);
  trace.on = true;
  const first = memory.pin(iova(0x10_0000), 8, Access.READ);
  clock.advance(1);
  const second = memory.pin(iova(0x10_1000), 16, Access.WRITE);
  clock.advance(1);
  for (const pin of [untraced, first]) {
    assert(typeof pin === "object");
    pin.release();
    pin.release();
  }
  const isPin = (kind: number) => kind === TraceKind.PIN || kind === TraceKind.UNPIN;
  const rows = () =>
    [...trace.events()].filter(({ kind }) => isPin(kind)).map((
      { timeNs, kind, endpoint, iova, length, result },
    ) => [
      timeNs,
      kind,
      endpoint,
      iova,
      length,
      result,
    ]);
  assertEquals(rows(), [
    [0, TraceKind.PIN, 8, 0x10_0000, 8, 1],
    [1e6, TraceKind.PIN, 8, 0x10_1000, 16, 2],
    [2e6, TraceKind.UNPIN, 8, 0x10_0000, 8, 1],
  ]);
  trace.on = false;
  assert(typeof second === "object");
  second.release();
  assertEquals(rows().length, 3);
});

Deno.test("IommuMemory records each access in the trace with its first GPA, or its fault", () => {
  const { memory, trace, clock } = bench(...SCATTERED);
  trace.on = true;
  clock.advance(1);
  memory.read(iova(0x10_0010), new Uint8Array(0x1000));
  memory.write(iova(0x10_1004), pattern(4));
  memory.readU8(iova(0x10_1000));
  memory.writeU64(iova(0x10_2008), 1);
  memory.atomicLoad(iova(0x10_2008), 8);
  memory.atomicStore(iova(0x10_2010), 4, 1);
  memory.slices(iova(0x10_2000), 16, READ);
  memory.readU32(iova(0x20_0000));
  memory.write(iova(0x30_0000), pattern(4));
  const high = FOUR_GIB + 2 * PAGE;
  const rows = (events: Iterable<TraceEvent>) =>
    [...events].map((e) => {
      assertEquals([e.timeNs, e.endpoint, e.pasid], [1e6, ENDPOINT, -1]);
      return [e.kind, e.iova, e.length, e.result];
    });
  assertEquals(rows(trace.events()), [
    [TraceKind.DMA_READ, 0x10_0010, 0x1000, high + 0x10],
    [TraceKind.DMA_WRITE, 0x10_1004, 4, 5 * PAGE + 4],
    [TraceKind.DMA_READ, 0x10_1000, 1, 5 * PAGE],
    [TraceKind.DMA_WRITE, 0x10_2008, 8, 3 * PAGE + 8],
    [TraceKind.DMA_READ, 0x10_2008, 8, 3 * PAGE + 8],
    [TraceKind.DMA_WRITE, 0x10_2010, 4, 3 * PAGE + 0x10],
    [TraceKind.DMA_READ, 0x10_2000, 16, 3 * PAGE],
    [TraceKind.DMA_READ, 0x20_0000, 0, Fault.UNMAPPED],
    [TraceKind.DMA_WRITE, 0x30_0000, 0, Fault.UNMAPPED],
  ]);
  const { recorded } = trace;
  trace.on = false;
  memory.readU8(iova(0x10_0000));
  memory.readU8(iova(0));
  assertEquals(trace.recorded, recorded);
});
