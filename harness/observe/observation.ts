/**
 * What a watched run tells whoever watches it, and what may be asked of it: JSON lines over a
 * UNIX socket of its own, so that nothing a scenario prints or floods can meet them. Types alone;
 * the watcher checks what comes with `observation_schema.ts`.
 * @module
 */

import type { Answerer } from "../../core/iommu/translation_table.ts";

/** Part of a run's request when it is to be watched. */
export interface ObserveRequest {
  /** Socket that the watcher listens on. */
  readonly path: string;
  /** Names the run to the watcher, and nobody else knows it. */
  readonly key: string;
}

/**
 * IOVA, GPA, bytes, access, scenario time in ns when it was made (-1 unknown), and how many sampled
 * accesses of devices went through it (-1 not counted; see `mapping_notes.ts`). Where a client of a
 * device server made it, GPA is an address of the server's own: see `server_watch.ts`.
 */
export type MappingTuple = readonly [number, number, number, number, number, number];
/** Numbers of a {@linkcode MappingTuple}. */
export const MAPPING_FIELDS = 6;

/** The mappings round an address. */
export interface Around {
  readonly over: MappingTuple | null;
  readonly below: MappingTuple | null;
  readonly above: MappingTuple | null;
  /**
   * Who would answer an access at the address now; left out where nobody would, and where devices
   * translate in another process, with caches of their own.
   */
  readonly answerer?: Answerer;
}

/** Kinds of timeline events; an event carries the index. */
export const TIMELINE_KINDS = [
  "map",
  "unmap",
  "invalidate",
  "attach",
  "detach",
  "page-request",
  "fault",
] as const;
/** The index of each kind. */
export const TIMELINE = Object.fromEntries(TIMELINE_KINDS.map((name, at) => [name, at])) as {
  readonly [Name in typeof TIMELINE_KINDS[number]]: number;
};

/**
 * sequence, timeNs, kind (index of {@linkcode TIMELINE_KINDS}), endpoint or -1, domain or -1, PASID
 * or -1, IOVA, bytes, result (GPA of a map, bytes of an unmap, reason of a fault), access.
 */
export type EventTuple = readonly number[];
/** Numbers of an {@linkcode EventTuple}. */
export const EVENT_FIELDS = 10;

/**
 * index, timeNs, endpoint, PASID or -1, IOVA, access, reason, domain or -1, side, then the nearest
 * mapping as a {@linkcode MappingTuple}. Side: 0 none near, 1 over, 2 below, 3 above.
 */
export type FaultTuple = readonly number[];
/** Numbers of a {@linkcode FaultTuple}. */
export const FAULT_FIELDS: number = 9 + MAPPING_FIELDS;

/** What the scenario's thread says about an endpoint. */
export interface EndpointReport {
  readonly id: number;
  readonly device: string;
  readonly domain: number | null;
  readonly bypass: boolean;
  /** Translations timed, and their percentiles in ns; null before the first. */
  readonly latency:
    | { readonly samples: number; readonly p50Ns: number; readonly p99Ns: number }
    | null;
  /** Upper bound in ns and count of each latency bucket, and the sum of all in ns. */
  readonly latencyBuckets: readonly (readonly [number, number])[];
  readonly latencySumNs: number;
  readonly heat: {
    readonly start: number;
    readonly width: number;
    readonly buckets: readonly number[];
  } | null;
}

/** What the scenario's thread says about a domain. */
export interface DomainReport {
  readonly id: number;
  readonly kind: "mapped" | "bypass";
  /** Endpoint and PASID or -1. */
  readonly members: readonly (readonly [number, number])[];
  readonly membersLeftOut: number;
}

/** A region of guest memory. */
export interface RegionReport {
  readonly name: string;
  readonly start: number;
  readonly length: number;
  readonly readOnly: boolean;
  /** Of the pages that are known to be written and were not taken; null while nobody tracks them. */
  readonly dirtyBytes: number | null;
}

/** One base address register. Null is what the driver's side does not know. */
export interface BarReport {
  readonly index: number;
  readonly kind: "mmio32" | "mmio64" | "io";
  /** Where it decodes; null while unassigned as well. */
  readonly address: number | null;
  /** Bytes. */
  readonly size: number | null;
  readonly prefetchable: boolean;
}

/** The MSI-X capability and its table. */
export interface MsixReport {
  readonly enabled: boolean;
  readonly functionMasked: boolean;
  /** Vectors of the table; `rows` has the first 64 at most. */
  readonly vectors: number;
  readonly bar: number;
  readonly rows: readonly {
    readonly vector: number;
    readonly address: number;
    readonly data: number;
    readonly masked: boolean;
    readonly pending: boolean;
  }[];
}

/** One function's registers, read through its driver's side. */
export interface DeviceDetail {
  readonly endpoint: number;
  /** The first 256 bytes of configuration space, in hex. */
  readonly config: string;
  readonly bars: readonly BarReport[];
  /** Null without the MSI-X capability. */
  readonly msix: MsixReport | null;
  readonly inspect: { readonly [name: string]: unknown } | null;
}

/** What the thread of the devices says when it comes by. `Faults` is how it carries {@linkcode FaultTuple}s. */
export interface MachineReport<Faults> {
  readonly timeNs: number;
  readonly endpoints: readonly EndpointReport[];
  readonly domains: readonly DomainReport[];
  readonly regions: readonly RegionReport[];
  readonly faults: Faults;
  /** Faults that were overwritten before they were seen, in all. */
  readonly faultsLost: number;
  /** The counters of all endpoints together, as the machine reports them, in the order of `Counter`. */
  readonly totals: readonly number[];
}

/** One of the lines of a watched run. */
export type Observed =
  /** The first. */
  | { readonly kind: "hello"; readonly key: string }
  /** From shared memory, four a second, whatever the scenario's thread is doing. */
  | {
    readonly kind: "sample";
    /** ID, then the counters in the order of `Counter`. */
    readonly endpoints: readonly (readonly number[])[];
    /** ID, mappings, mapped bytes. */
    readonly domains: readonly (readonly [number, number, number])[];
    readonly domainsLeftOut: number;
    readonly events: readonly EventTuple[];
    /** Events of the timeline so far, those that were overwritten too. */
    readonly recorded: number;
  }
  /** From the scenario's thread, when it comes by. */
  | ({ readonly kind: "report" } & MachineReport<readonly FaultTuple[]>)
  | { readonly kind: "answer"; readonly query: number; readonly answer: Answer | null }
  /** After the run: what it left. Several lines a domain. */
  | {
    readonly kind: "left-mappings";
    readonly domain: number;
    readonly mappings: readonly MappingTuple[];
  }
  | { readonly kind: "left-detail"; readonly detail: DeviceDetail }
  /** The last line. */
  | { readonly kind: "left" };

/** What may be asked. */
export type Ask =
  | {
    readonly kind: "mappings";
    readonly domain: number;
    readonly from: number;
    readonly limit: number;
  }
  | { readonly kind: "around"; readonly domain: number; readonly iova: number }
  | { readonly kind: "detail"; readonly endpoint: number };

/** What comes back. */
export type Answer =
  | { readonly kind: "mappings"; readonly mappings: readonly MappingTuple[] }
  | { readonly kind: "around"; readonly around: Around }
  | { readonly kind: "detail"; readonly detail: DeviceDetail };

/** Watcher to run. */
export interface Question {
  readonly query: number;
  readonly ask: Ask;
}
