/**
 * How a watched run sees what its devices do, wherever they live. Types alone.
 * @module
 */

import type { Endpoint } from "../../core/iommu/endpoint.ts";
import type { TraceEvent } from "../../core/observe/trace.ts";
import type { Metrics } from "../run/run_report.ts";
import type { TimedTranslations } from "./endpoint_report.ts";
import type { SeenFault } from "./fault_rows.ts";

/** An event of a trace, whoever's. */
export type SeenEvent = Omit<TraceEvent, "sequence">;

/** Gets what is seen. */
export interface SightListener {
  /** Once for each fault, in the order in which they happened. */
  fault(fault: SeenFault): void;
  /** DMA of the sample, and page requests. */
  traced(event: SeenEvent): void;
  /** Once for each invalidation that is counted. */
  invalidated(event: SeenEvent): void;
}

/** See the module. */
export interface Sight {
  /** Faults that were overwritten before they were seen. */
  readonly faultsLost: number;
  /** Memory in which the endpoint's counters are, in the order of `Counter`: another thread reads it. */
  countersOf(endpoint: Endpoint): Float64Array;
  timedBy(endpoint: Endpoint): TimedTranslations;
  /** The counters of all endpoints together. */
  totals(): Metrics;
  /** Whether faults are about to be lost: then somebody must {@linkcode collect}. */
  pileUp(): boolean;
  /** Tells the faults that met mappings which are about to go. */
  beforeChange(): void;
  /** Tells the faults there have been since the last call. */
  collect(): void;
  /** Tells what the last look at DMA saw, and brings all figures up to date. */
  look(): void;
  /** Begins a look when it is time for one. @returns whether it wants to be ended soon */
  beginLook(): boolean;
  endLook(): void;
  /** The endpoint has gone, or another is in its place. */
  forget(endpoint: number): void;
}
