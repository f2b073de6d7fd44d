/** IntervalMap against a sorted array: bulk and single insertions and removals, and every question asked of both. */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { IntervalMap, type Slot } from "../../core/iommu/interval_map.ts";

interface Range {
  readonly start: number;
  readonly last: number;
  readonly target: number;
  readonly flags: number;
}

/** Disjoint ranges in ascending order, in the plainest way. */
class SortedArray {
  readonly ranges: Range[] = [];

  /** Index of the first range that starts after `address`. */
  after(address: number): number {
    let low = 0;
    let high = this.ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.ranges[middle]!.start <= address) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  overlaps(start: number, last: number): boolean {
    const before = this.ranges[this.after(last) - 1];
    return before !== undefined && before.last >= start;
  }

  insert(range: Range): void {
    this.ranges.splice(this.after(range.start), 0, range);
  }
}

type Order = "ascending" | "descending" | "alternating" | "inwards";

type Step =
  | { kind: "fill"; base: number; count: number; stride: number; length: number; order: Order }
  | { kind: "insert"; start: number; length: number; target: number; flags: number }
  | { kind: "remove"; at: number }
  | { kind: "removeMany"; at: number; count: number; order: Order }
  | { kind: "removeNone"; address: number }
  | { kind: "clear" };

const TOP = 2 ** 52 - 1;
const order = fc.constantFrom<Order>("ascending", "descending", "alternating", "inwards");
/** Close together, page by page, far apart, and at the top of the space. */
const address = fc.oneof(
  fc.nat(5000),
  fc.nat(2000).map((page) => page * 4096),
  fc.integer({ min: 0, max: TOP }),
  fc.nat(5000).map((below) => TOP - below),
);
const fraction = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("fill" as const),
      base: address,
      count: fc.integer({ min: 1, max: 1200 }),
      stride: fc.constantFrom(1, 2, 5, 4096, 2 ** 30),
      length: fc.constantFrom(1, 1, 2, 4096),
      order,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("insert" as const),
      start: address,
      length: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 2 ** 52 })),
      target: fc.integer({ min: 0, max: TOP }),
      flags: fc.nat(255),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("remove" as const), at: fraction }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("removeMany" as const),
      at: fraction,
      count: fc.integer({ min: 1, max: 1500 }),
      order,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("removeNone" as const), address }) },
  { weight: 1, arbitrary: fc.constant({ kind: "clear" as const }) },
);

function inOrder<T>(items: readonly T[], how: Order): T[] {
  switch (how) {
    case "ascending":
      return [...items];
    case "descending":
      return [...items].reverse();
    case "alternating":
      return [...items.filter((_, i) => i % 2 === 0), ...items.filter((_, i) => i % 2 === 1)];
    case "inwards":
      return items.map((_, i) => items[i % 2 === 0 ? i >> 1 : items.length - 1 - (i >> 1)]!);
  }
}

function rangeAt(map: IntervalMap, slot: Slot): Range | undefined {
  if (slot < 0) return undefined;
  return {
    start: map.startOf(slot),
    last: map.lastOf(slot),
    target: map.targetOf(slot),
    flags: map.flagsOf(slot),
  };
}

function same(actual: Range | undefined, expected: Range | undefined): boolean {
  return actual?.start === expected?.start && actual?.last === expected?.last &&
    actual?.target === expected?.target && actual?.flags === expected?.flags;
}

function checkWhole(map: IntervalMap, model: SortedArray): void {
  assertEquals(map.size, model.ranges.length);
  let slot = map.first();
  let last = -1;
  for (const range of model.ranges) {
    assert(same(rangeAt(map, slot), range), `next() misses ${range.start}`);
    last = slot;
    slot = map.next(slot);
  }
  assertEquals(slot, -1);
  for (let i = model.ranges.length - 1; i >= 0; i--) {
    assert(same(rangeAt(map, last), model.ranges[i]), `previous() misses ${i}`);
    last = map.previous(last);
  }
  assertEquals(last, -1);
}

function checkAt(map: IntervalMap, model: SortedArray, at: number): void {
  const after = model.after(at);
  const floor = model.ranges[after - 1];
  const inside = floor !== undefined && floor.last >= at ? floor : undefined;
  assert(same(rangeAt(map, map.floor(at)), floor), `floor(${at})`);
  assert(same(rangeAt(map, map.find(at)), inside), `find(${at})`);
  assert(same(rangeAt(map, map.from(at)), inside ?? model.ranges[after]), `from(${at})`);
  for (const last of [at, at + 1, at + 5000]) {
    assertEquals(map.overlaps(at, last), model.overlaps(at, last), `overlaps(${at}, ${last})`);
  }
}

