import { assertEquals, assertThrows } from "@std/assert";
import { Access, Fault, type Gpa, type Iova } from "../address.ts";
import { AddressSpace } from "./address_space.ts";
import { DmaPin } from "./in_flight.ts";
import { IommuError, type IommuErrorCode } from "./iommu_error.ts";

const { READ, WRITE, READ_WRITE } = Access;
const iova = (address: number): Iova => address as Iova;
const gpa = (address: number): Gpa => address as Gpa;
const LAST = 2 ** 52 - 1;

function space(...mappings: [start: number, last: number][]): AddressSpace {
  const result = new AddressSpace("domain 1", 1);
  for (const [start, last] of mappings) {
    result.map(iova(start), gpa(start), last - start + 1, READ_WRITE);
  }
  return result;
}

function spans(subject: AddressSpace, from = 0): [number, number][] {
  return [...subject.mappings(iova(from))].map((m) => [m.iova, m.iova + m.length - 1]);
}

function refused(code: IommuErrorCode, body: () => unknown, includes?: string): IommuError {
  const error = assertThrows(body, IommuError, includes);
  assertEquals(error.code, code);
  return error;
}

interface UnmapRow {
  readonly mappings: [number, number][];
  readonly unmap: [number, number];
  readonly left: [number, number][] | "RANGE";
}

/** virtio 1.3, 5.13.6.6: the examples of UNMAP. */
const UNMAP_TABLE: readonly UnmapRow[] = [
  { mappings: [], unmap: [0, 4], left: [] },
  { mappings: [[0, 9]], unmap: [0, 9], left: [] },
  { mappings: [[0, 4], [5, 9]], unmap: [0, 9], left: [] },
  { mappings: [[0, 9]], unmap: [0, 4], left: "RANGE" },
  { mappings: [[0, 4], [5, 9]], unmap: [0, 4], left: [[5, 9]] },
  { mappings: [[0, 4]], unmap: [0, 9], left: [] },
  { mappings: [[0, 4], [10, 14]], unmap: [0, 14], left: [] },
  { mappings: [[0, 4], [5, 9], [10, 19]], unmap: [0, 14], left: "RANGE" },
  // Beyond the table: cut at the front, in the middle, on both sides, and at the top.
  { mappings: [[0, 9], [20, 29]], unmap: [5, 29], left: "RANGE" },
  { mappings: [[0, 9]], unmap: [3, 5], left: "RANGE" },
  { mappings: [[0, 9], [10, 19]], unmap: [5, 14], left: "RANGE" },
  { mappings: [[5, 9]], unmap: [0, 4], left: [[5, 9]] },
  { mappings: [[5, 9]], unmap: [10, 14], left: [[5, 9]] },
  { mappings: [[5, 9], [20, 29]], unmap: [3, 12], left: [[20, 29]] },
  { mappings: [[LAST, LAST]], unmap: [0, LAST], left: [] },
  { mappings: [[0, LAST]], unmap: [1, LAST], left: "RANGE" },
  { mappings: [[0, LAST]], unmap: [0, LAST], left: [] },
];

for (const { mappings, unmap: [start, last], left } of UNMAP_TABLE) {
  const there = mappings.map(([a, b]) => `${a}..${b}`).join(", ") || "none";
  Deno.test(`AddressSpace.unmap() of ${start}..${last} with mappings ${there}`, () => {
    const subject = space(...mappings);
    const bytes = mappings.reduce((sum, [a, b]) => sum + b - a + 1, 0);
    if (left === "RANGE") {
      refused("range", () => subject.unmap(iova(start), last - start + 1));
      assertEquals(spans(subject), mappings);
      assertEquals([subject.mappedBytes, subject.size], [bytes, mappings.length]);
      return;
    }
    const leftBytes = left.reduce((sum, [a, b]) => sum + b - a + 1, 0);
    const completion = subject.unmap(iova(start), last - start + 1);
    assertEquals([completion.done, completion.bytes], [true, bytes - leftBytes]);
    assertEquals(spans(subject), left);
    assertEquals([subject.mappedBytes, subject.size], [leftBytes, left.length]);
  });
}

Deno.test("AddressSpace.map() keeps each mapping as it was made: two that touch never merge", () => {
  const subject = space([0, 4], [5, 9]);
  assertEquals(subject.size, 2);
  assertEquals(subject.mappingAt(iova(4)), {
    iova: iova(0),
    gpa: gpa(0),
    length: 5,
    access: READ_WRITE,
  });
  assertEquals(subject.mappingAt(iova(5))?.iova, iova(5));
  assertEquals(subject.mappingAt(iova(10)), null);
});

