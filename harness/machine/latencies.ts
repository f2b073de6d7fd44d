/**
 * Latency histograms of several endpoints, read as one.
 * @module
 */

import type { Histogram } from "../../core/observe/histogram.ts";
import type { Latencies } from "../run/threshold.ts";

/** Durations counted by their upper bound. */
export interface LatencyBucket {
  /** Exclusive, in nanoseconds: a power of two. */
  readonly belowNs: number;
  readonly count: number;
}

/** The durations of all `histograms` together, as they are now. */
export function mergeLatencies(histograms: Iterable<Histogram>): Latencies {
  return latenciesOf([...histograms].flatMap((histogram) => histogram.snapshot()));
}

/** The durations in all buckets together. */
export function latenciesOf(all: Iterable<LatencyBucket>): Latencies {
  const counts = new Map<number, number>();
  let count = 0;
  for (const bucket of all) {
    counts.set(bucket.belowNs, (counts.get(bucket.belowNs) ?? 0) + bucket.count);
    count += bucket.count;
  }
  const buckets = [...counts].sort(([a], [b]) => a - b);
  return {
    count,
    percentile(p: number): number {
      if (count === 0) return NaN;
      const wanted = Math.min(count, Math.max(1, Math.ceil(count * p / 100)));
      let before = 0;
      for (const [belowNs, inside] of buckets) {
        // As Histogram: a bucket is one power of two, its durations evenly spread.
        if (before + inside >= wanted) return belowNs / 2 * (1 + (wanted - before) / inside);
        before += inside;
      }
      return NaN;
    },
  };
}