function insert(map: IntervalMap, model: SortedArray, range: Range): void {
  if (range.last > TOP) return;
  if (model.overlaps(range.start, range.last)) {
    assertEquals(map.insert(range.start, range.last, range.target, range.flags), false);
  } else {
    assertEquals(map.insert(range.start, range.last, range.target, range.flags), true);
    model.insert(range);
  }
}

function run(map: IntervalMap, model: SortedArray, todo: Step): void {
  switch (todo.kind) {
    case "fill": {
      const { base, stride, length } = todo;
      const indices = inOrder(Array.from({ length: todo.count }, (_, i) => i), todo.order);
      for (const i of indices) {
        const start = base + i * stride;
        const last = start + Math.min(length, stride) - 1;
        if (last > TOP || model.overlaps(start, last)) continue;
        insert(map, model, { start, last, target: TOP - start, flags: i & 255 });
      }
      return;
    }
    case "insert": {
      const { start, target, flags } = todo;
      insert(map, model, { start, last: start + todo.length - 1, target, flags });
      return;
    }
    case "remove": {
      const at = Math.floor(todo.at * model.ranges.length);
      const range = model.ranges[at];
      if (range === undefined) return;
      assertEquals(map.remove(range.start), range.last);
      model.ranges.splice(at, 1);
      return;
    }
    case "removeMany": {
      const at = Math.floor(todo.at * model.ranges.length);
      for (const range of inOrder(model.ranges.splice(at, todo.count), todo.order)) {
        assertEquals(map.remove(range.start), range.last, `remove(${range.start})`);
      }
      return;
    }
    case "removeNone": {
      const there = model.ranges[model.after(todo.address) - 1]?.start === todo.address;
      if (!there) assertEquals(map.remove(todo.address), -1);
      return;
    }
    case "clear":
      map.clear();
      model.ranges.length = 0;
  }
}

Deno.test("IntervalMap agrees with a sorted array through any insertions and removals", () => {
  let largest = 0;
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 10, maxLength: 40, size: "max" }),
      fc.array(address, { minLength: 10, maxLength: 10 }),
      (steps, addresses) => {
        const map = new IntervalMap();
        const model = new SortedArray();
        for (const todo of steps) {
          run(map, model, todo);
          largest = Math.max(largest, map.size);
          checkWhole(map, model);
          for (const at of addresses) checkAt(map, model, at);
          for (let i = 0; i < model.ranges.length; i += 1 + (model.ranges.length >> 4)) {
            const { start, last } = model.ranges[i]!;
            for (const at of [start, start - 1, last, last + 1]) {
              if (at >= 0) checkAt(map, model, at);
            }
          }
        }
      },
    ),
    { numRuns: 120 },
  );
  // Two levels of inner nodes and more: otherwise this has not tested what it is for.
  assert(largest > 2000, `only ${largest} ranges at once`);
});

Deno.test("IntervalMap agrees with a sorted array while it drains from three levels, refills and drains", () => {
  const change = fc.record({
    at: fraction,
    count: fc.integer({ min: 1, max: 9000 }),
    order,
    back: fc.record({ at: fraction, count: fc.nat(3000), order }),
  });
  fc.assert(
    fc.property(
      order,
      fc.constantFrom(1, 3, 4096),
      fc.array(change, { minLength: 4, maxLength: 16, size: "max" }),
      (filling, stride, changes) => {
        const map = new IntervalMap();
        const model = new SortedArray();
        const fill = (at: number, count: number, how: Order) => {
          const base = 7 + Math.floor(at * 25_000) * stride;
          run(map, model, { kind: "fill", base, count, stride, length: 1, order: how });
        };
        fill(0, 25_000, filling);
        for (const { back, ...removal } of changes) {
          run(map, model, { kind: "removeMany", ...removal });
          checkWhole(map, model);
          fill(back.at, back.count, back.order);
          checkWhole(map, model);
        }
        run(map, model, { kind: "removeMany", at: 0, count: 100_000, order: filling });
        checkWhole(map, model);
        fill(0, 100, filling);
        checkWhole(map, model);
      },
    ),
    { numRuns: 12 },
  );
});
