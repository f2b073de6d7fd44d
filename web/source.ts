/**
 * What the dashboard watches: a machine somewhere, live or as it was left. Runs of scenarios are
 * one kind (`run_source.ts`); a device server or a virtual machine becomes another by giving this.
 * @module
 */

import type {
  Around,
  DeviceDetail,
  EventTuple,
  MappingTuple,
  RegionReport,
} from "../harness/observe/observation.ts";
import type { MessageRow, Snapshot } from "./api.ts";
import type { FaultStore } from "./fault_store.ts";

/** What a snapshot has from its source, from memory: making one asks nobody and waits for nothing. */
export type Picture = Pick<
  Snapshot,
  "scenarioNs" | "endpoints" | "endpointsLeftOut" | "domains" | "domainsLeftOut" | "totals"
>;

/** Latencies of one endpoint in buckets, for `/metrics`. */
export interface LatencyBuckets {
  readonly endpoint: number;
  /** Upper bound in nanoseconds (exclusive) and count. */
  readonly buckets: readonly (readonly [number, number])[];
  readonly sumNs: number;
}

/** Thrown by a source that is there but does not answer in time: its thread is busy. */
export class BusyError extends Error {
  override readonly name = "BusyError";
}

/** See the module. None of it may slow the machine down. */
export interface LiveSource {
  /** `paused`: there, and silent for a second. `ended`: what it left. */
  readonly state: "live" | "paused" | "ended";
  picture(): Picture;
  /** Events from number `from` on that are kept, oldest first, at most `limit`, the newest. */
  timeline(from: number, limit: number): readonly EventTuple[];
  /** Events so far, kept or not: the number of the next. */
  readonly timelineEnd: number;
  readonly faults: FaultStore;
  readonly latencies: readonly LatencyBuckets[];
  readonly regions: readonly RegionReport[];
  /** Messages that are kept, oldest first. */
  readonly messages: readonly MessageRow[];
  /** Messages before those. */
  readonly messagesDropped: number;
  /** Null for an endpoint that no device answers for. @throws {BusyError} */
  detail(endpoint: number): Promise<DeviceDetail | null>;
  /** At most `limit` mappings of the domain that begin at or after `from`, ascending. @throws {BusyError} */
  mappings(domain: number, from: number, limit: number): Promise<readonly MappingTuple[]>;
  /** Mappings of the domain that are not kept any more. */
  mappingsLeftOut(domain: number): number;
  /** The mappings round an address. @throws {BusyError} */
  around(domain: number, iova: number): Promise<Around>;
}
