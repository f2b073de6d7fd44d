import { assert, assertEquals, assertThrows } from "@std/assert";
import { Access, Fault, type Gpa, type Iova } from "../address.ts";
import { Iotlb, type IotlbHit, type IotlbMiss, type IotlbSource } from "./iotlb.ts";

const { READ, WRITE, READ_WRITE } = Access;
const iova = (address: number): Iova => address as Iova;
const gpa = (address: number): Gpa => address as Gpa;

type Row = readonly [iova: number, gpa: number, length: number, access: number];

function iotlb(...rows: Row[]): Iotlb {
  const result = new Iotlb();
  for (const row of rows) set(result, ...row);
  return result;
}

function set(subject: Iotlb, from: number, to: number, length: number, access: number): void {
  subject.set(iova(from), gpa(to), length, access);
}

function entries(subject: Iotlb): Row[] {
  return [...subject.entries()].map((e) => [e.iova, e.gpa, e.length, e.access]);
}

function fragments(result: IotlbHit | IotlbMiss): [number, number, number][] {
  assert(result.ok, JSON.stringify(result));
  return result.fragments.map((f) => [f.iova, f.gpa, f.length]);
}

function lacking(result: IotlbHit | IotlbMiss): [[number, number][], [number, number][]] {
  assert(!result.ok, JSON.stringify(result));
  const plain = (ranges: IotlbMiss["misses"]): [number, number][] =>
    ranges.map((range) => [range.iova, range.length]);
  return [plain(result.misses), plain(result.permissionFailures)];
}

Deno.test("Iotlb.set() merges entries that are contiguous on both sides and alike, and no others", () => {
  const cases: [Row[], Row[]][] = [
    [[[0, 100, 10, 3], [10, 110, 10, 3]], [[0, 100, 20, 3]]],
    [[[10, 110, 10, 3], [0, 100, 10, 3]], [[0, 100, 20, 3]]],
    [[[0, 100, 10, 3], [20, 120, 10, 3], [10, 110, 10, 3]], [[0, 100, 30, 3]]],
    // Other permissions, other targets, a gap.
    [[[0, 100, 10, 3], [10, 110, 10, 1]], [[0, 100, 10, 3], [10, 110, 10, 1]]],
    [[[0, 100, 10, 3], [10, 111, 10, 3]], [[0, 100, 10, 3], [10, 111, 10, 3]]],
    [[[0, 100, 10, 3], [11, 111, 10, 3]], [[0, 100, 10, 3], [11, 111, 10, 3]]],
  ];
  for (const [rows, expected] of cases) assertEquals(entries(iotlb(...rows)), expected);
});

Deno.test("Iotlb.set() page by page costs what one big entry does", () => {
  const subject = new Iotlb();
  for (let page = 0; page < 1000; page++) {
    set(subject, page * 4096, 2 ** 40 + page * 4096, 4096, READ);
  }
  assertEquals(entries(subject), [[0, 2 ** 40, 4_096_000, READ]]);
});

Deno.test("Iotlb.set() replaces what is there, and keeps what sticks out", () => {
  const cases: [Row, Row[]][] = [
    [[0, 900, 30, 1], [[0, 900, 30, 1]]],
    [[5, 900, 10, 1], [[0, 100, 5, 3], [5, 900, 10, 1], [15, 115, 15, 3]]],
    [[0, 900, 10, 1], [[0, 900, 10, 1], [10, 110, 20, 3]]],
    [[20, 900, 10, 1], [[0, 100, 20, 3], [20, 900, 10, 1]]],
    [[20, 900, 20, 1], [[0, 100, 20, 3], [20, 900, 20, 1]]],
    // As it was: one entry again.
    [[5, 105, 10, 3], [[0, 100, 30, 3]]],
  ];
  for (const [row, expected] of cases) {
    const subject = iotlb([0, 100, 30, 3]);
    set(subject, ...row);
    assertEquals(entries(subject), expected);
  }
});