Deno.test("AddressSpace.map() refuses any overlap, also an identical repeat, and changes nothing", () => {
  const overlaps: [number, number][] = [
    [0x1000, 0x1fff],
    [0x1000, 0x1000],
    [0x1fff, 0x2fff],
    [0, 0x1000],
    [0, 0xffff],
    [0x1400, 0x14ff],
    [0x3000, 0x3000],
    [0x2000, 0x3000],
    [0, LAST],
  ];
  for (const [start, last] of overlaps) {
    const subject = space([0x1000, 0x1fff], [0x3000, 0x3fff]);
    refused("exists", () => subject.map(iova(start), gpa(0), last - start + 1, READ), "overlaps");
    assertEquals(spans(subject), [[0x1000, 0x1fff], [0x3000, 0x3fff]]);
    assertEquals(subject.mappedBytes, 0x2000);
  }
  const subject = space([0x1000, 0x1fff], [0x3000, 0x3fff]);
  subject.map(iova(0x2000), gpa(0), 0x1000, READ);
  assertEquals(subject.size, 3);
});

Deno.test("AddressSpace.map() says which mapping is in the way", () => {
  const subject = new AddressSpace("domain 7", 1);
  subject.map(iova(0x10_0800), gpa(0), 0x1800, READ_WRITE);
  const { message } = refused(
    "exists",
    () => subject.map(iova(0x10_0000), gpa(0), 0x1000, READ),
  );
  assertEquals(
    message,
    "Cannot map 0x100000..0x100fff in domain 7: overlaps 0x100800..0x101fff (rw)",
  );
});

Deno.test("AddressSpace.unmap() says which mapping it would cut", () => {
  const { message } = refused("range", () => space([0, 9]).unmap(iova(0), 5));
  assertEquals(
    message,
    "Cannot unmap 0x0..0x4 in domain 1: it cuts the mapping 0x0..0x9, " +
      "which is removed whole or not at all",
  );
});

Deno.test("AddressSpace.map() refuses what is no range on either side", () => {
  const cases: [number, number, number][] = [
    [0, 0, 0],
    [0, 0, -1],
    [-1, 0, 1],
    [0, -1, 1],
    [0.5, 0, 1],
    [0, 0, 1.5],
    [NaN, 0, 1],
    [0, NaN, 1],
    [LAST, 0, 2],
    [0, LAST, 2],
    [LAST + 1, 0, 1],
    [1, 0, 2 ** 52],
    [0, 1, 2 ** 52],
    [0, 0, Infinity],
  ];
  for (const [at, to, length] of cases) {
    const subject = space();
    refused("range", () => subject.map(iova(at), gpa(to), length, READ));
    assertEquals(subject.size, 0);
  }
});

Deno.test("AddressSpace.map() refuses access bits that are none", () => {
  for (const access of [4, 8, -1, 7, 1.5, NaN, undefined as unknown as number]) {
    refused("range", () => space().map(iova(0), gpa(0), 1, access), "there are no others");
  }
});

Deno.test("AddressSpace.map() takes one byte, the last byte, and the whole space", () => {
  const subject = space();
  subject.map(iova(LAST), gpa(0), 1, READ);
  subject.map(iova(0), gpa(LAST), 1, READ);
  assertEquals(subject.mappingAt(iova(LAST))?.length, 1);
  const whole = space();
  whole.map(iova(0), gpa(0), 2 ** 52, READ);
  assertEquals([whole.mappedBytes, whole.size], [2 ** 52, 1]);
  refused("exists", () => whole.map(iova(LAST), gpa(0), 1, READ));
});

Deno.test("AddressSpace.map() takes a mapping that allows nothing: every access faults", () => {
  const subject = space();
  subject.map(iova(0x1000), gpa(0), 0x1000, 0);
  const counters = new Float64Array(8);
  for (const access of [READ, WRITE, READ_WRITE]) {
    assertEquals(subject.table.translate(0x1000, access, 1, counters), Fault.PERMISSION);
  }
});

Deno.test("AddressSpace.unmap() refuses what is no range", () => {
  const subject = space([0, 9]);
  const cases = [[0, 0], [0, -1], [-1, 2], [0.5, 1], [NaN, 1], [0, NaN], [LAST, 2], [1, 2 ** 52]];
  for (const [start, length] of cases) {
    refused("range", () => subject.unmap(iova(start!), length!));
  }
  assertEquals(subject.size, 1);
});

Deno.test("AddressSpace.unmap() ends when the DMA in flight to the range has ended", () => {
  const subject = space([0, 0xfff], [0x1000, 0x1fff]);
  const inside = new DmaPin(subject.inFlight, [], 0xff0, 0x20, 1, null);
  const outside = new DmaPin(subject.inFlight, [], 0x1800, 0x10, 1, null);
  const completion = subject.unmap(iova(0), 0x1000);
  assertEquals([completion.done, completion.bytes], [false, 0x1000]);
  assertEquals([inside.revoked, outside.revoked], [true, false]);
  const counters = new Float64Array(8);
  assertEquals(subject.table.translate(0, READ, 1, counters), Fault.UNMAPPED);
  inside.release();
  assertEquals(completion.done, true);
});

