/**
 * Makes one history out of the snapshots of many runs: totals go on from run to
 * run, and what is missing between two snapshots becomes a gap.
 * @module
 */

import type { EndpointMetrics, Heartbeat, Snapshot } from "../../api.ts";
import { History } from "./history.ts";

/** What is kept of each source at each instant. */
export const Column = {
  TRANSLATIONS: 0,
  HITS: 1,
  MISSES: 2,
  FAULTS: 3,
  READ_BYTES: 4,
  WRITE_BYTES: 5,
  P50: 6,
  P99: 7,
} as const;

const TOTALS = 6;
const COLUMNS = 8;

/** What is kept of each domain: totals too, in the first of the columns. */
export const DomainColumn = {
  MAPS: 0,
  UNMAPS: 1,
} as const;

/** The name of all endpoints together among the sources. */
export const ALL = "";

/** The name of a domain among the sources. */
export function domainSource(id: number): string {
  return `domain ${id}`;
}

/** With more sources than this, one snapshot in four is kept: memory stays below 150 MB at a thousand. */
const MANY = 128;
const THINNED_MS = 990;

const JUST_BEGUN_MS = 2500;

/** Writes snapshots into a {@linkcode History}. */
export class Recorder {
  readonly history: History = new History(COLUMNS);
  /** Snapshots that never came: dropped for this page, or lost on the way. */
  missed = 0;
  /** What runs before the one that goes on added up to, by source. */
  readonly #base = new Map<string, Float64Array>();
  /** Totals of the run that goes on, by source. */
  #last = new Map<string, Float64Array>();
  #run = "";
  #instance = "";
  #sequence = 0;
  #timeMs = 0;
  #gap = true;

  /** Takes a snapshot. @returns false for one that was here before */
  snapshot(snapshot: Snapshot): boolean {
    const { instance, sequence, timeMs, run } = snapshot;
    if (instance !== this.#instance) {
      if (this.#instance !== "") this.#gap = true;
      this.#instance = instance;
    } else {
      if (sequence <= this.#sequence) return false;
      const missing = sequence - this.#sequence - 1;
      if (missing > 0 && this.#sequence > 0) {
        this.missed += missing;
        this.#gap = true;
      }
    }
    this.#sequence = sequence;
    const sources = totalsOf(snapshot);
    const key = run === null ? "" : `${instance}.${run.id}`;
    if (key !== this.#run) {
      for (const source of this.#last.keys()) this.#keep(source);
      this.#last = new Map();
      this.#run = key;
      // The run began from nothing: what it has done by now happened since then. When that was is
      // not known to a page that comes in the middle.
      const startedMs = run?.startedMs ?? timeMs;
      const watched = !this.#gap || timeMs - startedMs < JUST_BEGUN_MS;
      if (watched && startedMs > this.#timeMs && startedMs < timeMs) {
        this.#begin(startedMs);
        this.#repeat(sources.keys());
      }
    }
    const fresh = [...sources.keys()].filter((source) => !this.#last.has(source));
    const thinned = sources.size > MANY && timeMs - this.#timeMs < THINNED_MS &&
      snapshot.state === "live" && !this.#gap && fresh.length === 0;
    for (const [source, totals] of sources) this.#remember(source, totals);
    if (thinned) return true;
    this.#begin(timeMs);
    this.#repeat(this.#last.keys());
    // What a source has done when it is first seen, it did since the sample before.
    for (const source of fresh) {
      const base = this.#base.get(source);
      for (let i = 0; i < TOTALS; i++) this.history.setBefore(source, i, base?.[i] ?? 0);
    }
    let slowest50 = NaN;
    let slowest99 = NaN;
    for (const { bdf, latency } of snapshot.endpoints) {
      if (latency === null || snapshot.state !== "live") continue;
      this.history.set(bdf, Column.P50, latency.p50Ns);
      this.history.set(bdf, Column.P99, latency.p99Ns);
      if (!(latency.p50Ns <= slowest50)) slowest50 = latency.p50Ns;
      if (!(latency.p99Ns <= slowest99)) slowest99 = latency.p99Ns;
    }
    this.history.set(ALL, Column.P50, slowest50);
    this.history.set(ALL, Column.P99, slowest99);
    return true;
  }

  /** Nothing has changed by then: the totals are what they were. */
  heartbeat(heartbeat: Heartbeat): void {
    if (heartbeat.instance !== this.#instance || heartbeat.timeMs <= this.#timeMs) return;
    this.#begin(heartbeat.timeMs);
    this.#repeat(this.#last.keys());
  }

  /** The stream broke: nothing is known from the last sample to the next. */
  broken(): void {
    this.#gap = true;
  }

  #begin(timeMs: number): void {
    this.#timeMs = Math.max(timeMs, this.#timeMs + 1);
    this.history.begin(this.#timeMs, this.#gap ? "gap" : "sample");
    this.#gap = false;
  }

  #remember(source: string, totals: readonly number[]): void {
    let last = this.#last.get(source);
    if (last === undefined) this.#last.set(source, last = new Float64Array(TOTALS));
    last.set(totals);
  }

  #keep(source: string): void {
    const last = this.#last.get(source)!;
    const base = this.#base.get(source);
    if (base === undefined) this.#base.set(source, last);
    else for (let i = 0; i < TOTALS; i++) base[i] = base[i]! + last[i]!;
  }

  #repeat(sources: Iterable<string>): void {
    for (const source of sources) {
      const base = this.#base.get(source);
      const last = this.#last.get(source);
      for (let i = 0; i < TOTALS; i++) {
        this.history.set(source, i, (base?.[i] ?? 0) + (last?.[i] ?? 0));
      }
    }
  }
}

/** Totals of everything that a snapshot tells of, by source, in the order of the columns. */
function totalsOf({ endpoints, domains, totals }: Snapshot): Map<string, readonly number[]> {
  const sources = new Map<string, readonly number[]>([[ALL, columnsOf(totals)]]);
  for (const { bdf, counters } of endpoints) sources.set(bdf, columnsOf(counters));
  for (const { id, maps, unmaps } of domains) sources.set(domainSource(id), [maps, unmaps]);
  return sources;
}

function columnsOf(counters: EndpointMetrics): readonly number[] {
  return [
    counters.translations,
    counters.iotlbHits,
    counters.iotlbMisses,
    counters.faults,
    counters.dmaReadBytes,
    counters.dmaWriteBytes,
  ];
}
