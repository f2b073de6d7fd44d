import { assertEquals } from "@std/assert";
import { atLeast, atMost, type Bar, keeps } from "./bar.ts";

const cases: readonly [string, number, Bar, boolean][] = [
  ["at most: below", 0.24, atMost(0.25), true],
  ["at most: the limit itself", 0.25, atMost(0.25), true],
  ["at most: above", 0.2501, atMost(0.25), false],
  ["at least: above", 0.91, atLeast(0.9), true],
  ["at least: the limit itself", 0.9, atLeast(0.9), true],
  ["at least: below", 0.8999, atLeast(0.9), false],
  ["at most: no number", NaN, atMost(1), false],
  ["at least: no number", NaN, atLeast(1), false],
  ["at most: a division by 0", Infinity, atMost(1), false],
];

for (const [name, value, bar, expected] of cases) {
  Deno.test(`keeps() ${name}`, () => assertEquals(keeps(value, bar), expected));
}
