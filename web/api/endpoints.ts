/**
 * Endpoints: in a snapshot, and one in detail.
 * @module
 */

import type { EndpointMetrics } from "../../core/observe/counters.ts";
import type { BarReport, MsixReport } from "../../harness/observe/observation.ts";
import type { RunInfo } from "./runs.ts";

/** `/api/endpoints`. */
export interface EndpointList {
  readonly run: RunInfo | null;
  readonly endpoints: readonly EndpointState[];
}

/** One endpoint in a snapshot. */
export interface EndpointState {
  readonly id: number;
  /** `00:01.0`. */
  readonly bdf: string;
  /** The device's type: `edu`; `unknown` for an endpoint that no device was plugged in for. */
  readonly device: string;
  /** The domain it is attached to, or null. */
  readonly domain: number | null;
  /** Attached to no domain, and what it does passes untranslated. */
  readonly bypass: boolean;
  /** Of several devices in another process (via vfio-user) mostly 0: there `totals` alone is known. */
  readonly counters: EndpointMetrics;
  /** Of a sample of its translations; null until there is one. */
  readonly latency: LatencyState | null;
  /** Faults by reason, as far as reasons were seen; names of `faultName()`. Sum is at most `counters.faults`. */
  readonly faultsByReason: Readonly<Record<string, number>>;
  /** Where its accesses went since the snapshot before; null when none was sampled. */
  readonly heat: Heat | null;
  /** Of a device that is served; left out of a scenario's. */
  readonly client?: ClientState;
}

/** Who is connected to a device that has a socket. */
export interface ClientState {
  readonly state: "connected" | "none";
  /** Clients so far, those that have gone as well. */
  readonly accepted: number;
}

/**
 * How long translations took, in nanoseconds. They are counted in powers of two, so a percentile is
 * an estimate: the truth is in the same power of two.
 */
export interface LatencyState {
  /** Translations that were timed. */
  readonly samples: number;
  readonly p50Ns: number;
  readonly p99Ns: number;
}

/**
 * A sample of accesses by IOVA: what part of them fell where, not how many there were. Buckets of
 * equal width over [start, start + width * buckets.length).
 */
export interface Heat {
  /** First IOVA of the first bucket, a multiple of 4096. */
  readonly start: number;
  /** Bytes of one bucket: 4096 times a power of two. */
  readonly width: number;
  /** Accesses sampled in each; at most {@linkcode HEAT_BUCKETS}. */
  readonly buckets: readonly number[];
}

/** `/api/endpoints/ID`. Parts that the source cannot tell are null. */
export interface EndpointDetail {
  readonly state: EndpointState;
  /** What configuration space says. */
  readonly config: ConfigSummary | null;
  readonly bars: readonly BarReport[] | null;
  /** Null without the MSI-X capability. */
  readonly msix: MsixReport | null;
  /** Live state of the device model, any JSON object: a tree. */
  readonly inspect: JsonObject | null;
  /** Latency buckets, ascending: upper bound in nanoseconds (exclusive) and count. */
  readonly latencyBuckets: readonly { readonly belowNs: number; readonly count: number }[];
  /** Configuration space as `lspci -xxx` prints it, for copying. */
  readonly lspci: string | null;
}

/** JSON that came from a device model. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;

/** See {@linkcode JsonValue}. */
export interface JsonObject {
  readonly [name: string]: JsonValue;
}

/** Fields of a function's header (PCI 3.0, 6.2). */
export interface ConfigSummary {
  readonly vendorId: number;
  readonly deviceId: number;
  readonly revisionId: number;
  /** 24 bits. */
  readonly classCode: number;
  readonly subsystemVendorId: number;
  readonly subsystemId: number;
  readonly command: number;
  readonly status: number;
  /** Names of the bits set in `command`: `memory`, `bus-master`, … */
  readonly commandFlags: readonly string[];
  readonly capabilities: readonly {
    readonly offset: number;
    readonly id: number;
    readonly name: string;
  }[];
}
