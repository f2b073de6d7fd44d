import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { best, bestRatio, median, spread } from "./statistics.ts";

const samples = fc.array(fc.double({ min: 1e-3, max: 1e6, noNaN: true }), { minLength: 1 });

Deno.test("best() is the least sample, NaN of none", () => {
  assertEquals(best([3, 1, 2]), 1);
  assertEquals(best([]), NaN);
});

Deno.test("median() takes the middle by value, not by position or text", () => {
  assertEquals(median([10, 9, 100]), 10);
  assertEquals(median([4, 1, 3, 2]), 2.5);
  assertEquals(median([7]), 7);
  assertEquals(median([]), NaN);
});

Deno.test("median() leaves its samples in their order", () => {
  const rounds = [3, 1, 2];
  median(rounds);
  assertEquals(rounds, [3, 1, 2]);
});

Deno.test("median() has as many samples below as above", () => {
  fc.assert(fc.property(samples, (list) => {
    const middle = median(list);
    const below = list.filter((sample) => sample < middle).length;
    const above = list.filter((sample) => sample > middle).length;
    return below <= list.length / 2 && above <= list.length / 2;
  }));
});

Deno.test("spread() is no less than 0, and 0 of equal samples", () => {
  fc.assert(fc.property(samples, (list) => spread(list) >= 0));
  assertEquals(spread([5, 5, 5]), 0);
  assertEquals(spread([10, 12, 90]), 2);
});

Deno.test("spread() is not moved by rounds that the machine spoilt", () => {
  assertEquals(spread([10, 11, 11, 11, 5000]), 1);
});

Deno.test("bestRatio() compares the best rounds", () => {
  assertEquals(bestRatio([9, 3, 4], [12, 50, 24]), 0.25);
});

Deno.test("bestRatio() turns over when the sides are swapped", () => {
  fc.assert(fc.property(samples, samples, (ours, theirs) => {
    assertAlmostEquals(bestRatio(ours, theirs) * bestRatio(theirs, ours), 1, 1e-9);
  }));
});

Deno.test("bestRatio() refuses a series without samples", () => {
  assertThrows(() => bestRatio([], [1]), Error, "0 samples with 1");
  assertThrows(() => bestRatio([1], []), Error, "1 samples with 0");
});