Deno.test("AddressSpace.unmap() that is refused revokes nothing", () => {
  const subject = space([0, 0xfff]);
  const pin = new DmaPin(subject.inFlight, [], 0, 0x10, 1, null);
  refused("range", () => subject.unmap(iova(0), 0x800));
  assertEquals(pin.revoked, false);
});

Deno.test("AddressSpace.unmap(): an onRevoke that throws is reported, and the unmap ends with the pin", () => {
  const subject = space([0, 0xfff]);
  const failures: unknown[] = [];
  const pin = new DmaPin(subject.inFlight, [], 0, 0x10, 1, null, null, (e) => failures.push(e));
  const broken = new Error("broken device");
  pin.onRevoke = () => {
    throw broken;
  };
  const unmap = subject.unmap(iova(0), 0x1000);
  assertEquals([subject.size, subject.mappedBytes, pin.revoked], [0, 0, true]);
  assertEquals([unmap.bytes, unmap.done, failures], [0x1000, false, [broken]]);
  pin.release();
  assertEquals(unmap.done, true);
});

Deno.test("AddressSpace.unmap() of many one-byte mappings ends", () => {
  const subject = space();
  for (let i = 0; i < 1000; i++) subject.map(iova(i), gpa(1000 - i), 1, READ);
  assertEquals(subject.unmap(iova(0), 500).bytes, 500);
  assertEquals(subject.size, 500);
  assertEquals(subject.unmap(iova(0), 2 ** 52).bytes, 500);
  assertEquals(subject.size, 0);
});

Deno.test("AddressSpace.unmap() of tens of thousands of big mappings ends, and one that is left stays", () => {
  const GIB = 2 ** 30;
  const count = 65536;
  const subject = space();
  for (let i = 0; i <= count; i++) subject.map(iova(i * GIB), gpa(0), GIB, 3);
  const translate = (at: number) => subject.table.translate(at, 1, 1, new Float64Array(8));
  const probes = [0, 5 * GIB + 0x1234, (count - 1) * GIB, count * GIB - 1];
  for (const at of probes) assertEquals(translate(at), at % GIB);
  assertEquals(translate(count * GIB + 5), 5);
  assertEquals(subject.unmap(iova(0), count * GIB).bytes, count * GIB);
  assertEquals([subject.size, subject.mappedBytes], [1, GIB]);
  for (const at of probes) assertEquals(translate(at), Fault.UNMAPPED);
  assertEquals(translate(count * GIB + 5), 5);
});

Deno.test("AddressSpace.unmap() of all that is mapped gives the memory back", () => {
  const subject = space();
  const fresh = subject.table.byteLength;
  for (let page = 0; page < 10_000; page++) {
    subject.map(iova(page * 0x1000), gpa(0), 0x1000, 3);
  }
  subject.unmap(iova(0), 2 ** 52);
  assertEquals([subject.size, subject.table.byteLength], [0, fresh]);
});

Deno.test("AddressSpace.clear() removes everything, and waits for all DMA in flight", () => {
  const subject = space([0, 0xfff], [LAST, LAST]);
  const pin = new DmaPin(subject.inFlight, [], LAST, 1, 1, null);
  const completion = subject.clear();
  assertEquals([completion.done, completion.bytes], [false, 0x1001]);
  assertEquals([subject.size, subject.mappedBytes, spans(subject)], [0, 0, []]);
  pin.release();
  assertEquals(completion.done, true);
  subject.map(iova(0), gpa(0), 0x1000, READ);
  assertEquals(subject.mappedBytes, 0x1000);
});

Deno.test("AddressSpace.mappings() starts at the first that ends at or after the address", () => {
  const subject = space([0x1000, 0x1fff], [0x2000, 0x2fff], [0x8000, 0x8fff]);
  assertEquals(spans(subject, 0x1fff), [[0x1000, 0x1fff], [0x2000, 0x2fff], [0x8000, 0x8fff]]);
  assertEquals(spans(subject, 0x2000), [[0x2000, 0x2fff], [0x8000, 0x8fff]]);
  assertEquals(spans(subject, 0x3000), [[0x8000, 0x8fff]]);
  assertEquals(spans(subject, 0x9000), []);
});

Deno.test("AddressSpace.startDirtyTracking() starts clean, stopDirtyTracking() forgets", () => {
  const subject = space();
  const tracked = () => subject.dirty?.take(0, 2 ** 52) ?? null;
  assertEquals(tracked(), null);
  subject.startDirtyTracking(iova(0x1000), 0x2000);
  subject.dirty?.mark(0x1000, 1);
  subject.startDirtyTracking(iova(0x1000), 0x2000);
  assertEquals(tracked(), []);
  subject.dirty?.mark(0x1000, 1);
  assertEquals(tracked(), [0x1000]);
  subject.stopDirtyTracking();
  assertEquals(tracked(), null);
});
