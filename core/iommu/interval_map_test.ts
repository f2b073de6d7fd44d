import { assert, assertEquals } from "@std/assert";
import { IntervalMap, type Slot } from "./interval_map.ts";

/** Every range from first to last by `next()`, checked against the way back by `previous()`. */
function ranges(map: IntervalMap): [number, number, number, number][] {
  const forward: Slot[] = [];
  for (let slot = map.first(); slot >= 0; slot = map.next(slot)) forward.push(slot);
  assertEquals(forward.length, map.size);
  const last = forward.at(-1);
  const backward: Slot[] = [];
  for (let slot = last ?? -1; slot >= 0; slot = map.previous(slot)) backward.push(slot);
  assertEquals(backward.reverse(), forward);
  return forward.map((
    slot,
  ) => [map.startOf(slot), map.lastOf(slot), map.targetOf(slot), map.flagsOf(slot)]);
}

const startOf = (map: IntervalMap, slot: Slot): number => slot < 0 ? -1 : map.startOf(slot);

Deno.test("IntervalMap that is empty finds nothing", () => {
  const map = new IntervalMap();
  assertEquals([map.size, map.first()], [0, -1]);
  for (const address of [0, 5, 2 ** 52 - 1]) {
    assertEquals([map.find(address), map.floor(address), map.from(address)], [-1, -1, -1]);
    assertEquals(map.overlaps(0, address), false);
    assertEquals(map.remove(address), -1);
  }
  assertEquals(ranges(map), []);
});

Deno.test("IntervalMap: find, floor, from and overlaps at the ends of a range", () => {
  const map = new IntervalMap();
  map.insert(10, 19, 0x1000, 3);
  map.insert(20, 20, 0x2000, 1);
  map.insert(30, 39, 0x3000, 2);
  // address: find, floor, from
  const cases: [number, number, number, number][] = [
    [0, -1, -1, 10],
    [9, -1, -1, 10],
    [10, 10, 10, 10],
    [19, 10, 10, 10],
    [20, 20, 20, 20],
    [21, -1, 20, 30],
    [29, -1, 20, 30],
    [30, 30, 30, 30],
    [39, 30, 30, 30],
    [40, -1, 30, -1],
    [2 ** 52 - 1, -1, 30, -1],
  ];
  for (const [address, find, floor, from] of cases) {
    assertEquals(
      [map.find(address), map.floor(address), map.from(address)].map((slot) => startOf(map, slot)),
      [find, floor, from],
      `at ${address}`,
    );
  }
  const overlaps: [number, number, boolean][] = [
    [0, 9, false],
    [0, 10, true],
    [19, 19, true],
    [21, 29, false],
    [21, 30, true],
    [39, 100, true],
    [40, 100, false],
    [0, 100, true],
  ];
  for (const [start, last, expected] of overlaps) {
    assertEquals(map.overlaps(start, last), expected, `${start}..${last}`);
  }
  assertEquals(ranges(map), [[10, 19, 0x1000, 3], [20, 20, 0x2000, 1], [30, 39, 0x3000, 2]]);
});

Deno.test("IntervalMap holds the whole address space as one range, and its last byte alone", () => {
  const map = new IntervalMap();
  map.insert(0, 2 ** 52 - 1, 0, 255);
  assertEquals(ranges(map), [[0, 2 ** 52 - 1, 0, 255]]);
  assertEquals(map.find(2 ** 52 - 1), map.find(0));
  assertEquals(map.find(2 ** 52), -1);
  assertEquals(map.remove(0), 2 ** 52 - 1);
  map.insert(2 ** 52 - 1, 2 ** 52 - 1, 2 ** 52 - 1, 1);
  map.insert(2 ** 52 - 2, 2 ** 52 - 2, 7, 2);
  assertEquals(ranges(map), [[2 ** 52 - 2, 2 ** 52 - 2, 7, 2], [
    2 ** 52 - 1,
    2 ** 52 - 1,
    2 ** 52 - 1,
    1,
  ]]);
});

Deno.test("IntervalMap.insert() refuses what meets a range, and stays as it was", () => {
  const map = new IntervalMap();
  map.insert(10, 19, 0, 1);
  for (const [start, last] of [[0, 10], [19, 25], [12, 13], [10, 19], [0, 100]] as const) {
    assertEquals(map.insert(start, last, 0, 1), false, `${start}..${last}`);
  }
  assertEquals(ranges(map), [[10, 19, 0, 1]]);
  assertEquals([map.insert(0, 9, 0, 1), map.insert(20, 20, 0, 1)], [true, true]);
});

Deno.test("IntervalMap.remove() wants the start of a range", () => {
  const map = new IntervalMap();
  map.insert(10, 19, 0, 1);
  for (const address of [0, 9, 11, 19, 20]) assertEquals(map.remove(address), -1);
  assertEquals(map.remove(10), 19);
  assertEquals(map.remove(10), -1);
  assertEquals([map.size, map.first()], [0, -1]);
});

