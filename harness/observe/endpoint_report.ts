/**
 * An endpoint as a watched run tells about it: where its accesses go, how long its translations
 * took, and where a sample of them fell.
 * @module
 */

import type { Endpoint } from "../../core/iommu/endpoint.ts";
import { latenciesOf, type LatencyBucket } from "../machine/latencies.ts";
import { heatOf } from "./heat.ts";
import type { EndpointReport } from "./observation.ts";

/** Endpoints of a report. */
export const MAX_ENDPOINTS = 1024;

/** Durations of translations: the buckets that are not empty, ascending, and their sum in ns. */
export interface TimedTranslations {
  readonly buckets: readonly LatencyBucket[];
  readonly sumNs: number;
}

/** What an endpoint in this process has timed. */
export function timedBy({ latency }: Endpoint): TimedTranslations {
  return { buckets: latency.snapshot(), sumNs: latency.sumNs };
}

/**
 * The report of an endpoint. `device` is the type of what is plugged in there, `sampled` the IOVAs
 * of its sampled DMA since the last report.
 */
export function endpointReport(
  endpoint: Endpoint,
  device: string,
  sampled: readonly number[],
  timed: TimedTranslations = timedBy(endpoint),
): EndpointReport {
  const { id, domain, context } = endpoint;
  const { count, percentile } = latenciesOf(timed.buckets);
  return {
    id,
    device,
    domain: domain?.id ?? null,
    bypass: context.bypass,
    latency: count === 0 ? null : { samples: count, p50Ns: percentile(50), p99Ns: percentile(99) },
    latencyBuckets: timed.buckets.map(({ belowNs, count }) => [belowNs, count]),
    latencySumNs: timed.sumNs,
    heat: heatOf(sampled),
  };
}
