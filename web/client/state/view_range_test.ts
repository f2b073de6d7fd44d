import { assert, assertEquals } from "@std/assert";
import { followingRange } from "./view_range.ts";

const BEGAN = 1_000_000_000;

function ranges(motion: "slide" | "step", lengthMs: number) {
  return Array.from({ length: 4 * 400 }, (_, at) => {
    const endMs = BEGAN + at * 250;
    return { endMs, ...followingRange({ endMs, beganMs: BEGAN, lengthMs, motion }) };
  });
}

Deno.test("followingRange() has the newest moment at its end, and a young history fill it", () => {
  const all = ranges("slide", 300_000);
  for (const { endMs, toMs } of all) assertEquals(toMs, endMs);
  const lengths = [0, 60, 120, 800, 1599].map((at) => all[at]!.toMs - all[at]!.fromMs);
  assertEquals(lengths, [15_000, 15_000, 30_000, 200_000, 300_000]);
});

Deno.test("followingRange() stands still between its steps, with the newest moment in it", () => {
  for (const lengthMs of [60_000, 300_000, 900_000]) {
    const all = ranges("step", lengthMs);
    for (const { endMs, fromMs, toMs } of all) {
      assert(fromMs <= endMs && endMs <= toMs && toMs - endMs < lengthMs / 10);
      assert(toMs - fromMs <= lengthMs);
    }
    const places = new Set(all.map(({ fromMs, toMs }) => `${fromMs} ${toMs}`));
    assert(places.size <= 400_000 / (lengthMs / 10) + 2, `${places.size} places`);
  }
});
