import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { HEAT_BUCKETS, heatOf, HeatSamples } from "./heat.ts";

Deno.test("heatOf() has no buckets for no addresses", () => {
  assertEquals(heatOf([]), null);
});

Deno.test("heatOf() keeps pages apart while they fit", () => {
  assertEquals(heatOf([0x5000, 0x5fff, 0x7123]), {
    start: 0x5000,
    width: 4096,
    buckets: [2, 0, 1],
  });
});

Deno.test("heatOf() counts each address in the bucket that covers it, in at most 64", () => {
  fc.assert(fc.property(
    fc.array(fc.integer({ min: 0, max: 2 ** 52 - 1 }), { minLength: 1, maxLength: 200 }),
    (addresses) => {
      const heat = heatOf(addresses)!;
      assert(heat.buckets.length <= HEAT_BUCKETS);
      assertEquals(heat.start % heat.width, 0);
      assertEquals(heat.buckets.reduce((sum, count) => sum + count, 0), addresses.length);
      heat.buckets.forEach((count, at) => {
        const start = heat.start + at * heat.width;
        const inside = addresses.filter((one) => one >= start && one < start + heat.width).length;
        assertEquals(count, inside);
      });
    },
  ));
});

Deno.test("HeatSamples.take() gives an endpoint's addresses once, and has a bound", () => {
  const samples = new HeatSamples();
  for (let at = 0; at < 5000; at++) assertEquals(samples.add(8, at), at < 1024);
  samples.add(16, 7);
  assertEquals(samples.take(8), Array.from({ length: 1024 }, (_, at) => at));
  assertEquals([samples.take(8), samples.take(16), samples.take(24)], [[], [7], []]);
});
