import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { linearScale, logScale } from "./scale.ts";

Deno.test("linearScale() goes from 0 to its end, and no further", () => {
  const scale = linearScale(100);
  assertEquals([-1, 0, 25, 100, 200].map((value) => scale.at(value)), [0, 0, 0.25, 1, 1]);
  assertEquals(scale.ticks.map(({ value }) => value), [0, 25, 50, 75, 100]);
  assertEquals(linearScale(0).at(0), 0);
});

Deno.test("logScale() has whole decades around all values", () => {
  const scale = logScale([3, 700]);
  assertEquals(scale.ticks, [
    { at: 0, value: 1 },
    { at: 1 / 3, value: 10 },
    { at: 2 / 3, value: 100 },
    { at: 1, value: 1000 },
  ]);
});

Deno.test("logScale() has a place for 0 apart from all others", () => {
  const scale = logScale([0, 5, 50]);
  assertEquals(scale.ticks.map(({ value }) => value), [0, 1, 10, 100]);
  assertEquals(scale.at(0), 0);
  assert(scale.at(1) > 0);
  assertEquals(logScale([0, 0]).at(0), 0);
});

Deno.test("logScale() keeps order, and every value and tick within the axis", () => {
  const value = fc.oneof(fc.constant(0), fc.double({ min: 1e-6, max: 1e16, noNaN: true }));
  fc.assert(fc.property(fc.array(value, { minLength: 1, maxLength: 20 }), (values) => {
    const { at, ticks } = logScale(values);
    const sorted = [...values].sort((a, b) => a - b);
    for (const [i, value] of sorted.entries()) {
      assert(at(value) >= 0 && at(value) <= 1);
      if (i > 0) assert(at(value) >= at(sorted[i - 1]!));
    }
    assert(ticks.length >= 2 && ticks.length <= 8, String(ticks.length));
    for (const tick of ticks) assert(tick.at >= 0 && tick.at <= 1);
  }));
});