Deno.test("Iotlb.set() of length 0 sets nothing; of the whole space, one entry", () => {
  const subject = iotlb([5, 5, 0, 3]);
  assertEquals(subject.size, 0);
  set(subject, 0, 0, 2 ** 52, READ);
  set(subject, 2 ** 52 - 1, 7, 1, READ);
  assertEquals(entries(subject), [[0, 0, 2 ** 52 - 1, READ], [2 ** 52 - 1, 7, 1, READ]]);
});

Deno.test("Iotlb refuses what is no range and what is no access", () => {
  const subject = iotlb([0, 0, 10, 3]);
  const cases = [[0, 0, -1], [-1, 0, 1], [0, -1, 1], [2 ** 52, 0, 1], [0, 2 ** 52 - 1, 2]] as const;
  for (const [from, to, length] of cases) {
    assertThrows(() => set(subject, from, to, length, READ), RangeError, "Cannot set");
  }
  for (const [from, length] of [[0, -1], [-1, 1], [2 ** 52 - 1, 2], [0.5, 1]] as const) {
    assertThrows(() => subject.invalidate(iova(from), length), RangeError, "Cannot invalidate");
  }
  for (const access of [4, -1, 1.5, NaN]) {
    assertThrows(() => set(subject, 0, 0, 1, access), RangeError, "there are no others");
  }
  assertEquals(entries(subject), [[0, 0, 10, 3]]);
});

Deno.test("Iotlb.invalidate() forgets the bytes of the range, and no other", () => {
  const rows: Row[] = [[0, 100, 10, 3], [20, 300, 10, 1]];
  const cases: [number, number, Row[]][] = [
    [0, 30, []],
    [0, 10, [[20, 300, 10, 1]]],
    [3, 4, [[0, 100, 3, 3], [7, 107, 3, 3], [20, 300, 10, 1]]],
    [5, 20, [[0, 100, 5, 3], [25, 305, 5, 1]]],
    [10, 10, rows],
    [5, 0, rows],
    [0, 2 ** 52, []],
  ];
  for (const [from, length, expected] of cases) {
    const subject = iotlb(...rows);
    subject.invalidate(iova(from), length);
    assertEquals(entries(subject), expected, `${from}+${length}`);
  }
});

Deno.test("Iotlb.invalidateAll() forgets everything", () => {
  const subject = iotlb([0, 100, 10, 3], [20, 300, 10, 1]);
  subject.invalidateAll();
  assertEquals([subject.size, entries(subject)], [0, []]);
  assertEquals(lacking(subject.lookup(iova(0), 1, READ)), [[[0, 1]], []]);
});

Deno.test("Iotlb.lookup() gives every fragment, ascending and without gaps", () => {
  const subject = iotlb([0, 100, 10, 3], [10, 500, 10, 1], [20, 300, 10, 3]);
  assertEquals(fragments(subject.lookup(iova(5), 20, READ)), [
    [5, 105, 5],
    [10, 500, 10],
    [20, 300, 5],
  ]);
  assertEquals(fragments(subject.lookup(iova(9), 1, READ_WRITE)), [[9, 109, 1]]);
});

Deno.test("Iotlb.lookup() lists every miss and every permission failure", () => {
  const subject = iotlb([10, 100, 10, READ], [20, 500, 10, WRITE], [30, 900, 5, 0], [40, 0, 5, 3]);
  assertEquals(lacking(subject.lookup(iova(0), 60, READ)), [
    [[0, 10], [35, 5], [45, 15]],
    [[20, 15]],
  ]);
  assertEquals(lacking(subject.lookup(iova(15), 10, READ_WRITE)), [[], [[15, 10]]]);
  assertEquals(lacking(subject.lookup(iova(0), 10, READ)), [[[0, 10]], []]);
  assertEquals(lacking(subject.lookup(iova(100), 10, READ)), [[[100, 10]], []]);
});

