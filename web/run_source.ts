/**
 * A run of a scenario as a {@linkcode LiveSource}: gathers what its process tells, and keeps what it
 * left. Everything kept has a bound, whatever the process says.
 * @module
 */

import { formatRequesterId } from "../devices/pci/bdf.ts";
import type {
  Answer,
  Around,
  Ask,
  DeviceDetail,
  DomainReport,
  EndpointReport,
  EventTuple,
  MappingTuple,
  Observed,
  RegionReport,
} from "../harness/observe/observation.ts";
import type { MessageEvent } from "../harness/run/run_events.ts";
import { METRIC_NAMES } from "../harness/run/run_report.ts";
import {
  type DomainState,
  type EndpointMetrics,
  type EndpointState,
  MAX_DOMAINS,
  MAX_ENDPOINTS,
  type MessageRow,
} from "./api.ts";
import { FaultStore } from "./fault_store.ts";
import { LeftMappings } from "./left_mappings.ts";
import { MappingChanges } from "./mapping_changes.ts";
import { MessageStore } from "./message_store.ts";
import { BusyError, type LatencyBuckets, type LiveSource, type Picture } from "./source.ts";

/** Events of the timeline that are kept. */
const EVENTS_KEPT = 20_000;
/** Milliseconds of silence after which a run counts as paused. */
const SILENCE_MS = 1000;
/** Mappings, domains that have any, and details that are taken of what a run left. */
const MAX_LEFT_MAPPINGS = 400_000;
const MAX_LEFT_DOMAINS = 65_536;
const MAX_LEFT_DETAILS = 1024;

function metricsOf(values: readonly number[]): EndpointMetrics {
  return Object.fromEntries(METRIC_NAMES.map((name, at) => [name, values[at] ?? 0])) as {
    [Name in keyof EndpointMetrics]: number;
  };
}

/** How a source asks its run; `observer.ts` has it. */
export type AskRun = (ask: Ask) => Promise<Answer | null>;

/** See the module. */
export class RunSource implements LiveSource {
  readonly faults: FaultStore = new FaultStore();
  readonly #messages: MessageStore = new MessageStore();
  readonly #ask: AskRun;
  readonly #nowMs: () => number;
  #heardMs: number;
  #ended = false;
  #counters = new Map<number, readonly number[]>();
  #reports = new Map<number, EndpointReport>();
  #domains: readonly DomainReport[] = [];
  #sizes: readonly (readonly [number, number, number])[] = [];
  #domainsLeftOut = 0;
  #events: EventTuple[] = [];
  #recorded = 0;
  readonly #changes = new MappingChanges();
  #scenarioNs = 0;
  #totals: readonly number[] = [];
  #regions: readonly RegionReport[] = [];
  #hasLeft = false;
  readonly #left = new Map<number, LeftMappings>();
  #leftCount = 0;
  readonly #details = new Map<number, DeviceDetail>();

  /** `nowMs` is any clock of the wall. */
  constructor(ask: AskRun, nowMs: () => number = () => performance.now()) {
    this.#ask = ask;
    this.#nowMs = nowMs;
    this.#heardMs = nowMs();
  }

