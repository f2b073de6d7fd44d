/**
 * What the accesses of one endpoint came to, as counted where its device lives: in this process or
 * in one that tells this one.
 * @module
 */

import type { Endpoint } from "../../core/iommu/endpoint.ts";
import { Counter, type EndpointMetrics } from "../../core/observe/counters.ts";
import type { LatencyBucket } from "../machine/latencies.ts";
import { NO_METRICS, sumMetrics } from "../run/run_report.ts";

/** See the module. */
export interface EndpointFigures {
  readonly endpoint: number;
  readonly metrics: EndpointMetrics;
  /** Translations by duration: buckets that are not empty, ascending. */
  readonly latencies: readonly LatencyBucket[];
  /** The sum of the durations. */
  readonly latencySumNs: number;
  /** Faults that were overwritten before anybody took them. */
  readonly faultsLost: number;
}

/** Of an endpoint in this process. */
export function figuresOf({ id, counters, latency, faults }: Endpoint): EndpointFigures {
  return {
    endpoint: id,
    metrics: counters.snapshot(),
    latencies: latency.snapshot(),
    latencySumNs: latency.sumNs,
    faultsLost: faults.dropped,
  };
}

/** Of one endpoint that was counted at several places, all together. */
export function sumFigures(
  endpoint: number,
  parts: readonly EndpointFigures[],
): EndpointFigures {
  const counts = new Map<number, number>();
  let latencySumNs = 0, faultsLost = 0;
  for (const part of parts) {
    latencySumNs += part.latencySumNs;
    faultsLost += part.faultsLost;
    for (const { belowNs, count } of part.latencies) {
      counts.set(belowNs, (counts.get(belowNs) ?? 0) + count);
    }
  }
  return {
    endpoint,
    metrics: parts.length === 0 ? NO_METRICS : sumMetrics(parts),
    latencies: [...counts].sort(([a], [b]) => a - b)
      .map(([belowNs, count]) => ({ belowNs, count })),
    latencySumNs,
    faultsLost,
  };
}

/** Writes the metrics where counters of an endpoint are read: in the order of `Counter`. */
export function storeMetrics(values: Float64Array, metrics: EndpointMetrics): void {
  values[Counter.TRANSLATIONS] = metrics.translations;
  values[Counter.IOTLB_HITS] = metrics.iotlbHits;
  values[Counter.IOTLB_MISSES] = metrics.iotlbMisses;
  values[Counter.FAULTS] = metrics.faults;
  values[Counter.PAGE_REQUESTS] = metrics.pageRequests;
  values[Counter.INVALIDATIONS] = metrics.invalidations;
  values[Counter.DMA_READ_BYTES] = metrics.dmaReadBytes;
  values[Counter.DMA_WRITE_BYTES] = metrics.dmaWriteBytes;
}
