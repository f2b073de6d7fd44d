/**
 * Everything that crosses the wire between the dashboard's server and its page: the JSON of each
 * address and of the event stream. Types alone, so that both sides may import it.
 *
 * Addresses (IOVA, GPA) are JSON numbers, exact: below 2^52. Times of a run are scenario time in
 * nanoseconds (`timeNs`); times of the wall are milliseconds since 1970 (`timeMs`, `startedMs`).
 * An endpoint is its PCI requester ID, a number; addresses take it as a number (`/api/endpoints/8`)
 * or as a BDF (`/api/endpoints/00:01.0`).
 *
 * Every address about a run's machine takes `?run=ID`, but for the stream; without it, the run that
 * goes on (of several, the one that began last), or else the one that went on last.
 *
 * @module
 */

import type { Answerer } from "../core/iommu/translation_table.ts";
import type { EndpointMetrics } from "../core/observe/counters.ts";
import type { ScenarioInfo } from "../harness/child/child_protocol.ts";
import type { BarReport, MsixReport } from "../harness/observe/observation.ts";
import type { CheckReport, Metrics, StepReport, Totals } from "../harness/run/run_report.ts";
import type { Mode, Via } from "../harness/scenario.ts";

export type {
  BarReport,
  CheckReport,
  EndpointMetrics,
  Metrics,
  Mode,
  MsixReport,
  StepReport,
  Totals,
  Via,
};

// ---------------------------------------------------------------- the stream

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