/** Orders in which `count` neighbours can come and go. */
const ORDERS: Record<string, (count: number) => number[]> = {
  ascending: (count) => Array.from({ length: count }, (_, i) => i),
  descending: (count) => Array.from({ length: count }, (_, i) => count - 1 - i),
  "from the middle": (count) =>
    Array.from(
      { length: count },
      (_, i) => (count >> 1) + ((i & 1) === 0 ? i >> 1 : -(i >> 1) - 1),
    ),
  "every 37th": (count) => Array.from({ length: count }, (_, i) => (i * 37) % count),
};

Deno.test("IntervalMap grows and shrinks through every level, in any order", () => {
  const count = 5000;
  const range = (i: number): [number, number, number, number] => [
    i * 16,
    i * 16 + (i % 13),
    2 ** 51 + i,
    i & 0xff,
  ];
  for (const [inserting, insertOrder] of Object.entries(ORDERS)) {
    for (const [removing, removeOrder] of Object.entries(ORDERS)) {
      const name = `insert ${inserting}, remove ${removing}`;
      const map = new IntervalMap();
      for (const i of insertOrder(count)) map.insert(...range(i));
      assertEquals(map.size, count, name);
      const there = new Set(Array.from({ length: count }, (_, i) => i));
      let step = 0;
      for (const i of removeOrder(count)) {
        if (step++ % 1000 === 0) {
          const expected = [...there].sort((a, b) => a - b).map(range);
          assertEquals(ranges(map), expected, name);
          for (let at = 0; at < count; at += 61) {
            assertEquals(map.find(at * 16) >= 0, there.has(at), name);
          }
        }
        assertEquals(map.remove(i * 16), range(i)[1], name);
        there.delete(i);
      }
      assertEquals(ranges(map), [], name);
      map.insert(...range(7));
      assertEquals(ranges(map), [range(7)], name);
    }
  }
});

Deno.test("IntervalMap.remove() finds ranges of one byte, wherever they came to stand in a leaf", () => {
  for (const [name, order] of Object.entries(ORDERS)) {
    const map = new IntervalMap();
    for (const i of order(1000)) map.insert(i, i, i, 1);
    for (let i = 0; i < 1000; i++) assertEquals(map.remove(i), i, name);
    assertEquals(map.size, 0);
  }
});

Deno.test("IntervalMap.floor() crosses leaves that have lost their first ranges", () => {
  const map = new IntervalMap();
  const count = 2000;
  for (let i = 0; i < count; i++) map.insert(i * 10, i * 10 + 4, i, 1);
  // Holes of every length up to 60 ranges, at every place relative to a leaf.
  const there: number[] = [];
  for (let i = 0, hole = 0; i < count; hole = (hole + 1) % 60) {
    there.push(i++);
    for (let left = hole; left > 0 && i < count; left--) assert(map.remove(i++ * 10));
  }
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (there[at + 1] === i) at++;
    assertEquals(startOf(map, map.floor(i * 10)), there[at]! * 10);
    assertEquals(
      startOf(map, map.from(i * 10 + 5)),
      at + 1 < there.length ? there[at + 1]! * 10 : -1,
    );
  }
});

Deno.test("IntervalMap keeps 64 k ranges in at most 40 bytes each, one in a few hundred in all", () => {
  const big = new IntervalMap();
  big.insert(0, 2 ** 40 - 1, 0, 3);
  assert(big.byteLength < 2048, `${big.byteLength} bytes`);
  for (const [name, order] of Object.entries(ORDERS)) {
    const map = new IntervalMap();
    for (const i of order(65536)) map.insert(i * 4096, i * 4096 + 4095, i, 3);
    const each = map.byteLength / map.size;
    // Leaves that were split in the middle are half full.
    const most = name === "ascending" ? 40 : 75;
    assert(each <= most, `${name}: ${each} bytes each`);
  }
});

Deno.test("IntervalMap reuses the room of what was removed", () => {
  const map = new IntervalMap();
  const fill = (base: number) => {
    for (let i = 0; i < 10_000; i++) map.insert(base + i * 2, base + i * 2, i, 1);
  };
  const empty = (base: number) => {
    for (let i = 0; i < 10_000; i++) assertEquals(map.remove(base + i * 2), base + i * 2);
  };
  fill(0);
  let held = 0;
  // One range stays, so that the map is never empty and never starts over.
  map.insert(2 ** 50, 2 ** 50, 1, 1);
  for (let round = 1; round <= 20; round++) {
    fill(round * 2 ** 30);
    empty((round - 1) * 2 ** 30);
    ranges(map);
    if (round === 3) held = map.byteLength;
  }
  assertEquals(map.byteLength, held);
});

Deno.test("IntervalMap.clear() forgets everything, and gives the memory back", () => {
  const map = new IntervalMap();
  const fresh = map.byteLength;
  for (let i = 0; i < 10_000; i++) map.insert(i * 2, i * 2, i, 1);
  map.clear();
  assertEquals([map.size, map.first(), map.find(0), map.byteLength], [0, -1, -1, fresh]);
  for (let i = 0; i < 100; i++) map.insert(i * 2, i * 2, i, 1);
  assertEquals(ranges(map).length, 100);
});
