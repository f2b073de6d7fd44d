import { assertEquals } from "@std/assert";
import { hitRatioEvents } from "./chrome_hit_ratio.ts";

Deno.test("hitRatioEvents() gives the share of hits since the sample before, by device", () => {
  const sample = (timeNs: number, ...counts: readonly (readonly [number, number, number])[]) => ({
    timeNs,
    endpoints: counts.map(([endpoint, hits, misses]) => ({ endpoint, hits, misses })),
  });
  const events = hitRatioEvents(
    [
      sample(0, [8, 0, 0]),
      sample(1000, [8, 3, 1], [16, 0, 2]),
      // Nothing of 16 since then, and 24 is no device of the trace.
      sample(2000, [8, 3, 5], [16, 0, 2], [24, 1, 1]),
    ],
    (endpoint) => endpoint > 16 ? null : { pid: endpoint, tid: 1 },
  );
  assertEquals(
    events.map(({ ph, name, pid, ts, args }) => [ph, name, pid, ts, args!.ratio]),
    [
      ["C", "IOTLB hit ratio", 8, 1, 0.75],
      ["C", "IOTLB hit ratio", 16, 1, 0],
      ["C", "IOTLB hit ratio", 8, 2, 0],
    ],
  );
});
