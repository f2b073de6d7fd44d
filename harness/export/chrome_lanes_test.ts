import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { Lanes } from "./chrome_lanes.ts";

Deno.test("Lanes.place() nests what is within, and moves what crosses to another lane", () => {
  const lanes = new Lanes("nest", 8);
  const placed = ([[0, 10], [0, 4], [4, 10], [5, 7], [6, 8], [10, 12], [10, 10]] as const)
    .map(([start, end]) => lanes.place(start, end));
  assertEquals(placed, [0, 0, 0, 0, 1, 0, 0]);
  assertEquals(lanes.count, 2);
});

Deno.test("Lanes.place() keeps slices apart where one must not look like a part of the other", () => {
  const lanes = new Lanes("apart", 8);
  const placed = ([[0, 10], [1, 4], [4, 6], [4, 20], [10, 12]] as const)
    .map(([start, end]) => lanes.place(start, end));
  assertEquals(placed, [0, 1, 1, 2, 0]);
});

Deno.test("Lanes.place() has no more lanes than it may", () => {
  const lanes = new Lanes("apart", 2);
  assertEquals([0, 1, 2, 3].map((at) => lanes.place(at, 10)), [0, 1, -1, -1]);
  assertEquals(lanes.place(10, 11), 0);
});

Deno.test("Lanes.place() lets no two slices of a lane cross, whatever they are", () => {
  const slices = fc.array(fc.tuple(fc.nat(60), fc.nat(30)), { maxLength: 60 });
  fc.assert(fc.property(slices, fc.constantFrom("nest", "apart"), (some, rule) => {
    const sorted = some.map(([start, length]) => [start, start + length] as const)
      .sort((a, b) => a[0] - b[0] || b[1] - a[1]);
    const lanes = new Lanes(rule, 100);
    const placed: (readonly [number, number])[][] = [];
    for (const slice of sorted) (placed[lanes.place(...slice)] ??= []).push(slice);
    for (const lane of placed) {
      for (const [at, [start, end]] of lane.entries()) {
        for (const [otherStart, otherEnd] of lane.slice(at + 1)) {
          const apart = otherStart >= end;
          assert(apart || (rule === "nest" && start <= otherStart && otherEnd <= end));
        }
      }
    }
  }));
});