Deno.test("Iotlb.lookup() of length 0 is a hit without fragments, wherever", () => {
  const subject = iotlb([10, 100, 10, READ]);
  for (const at of [0, 10, 15, 20, 2 ** 52]) {
    assertEquals(fragments(subject.lookup(iova(at), 0, READ_WRITE)), []);
  }
});

Deno.test("Iotlb.lookup() reaches the last byte, and what lies beyond it is a miss", () => {
  const top = 2 ** 52 - 16;
  const subject = iotlb([top, 0, 16, READ]);
  assertEquals(fragments(subject.lookup(iova(top), 16, READ)), [[top, 0, 16]]);
  assertEquals(lacking(subject.lookup(iova(top), 20, READ)), [[[2 ** 52, 4]], []]);
});

/** A source that notes what it is asked, and answers with the rows it is given. */
class Source implements IotlbSource {
  readonly asked: [[number, number][], [number, number][], number][] = [];

  constructor(readonly rows: readonly Row[]) {}

  refill(subject: Iotlb, miss: IotlbMiss, access: number): void {
    this.asked.push([...lacking(miss), access]);
    for (const row of this.rows) set(subject, ...row);
  }
}

Deno.test("Iotlb.translate() asks its source for what is lacking, and for nothing else", () => {
  const source = new Source([[10, 110, 10, 3], [20, 300, 10, 3]]);
  const subject = new Iotlb(source);
  set(subject, 0, 100, 10, READ_WRITE);
  set(subject, 20, 300, 10, READ);
  assertEquals(fragments(subject.translate(iova(0), 10, WRITE)), [[0, 100, 10]]);
  assertEquals(source.asked, []);
  assertEquals(fragments(subject.translate(iova(5), 20, WRITE)), [[5, 105, 15], [20, 300, 5]]);
  assertEquals(source.asked, [[[[10, 10]], [[20, 5]], WRITE]]);
  subject.translate(iova(5), 20, WRITE);
  assertEquals(source.asked.length, 1);
});

Deno.test("Iotlb.translate() gives up after one refill that does not help", () => {
  for (const rows of [[], [[0, 0, 4, READ]], [[0, 0, 10, 0]]] as Row[][]) {
    const source = new Source(rows);
    const subject = new Iotlb(source);
    assertEquals(subject.translate(iova(0), 10, READ).ok, false);
    assertEquals(source.asked.length, 1);
  }
  assertEquals(new Iotlb().translate(iova(0), 10, READ).ok, false);
});

Deno.test("Iotlb.table translates like lookup(), and is not stale after set() and invalidate()", () => {
  const subject = iotlb([0, 0x10_0000, 0x1_0000, READ_WRITE]);
  const counters = new Float64Array(8);
  const at = (address: number, access: number = READ) =>
    subject.table.translate(address, access, 8, counters);
  for (let page = 0; page < 16; page++) assertEquals(at(page * 4096), 0x10_0000 + page * 4096);
  subject.invalidate(iova(0x4000), 0x1000);
  set(subject, 0x8000, 0x50_0000, 0x1000, READ);
  assertEquals(at(0x3fff), 0x10_3fff);
  assertEquals(at(0x4000), Fault.UNMAPPED);
  assertEquals(at(0x5000), 0x10_5000);
  assertEquals(at(0x8010), 0x50_0010);
  assertEquals(at(0x8010, WRITE), Fault.PERMISSION);
  assertEquals(at(0x9000, WRITE), 0x10_9000);
});

Deno.test("Iotlb.toString() prints an entry a line", () => {
  assertEquals(
    `${iotlb([0x1000, 0x8000, 0x1000, READ_WRITE], [0x5000, 0, 1, 0])}`,
    "iova 0x1000..0x1fff -> 0x8000 (rw)\niova 0x5000..0x5000 -> 0x0 (none)",
  );
  assertEquals(`${new Iotlb()}`, "");
});
