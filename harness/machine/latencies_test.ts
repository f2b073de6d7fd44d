import { assertEquals } from "@std/assert";
import { Histogram } from "../../core/observe/histogram.ts";
import { mergeLatencies } from "./latencies.ts";

Deno.test("mergeLatencies() of parts reads as the histogram of the whole", () => {
  const whole = new Histogram();
  const parts = [new Histogram(), new Histogram(), new Histogram()];
  for (let at = 0; at < 1000; at++) {
    const ns = 1 + (at * 7919) % 5000;
    whole.record(ns);
    parts[at % 2]!.record(ns);
  }
  const merged = mergeLatencies(parts);
  assertEquals(merged.count, 1000);
  for (const p of [0, 1, 50, 90, 99, 99.9, 100]) {
    assertEquals(merged.percentile(p), whole.percentile(p), `p(${p})`);
  }
});

Deno.test("mergeLatencies() of nothing counts nothing", () => {
  assertEquals(mergeLatencies([]).count, 0);
  assertEquals(mergeLatencies([new Histogram()]).percentile(50), NaN);
});
