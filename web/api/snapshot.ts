/**
 * Pictures of a machine, and the event stream that they come on.
 * @module
 */

import type { EndpointMetrics } from "../../core/observe/counters.ts";
import type { DomainState } from "./domains.ts";
import type { EndpointState } from "./endpoints.ts";
import type { RunInfo } from "./runs.ts";
import type { Timeline } from "./timeline.ts";

/**
 * `live`: a run goes on. `paused`: it goes on, and its process has said nothing for a second.
 * `ended`: what is shown is what the last run left. `idle`: there has been no run yet.
 */
export type LiveState = "idle" | "live" | "paused" | "ended";

/**
 * One picture of the machine: `/api/state`, and `event: snapshot` of `/api/stream`, four a second
 * while a run goes on.
 *
 * The stream's event IDs are `INSTANCE.SEQUENCE`. A page that comes back with `Last-Event-ID` gets
 * the snapshots it missed, as far as they are kept (a minute). While nothing changes the stream
 * sends `event: heartbeat` with a {@linkcode Heartbeat} every two seconds instead.
 */
export interface Snapshot {
  /** Random, new with each start of the server: when it changes, sequence numbers start again. */
  readonly instance: string;
  /** 1, 2, … without gaps on the server: a gap that a page sees is snapshots that it did not get. */
  readonly sequence: number;
  /** When it was taken, in milliseconds of the wall. */
  readonly timeMs: number;
  readonly state: LiveState;
  /** The run that is shown; null while idle. */
  readonly run: RunInfo | null;
  /** Scenario time at the last look, in nanoseconds. */
  readonly scenarioNs: number;
  /** Ascending by ID. Counters are totals since the run began: rates are differences. */
  readonly endpoints: readonly EndpointState[];
  /** Endpoints beyond {@linkcode MAX_ENDPOINTS}, left out. */
  readonly endpointsLeftOut: number;
  /** Ascending by ID. */
  readonly domains: readonly DomainState[];
  /** Domains left out of `domains`. */
  readonly domainsLeftOut: number;
  /** Of all endpoints together, those left out as well. At the end of a run these equal its report. */
  readonly totals: EndpointMetrics;
  /** What happened since the snapshot before. */
  readonly timeline: Timeline;
  /** Snapshots that this stream left out before this one, since its page read too slowly. 0 in `/api/state`. */
  readonly droppedSnapshots: number;
}

/** Data of `event: heartbeat`. */
export interface Heartbeat {
  readonly instance: string;
  /** Of the last snapshot that was made. */
  readonly sequence: number;
  readonly timeMs: number;
  readonly state: LiveState;
}

/** Most endpoints in a snapshot. */
export const MAX_ENDPOINTS = 1024;

/** Most domains in a snapshot. */
export const MAX_DOMAINS = 256;

/** Most events of the timeline in a snapshot. */
export const MAX_TIMELINE = 500;

/** Buckets of an endpoint's heat. */
export const HEAT_BUCKETS = 64;

/** Milliseconds between two snapshots. */
export const SNAPSHOT_INTERVAL_MS = 250;

/** Most streams at a time; a further one is answered 503 with `Retry-After`. */
export const MAX_STREAMS = 16;