/** Who is connected to a device that has a socket. */
export interface ClientState {
  readonly state: "connected" | "none";
  /** Clients so far, those that have gone as well. */
  readonly accepted: number;
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

/** One domain in a snapshot. */
export interface DomainState {
  readonly id: number;
  readonly kind: "mapped" | "bypass";
  readonly mappings: number;
  readonly mappedBytes: number;
  /** Maps so far. Those of more than 8192 events between two samples were not seen. */
  readonly maps: number;
  /** As {@linkcode maps}; an unmap may take several mappings away. */
  readonly unmaps: number;
  /** Endpoints in it, with their PASID or null; at most 64. */
  readonly members: readonly { readonly endpoint: number; readonly pasid: number | null }[];
  readonly membersLeftOut: number;
}

/** What an event of the timeline is. */
export type TimelineKind =
  | "map"
  | "unmap"
  | "invalidate"
  | "attach"
  | "detach"
  | "page-request"
  | "fault";

/** Events since the snapshot before. */
export interface Timeline {
  /** Oldest first; at most {@linkcode MAX_TIMELINE}. */
  readonly events: readonly TimelineEvent[];
  /** Events left out, since there were more. The newest are kept. */
  readonly dropped: number;
}

/** One event of the timeline. */
export interface TimelineEvent {
  /** Position among all events of its run, from 0. */
  readonly sequence: number;
  readonly timeNs: number;
  readonly kind: TimelineKind;
  /** Null for map and unmap, which are a domain's. */
  readonly endpoint: number | null;
  /** Null where none has a part in it. */
  readonly domain: number | null;
  readonly pasid: number | null;
  readonly iova: number;
  /** Bytes; 0 for attach, detach and fault. */
  readonly length: number;
  /**
   * map: `gpa` in hex. unmap: bytes removed. fault: the reason. Otherwise empty.
   */
  readonly result: string;
  /** fault: what was wanted, `r`, `w` or `rw`. map: what is allowed. Otherwise empty. */
  readonly access: string;
}

// --------------------------------------------------------------- /api/timeline

/** `/api/timeline?cursor=&limit=` (limit 1 to 5000, 500 unless told), oldest first. */
export interface TimelinePage {
  readonly run: RunInfo | null;
  readonly events: readonly TimelineEvent[];
  /** For the next page; null at the end. */
  readonly next: string | null;
  /** Events from the cursor on that came before these and are not kept. */
  readonly dropped: number;
}

// ------------------------------------------------------------- /api/endpoints

/** `/api/endpoints`. */
export interface EndpointList {
  readonly run: RunInfo | null;
  readonly endpoints: readonly EndpointState[];
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

// --------------------------------------------------------------- mappings

/**
 * `/api/endpoints/ID/mappings` and `/api/domains/ID/mappings`, with `?cursor=&limit=` (limit 1 to
 * 1000, 100 unless told) or `?from=IOVA` to begin at an address.
 */
export interface MappingsPage {
  /** Null for an endpoint in no domain: then there are none. */
  readonly domain: number | null;
  /** Mappings of the domain. */
  readonly total: number;
  readonly mappedBytes: number;
  /** Ascending by IOVA. */
  readonly mappings: readonly MappingRow[];
  /** For the next page; null at the end. */
  readonly next: string | null;
  /** Of an ended run: mappings that were too many to keep. They are the highest. */
  readonly leftOut: number;
}

/** One mapping. */
export interface MappingRow {
  readonly iova: number;
  /** The last IOVA, inclusive. */
  readonly last: number;
  readonly gpa: number;
  readonly length: number;
  /** `r`, `w`, `rw` or `none`. */
  readonly access: string;
  /** When it was made, in scenario time; null when that was not seen. */
  readonly mappedNs: number | null;
  /**
   * Sampled accesses of devices that went through it: of each device up to a few hundred, several
   * times a second, by the address of the first byte. For comparing mappings: it is no count of
   * all accesses. Null when there are too many mappings to count for each.
   */
  readonly hits: number | null;
}

// -------------------------------------------------------------- translate

/** What answers for a translation: `tree` when none of the caches before it does. */
export type TranslationCache = Answerer;

/** `/api/endpoints/ID/translate?iova=0x…&access=r|w|rw` (`r` unless told). */
export interface TranslateResult {
  readonly endpoint: number;
  readonly iova: number;
  /** What was asked for. */
  readonly access: string;
  /** The address the access goes to; null when it would fault. */
  readonly gpa: number | null;
  /** Why it would fault, as `faultName()` spells it; null when it would not. */
  readonly fault: string | null;
  /** In the order in which the access takes them; the last is where it ends. */
  readonly walk: readonly WalkStep[];
  /** True when this is what an ended run left. */
  readonly ended: boolean;
}

/** One step of the way of an access. */
export type WalkStep =
  /** Whose access it is. */
  | {
    readonly step: "endpoint";
    readonly ok: true;
    readonly endpoint: number;
    readonly bdf: string;
  }
  /** Which domain it goes through. `bypass`: none, untranslated. Not ok: none, and it faults. */
  | {
    readonly step: "domain";
    readonly ok: boolean;
    readonly domain: number | null;
    readonly kind: "mapped" | "bypass" | "none";
  }
  /**
   * Which mapping covers the address. Not ok: none, with its neighbours. `cache` is who would answer
   * now, seen without a trace of the look; null where the device translates in another process, and
   * once the run has ended.
   */
  | {
    readonly step: "mapping";
    readonly ok: boolean;
    readonly mapping: MappingRow | null;
    readonly cache: TranslationCache | null;
    readonly below: MappingRow | null;
    readonly above: MappingRow | null;
  }
  /** Whether the mapping allows the access. */
  | {
    readonly step: "permission";
    readonly ok: boolean;
    readonly allowed: string;
    readonly wanted: string;
  }
  /** Which part of guest memory the GPA is in. Not ok: none. */
  | {
    readonly step: "region";
    readonly ok: boolean;
    readonly gpa: number;
    readonly region: string | null;
    readonly readOnly: boolean;
  };

// ----------------------------------------------------------------- domains

/** `/api/domains`. */
export interface DomainList {
  readonly run: RunInfo | null;
  readonly domains: readonly DomainState[];
}

// ------------------------------------------------------------------ faults

/**
 * `/api/faults?cursor=&limit=&endpoint=&reason=` (limit 1 to 1000, 100 unless told), newest first.
 */
export interface FaultsPage {
  readonly run: RunInfo | null;
  /** Faults that match, of those kept. */
  readonly total: number;
  readonly faults: readonly FaultRow[];
  /** For the next, older page; null at the end. */
  readonly next: string | null;
  /** All faults kept, by reason and endpoint, most first; filters do not apply. */
  readonly groups: readonly FaultGroup[];
  /** Faults that happened but are not kept. */
  readonly dropped: number;
}

/** One refused access. */
export interface FaultRow {
  /** Position among all faults of the run, from 0. */
  readonly sequence: number;
  readonly timeNs: number;
  readonly endpoint: number;
  readonly bdf: string;
  readonly device: string;
  readonly pasid: number | null;
  readonly iova: number;
  /** What was wanted: `r`, `w` or `rw`. */
  readonly access: string;
  readonly reason: string;
  /** The domain the endpoint was in when the fault was seen. */
  readonly domain: number | null;
  /** The mapping nearest to the address when the fault was seen, on the faulting side or over it; null when there was none. */
  readonly nearest: NearestMapping | null;
}

/** A mapping beside a fault. */
export interface NearestMapping {
  readonly mapping: MappingRow;
  /** Bytes from the fault's address to the mapping; 0 when the mapping covers it (a permission fault). */
  readonly distance: number;
  /** Where the mapping lies, seen from the address. */
  readonly side: "over" | "below" | "above";
}

/** Faults of one kind. */
export interface FaultGroup {
  readonly reason: string;
  readonly endpoint: number;
  readonly bdf: string;
  readonly count: number;
  readonly firstNs: number;
  readonly lastNs: number;
}

// ---------------------------------------------------------------- messages

/**
 * `/api/messages?cursor=&limit=&filter=` (limit 1 to 1000, 200 unless told), oldest first. Empty
 * until a run via vfio-user is observed.
 *
 * `filter` is words that must all hold: `command:DMA_MAP`, `errno:!0`, `region:0`, `direction:>`,
 * `type:reply`, `length:>=64`. `name:value` compares; `!` in front of the value turns it round;
 * numbers also take `<`, `<=`, `>`, `>=`; `*` in a value stands for anything; a word without a colon
 * is looked for in the whole line. A region goes by its index and by its name: `region:0`,
 * `region:bar0`. A name that a message does not have does not hold, nor does its `!`. A filter that cannot be read is answered 400, with `position` in the problem.
 */
export interface MessagesPage {
  readonly run: RunInfo | null;
  readonly total: number;
  readonly messages: readonly MessageRow[];
  readonly next: string | null;
  /** Messages that were too many to keep. */
  readonly dropped: number;
}

/** One vfio-user message. */
export interface MessageRow {
  /** From 0. */
  readonly number: number;
  /** Milliseconds since the connection began. */
  readonly timeMs: number;
  /** `>` from client to server, `<` the other way. */
  readonly direction: ">" | "<";
  readonly type: "command" | "reply";
  /** Message ID, which a reply repeats. */
  readonly id: number;
  /** Which connection: `edu at 00:01.0`. */
  readonly connection: string;
  /** `DMA_MAP`; `COMMAND_99` for one without a name. */
  readonly command: string;
  /** Bytes of the whole message. */
  readonly length: number;
  /** Milliseconds from the command to this reply; null for commands. */
  readonly tookMs: number | null;
  /** Of a reply; 0 is success. Null for commands. */
  readonly errno: number | null;
  /** File descriptors that came along. */
  readonly descriptors: number;
  /** The body's fields by name, in order. */
  readonly fields: readonly { readonly name: string; readonly value: string }[];
  /** The message in hex, two digits a byte; at most the first 4096 bytes. */
  readonly bytes: string;
}

// -------------------------------------------------------------------- runs

/** How a run stands. */
export type RunState = "queued" | "running" | "passed" | "failed" | "skipped";

/** A run, in one line. */
export interface RunInfo {
  /** 1, 2, … on this server. */
  readonly id: number;
  readonly scenario: string;
  readonly title: string;
  readonly mode: Mode;
  readonly via: Via;
  /** How the via's protocol is used, as `--variant` names it; null for as it is by itself. */
  readonly variant: string | null;
  readonly seed: number;
  readonly state: RunState;
  /** Why it failed or was skipped; null otherwise. */
  readonly reason: string | null;
  /** Null while queued. */
  readonly startedMs: number | null;
  /** Of the report once ended; so far while running; 0 while queued. */
  readonly durationMs: number;
  /** As the scenario counts; null when it has not said. */
  readonly progress: { readonly done: number; readonly total: number } | null;
  /** Thresholds among them. */
  readonly checks: { readonly passed: number; readonly failed: number };
  /** Whether the machine it left can still be looked at. Only the newest runs are kept whole. */
  readonly kept: boolean;
  /**
   * Left out of a scenario's run. Otherwise what is listed in its place: devices that are served
   * (`deno task serve`), or a guest that they are plugged into (`deno task vm`).
   */
  readonly machine?: "server" | "guest";
}

/** `/api/runs`. */
export interface RunList {
  /** Newest first. */
  readonly runs: readonly RunInfo[];
  readonly totals: Totals;
  /** Older runs that are no longer listed. */
  readonly forgotten: number;
  /** Whether runs can be started from the page: not while a command line owns them. */
  readonly canStart: boolean;
}

/** `/api/runs/ID`. While it runs, what is known so far. */
export interface RunDetail {
  readonly run: RunInfo;
  readonly steps: readonly (StepReport & {
    /** Still going on; `durationMs` is so far. */
    readonly running: boolean;
  })[];
  /** Missed ones first; empty until it has ended, since they are held at the end. */
  readonly thresholds: readonly ThresholdReport[];
  /** Checks in order, without those that thresholds make. */
  readonly checks: readonly CheckReport[];
  readonly log: readonly string[];
  readonly errors: readonly string[];
  /** What it printed. */
  readonly output: string;
  /** Null until it has ended. */
  readonly metrics: Metrics | null;
  /** The command that repeats it. */
  readonly rerun: string;
  readonly artifacts: readonly Artifact[];
}

/** One threshold of a run, as it was held at its end. */
export interface ThresholdReport {
  /** What was measured: `faults`, `translationSeconds`. */
  readonly metric: string;
  /** What was wanted of it: `value==1`, `p(99)<50e-6`. */
  readonly wanted: string;
  /** Whether it held. */
  readonly met: boolean;
  /**
   * What it was held against, in the unit of the metric: a percentile is an estimate from buckets.
   * Null where the run has not told it.
   */
  readonly actual: number | null;
  /** Why it could not be held at all; null when it was. */
  readonly problem: string | null;
}

/** A file that the server makes of a run. */
export interface Artifact {
  readonly name: string;
  /** Path on this server: `/api/runs/3/trace.json`. */
  readonly href: string;
  readonly mediaType: string;
  /** One line: what opens it. */
  readonly description: string;
}

/** Body of `POST /api/runs`; answered 201 with {@linkcode RunInfo}. Unknown names are refused. */
export interface StartRun {
  readonly scenario: string;
  readonly mode: Mode;
  readonly via: Via;
  /** Random unless told; 0 to 2^32 - 1. */
  readonly seed?: number;
  /** Records every DMA for the trace artifact, which slows the run down; `off` unless told. */
  readonly trace?: "on" | "off";
}

// `POST /api/runs/ID/stop`, no body: answered 202 with RunInfo.

/** `/api/scenarios`. */
export interface ScenarioList {
  readonly scenarios: readonly ScenarioRow[];
  /** What is built: `modes` and `vias` of a scenario beyond these cannot be started. */
  readonly modes: readonly Mode[];
  readonly vias: readonly Via[];
}

/** One scenario of the catalogue. */
export interface ScenarioRow extends ScenarioInfo {
  /** Its last runs here, oldest first, at most 20: for a sparkline. */
  readonly history: readonly {
    readonly run: number;
    readonly state: RunState;
    readonly durationMs: number;
  }[];
}

// ------------------------------------------------------------------ errors

/**
 * Body of every answer of 400 and above (RFC 9457, `application/problem+json`). Codes: `bad-request`,
 * `unauthorized` (401: no token, or not the one), `forbidden` (403: Host or Origin), `not-found`,
 * `method-not-allowed`, `request-timeout` (408), `conflict` (409), `too-large` (413), `unsupported-media-type` (415), `busy` (503,
 * with `Retry-After`: too many streams, or the run did not answer in time), `internal`.
 */
export interface Problem {
  readonly type: "about:blank";
  /** HTTP status. */
  readonly status: number;
  /** Stable, kebab-case. */
  readonly code: string;
  /** One line for people. */
  readonly title: string;
  /** What was wrong, and what would be right; left out when the title says it. */
  readonly detail?: string;
  /** For a filter that cannot be read: index of the first character that is wrong. */
  readonly position?: number;
}

// ------------------------------------------------------------------- token

/**
 * Name of the query parameter of the printed link that carries the token. The page takes it to
 * sessionStorage under {@linkcode TOKEN_KEY}, takes it out of the address (`history.replaceState`),
 * and sends it as `Authorization: Bearer TOKEN` with every POST. Reading needs none.
 */
export const TOKEN_PARAMETER = "token";
/** Key in sessionStorage. */
export const TOKEN_KEY = "viaduct-token";