  get state(): "live" | "paused" | "ended" {
    if (this.#ended) return "ended";
    return this.#nowMs() - this.#heardMs > SILENCE_MS ? "paused" : "live";
  }

  /** Takes what the run tells. */
  take(message: Observed): void {
    if (this.#ended) return;
    this.#heardMs = this.#nowMs();
    switch (message.kind) {
      case "sample":
        this.#counters = new Map(message.endpoints.map(([id, ...values]) => [id!, values]));
        this.#sizes = message.domains;
        this.#domainsLeftOut = message.domainsLeftOut;
        for (const event of message.events) {
          // Numbers go up, whatever the process says.
          if (event[0]! < this.#recorded) continue;
          this.#recorded = event[0]! + 1;
          this.#events.push(event);
          this.#changes.count(event);
        }
        if (this.#events.length >= 2 * EVENTS_KEPT) this.#events = this.#events.slice(-EVENTS_KEPT);
        this.#recorded = Math.max(this.#recorded, message.recorded);
        break;
      case "report":
        this.#scenarioNs = message.timeNs;
        this.#reports = new Map(message.endpoints.map((report) => {
          // A report that brings faults alone takes nothing away.
          const heat = report.heat ?? this.#reports.get(report.id)?.heat ?? null;
          return [report.id, { ...report, heat }];
        }));
        this.#domains = message.domains;
        this.#regions = message.regions;
        this.#totals = message.totals;
        this.faults.add(message.faults);
        this.faults.lost = message.faultsLost;
        break;
      case "left-mappings": {
        const { domain, mappings } = message;
        if (mappings.length === 0) break;
        if (this.#leftCount + mappings.length > MAX_LEFT_MAPPINGS) break;
        let left = this.#left.get(domain);
        if (left === undefined) {
          if (this.#left.size >= MAX_LEFT_DOMAINS) break;
          this.#left.set(domain, left = new LeftMappings());
        }
        this.#leftCount += mappings.length;
        left.add(mappings);
        break;
      }
      case "left-detail":
        if (this.#details.size < MAX_LEFT_DETAILS) {
          this.#details.set(message.detail.endpoint, message.detail);
        }
        break;
      case "left":
        this.#hasLeft = true;
        break;
    }
  }

  /** Takes messages of its devices' protocol. */
  takeMessages(messages: readonly MessageEvent[]): void {
    this.#messages.add(messages);
  }

  get messages(): readonly MessageRow[] {
    return this.#messages.rows;
  }

  get messagesDropped(): number {
    return this.#messages.dropped;
  }

  /** The run is over: nothing more comes. */
  end(): void {
    this.#ended = true;
  }

  get scenarioNs(): number {
    return this.#scenarioNs;
  }

  picture(): Picture {
    const ids = [...new Set([...this.#counters.keys(), ...this.#reports.keys()])]
      .sort((a, b) => a - b);
    const sum = new Array<number>(METRIC_NAMES.length).fill(0);
    for (const values of this.#counters.values()) {
      for (let at = 0; at < sum.length; at++) sum[at]! += values[at] ?? 0;
    }
    // Also of what is no longer there.
    const totals = sum.map((value, at) => Math.max(value, this.#totals[at] ?? 0));
    return {
      scenarioNs: this.#scenarioNs,
      endpoints: ids.slice(0, MAX_ENDPOINTS).map((id) => this.#endpoint(id)),
      endpointsLeftOut: Math.max(0, ids.length - MAX_ENDPOINTS),
      domains: this.#domainStates(),
      domainsLeftOut: this.#domainsLeftOut,
      totals: metricsOf(totals),
    };
  }

  get timelineEnd(): number {
    return this.#recorded;
  }

  timeline(from: number, limit: number): readonly EventTuple[] {
    let at = this.#events.length;
    while (at > 0 && this.#events[at - 1]![0]! >= from && this.#events.length - at < limit) at--;
    return this.#events.slice(at);
  }

  get latencies(): readonly LatencyBuckets[] {
    return [...this.#reports.values()].map(({ id, latencyBuckets, latencySumNs }) => ({
      endpoint: id,
      buckets: latencyBuckets,
      sumNs: latencySumNs,
    }));
  }

  get regions(): readonly RegionReport[] {
    return this.#regions;
  }

  async detail(endpoint: number): Promise<DeviceDetail | null> {
    const kept = this.#details.get(endpoint);
    if (kept !== undefined) return kept;
    if (this.#ended || !this.#isPluggedIn(endpoint)) return null;
    const answer = await this.#ask({ kind: "detail", endpoint });
    if (answer?.kind === "detail") return answer.detail;
    // It may have ended while it was asked.
    const left = this.#details.get(endpoint);
    if (left !== undefined || this.#ended) return left ?? null;
    throw new BusyError("The run did not answer in time");
  }

  async mappings(domain: number, from: number, limit: number): Promise<readonly MappingTuple[]> {
    if (!this.#ended && !this.#hasLeft) {
      const answer = await this.#ask({ kind: "mappings", domain, from, limit });
      if (answer?.kind === "mappings") return answer.mappings;
      if (!this.#ended && !this.#hasLeft) {
        const isGone = this.#domainsLeftOut === 0 && this.#domains.every(({ id }) => id !== domain);
        if (isGone) return [];
        throw new BusyError("The run did not answer in time");
      }
    }
    return this.#left.get(domain)?.page(from, limit) ?? [];
  }

  mappingsLeftOut(domain: number): number {
    if (!this.#ended) return 0;
    const size = this.#sizes.find(([id]) => id === domain)?.[1] ?? 0;
    return Math.max(0, size - (this.#left.get(domain)?.size ?? 0));
  }

  async around(domain: number, iova: number): Promise<Around> {
    if (!this.#ended && !this.#hasLeft) {
      const answer = await this.#ask({ kind: "around", domain, iova });
      if (answer?.kind === "around") return answer.around;
      if (!this.#ended && !this.#hasLeft) throw new BusyError("The run did not answer in time");
    }
    return this.#left.get(domain)?.around(iova) ?? { over: null, below: null, above: null };
  }

  #isPluggedIn(endpoint: number): boolean {
    const report = this.#reports.get(endpoint);
    return report !== undefined && report.device !== "unknown";
  }

  #endpoint(id: number): EndpointState {
    const report = this.#reports.get(id);
    return {
      id,
      bdf: formatRequesterId(id),
      device: report?.device ?? "unknown",
      domain: report?.domain ?? null,
      bypass: report?.bypass ?? false,
      counters: metricsOf(this.#counters.get(id) ?? []),
      latency: report?.latency ?? null,
      faultsByReason: this.faults.reasonsOf(id),
      heat: report?.heat ?? null,
    };
  }

  #domainStates(): DomainState[] {
    const sizes = new Map(this.#sizes.map(([id, ...rest]) => [id, rest]));
    const known = new Map(this.#domains.map((domain) => [domain.id, domain]));
    // A domain shows in shared memory before the scenario's thread has come by to describe it.
    const ids = [...new Set([...sizes.keys(), ...known.keys()])].sort((a, b) => a - b);
    return ids.slice(0, MAX_DOMAINS).map((id) => {
      const [mappings = 0, mappedBytes = 0] = sizes.get(id) ?? [];
      const domain = known.get(id);
      return {
        id,
        kind: domain?.kind ?? "mapped",
        mappings,
        mappedBytes,
        ...this.#changes.of(id),
        members: (domain?.members ?? []).map(([endpoint, pasid]) => ({
          endpoint,
          pasid: pasid < 0 ? null : pasid,
        })),
        membersLeftOut: domain?.membersLeftOut ?? 0,
      };
    });
  }
}
