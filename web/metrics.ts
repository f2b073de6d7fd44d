/**
 * `/metrics`: our counters as Prometheus text, read when they are asked for.
 *
 * `access` of the translations is always `any`: an endpoint has one counter for reads and writes,
 * since a second would be another store in every access. The bytes tell the two apart. Queues get
 * their metrics with the first device that has a virtqueue.
 *
 * @module
 */

import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { MessageCounts, REQUEST_BOUNDS } from "./message_counts.ts";
import type { LiveSource, Picture } from "./source.ts";
import { UnseenFaults } from "./unseen_faults.ts";

/** Upper bounds of the latency histogram in seconds: powers of two, 2 ns to 2 s, as counted. */
const BOUNDS: readonly number[] = Array.from({ length: 31 }, (_, at) => 2 ** (at + 1) / 1e9);

/** Every name that is exported, with its labels; those of histograms without `le`. */
export const METRIC_LABELS: Readonly<Record<string, readonly string[]>> = {
  viaduct_iommu_translations_total: ["endpoint", "access"],
  viaduct_iommu_iotlb_hits_total: ["endpoint"],
  viaduct_iommu_iotlb_misses_total: ["endpoint"],
  viaduct_iommu_faults_total: ["endpoint", "reason"],
  viaduct_iommu_translation_seconds: [],
  viaduct_iommu_mapped_bytes: ["domain"],
  viaduct_iommu_mappings: ["domain"],
  viaduct_guest_memory_dirty_bytes: [],
  viaduct_dma_bytes_total: ["endpoint", "direction"],
  viaduct_vfio_user_messages_total: ["command", "direction", "errno"],
  viaduct_vfio_user_request_seconds: ["command"],
  viaduct_trace_dropped_total: [],
};

/** The text, and the type to send it as. */
export interface Metrics {
  readonly contentType: string;
  text(): Promise<string>;
}

/** Metrics of whatever `current` gives at the moment; a new run's counters begin at 0. */
export function makeMetrics(current: () => LiveSource | null): Metrics {
  const registry = new Registry();
  // One look for a text: its numbers are of one moment.
  let looked: { readonly source: LiveSource; readonly picture: Picture } | null = null;
  const look = (): void => {
    const source = current();
    looked = source === null ? null : { source, picture: source.picture() };
  };
  const source = (): LiveSource | null => looked?.source ?? null;
  const picture = (): Picture | null => looked?.picture ?? null;
  const counted = new WeakMap<LiveSource, MessageCounts>();
  const messages = (): MessageCounts | null => {
    const now = source();
    if (now === null) return null;
    const counts = counted.get(now) ?? new MessageCounts();
    counted.set(now, counts);
    counts.look(now);
    return counts;
  };
  const unseenFaults = new WeakMap<LiveSource, UnseenFaults>();
  const common = { registers: [registry] };
  const labels = (name: keyof typeof METRIC_LABELS): string[] => [...METRIC_LABELS[name]!];

  new Counter({
    ...common,
    name: "viaduct_iommu_translations_total",
    help: "Addresses that DMA asked for; access is any, reads and writes together",
    labelNames: labels("viaduct_iommu_translations_total"),
    collect() {
      this.reset();
      for (const { bdf, counters } of picture()?.endpoints ?? []) {
        this.inc({ endpoint: bdf, access: "any" }, counters.translations);
      }
    },
  });
  new Counter({
    ...common,
    name: "viaduct_iommu_iotlb_hits_total",
    help: "Translations answered without a walk of the mappings",
    labelNames: labels("viaduct_iommu_iotlb_hits_total"),
    collect() {
      this.reset();
      for (const { bdf, counters } of picture()?.endpoints ?? []) {
        this.inc({ endpoint: bdf }, counters.iotlbHits);
      }
    },
  });
  new Counter({
    ...common,
    name: "viaduct_iommu_iotlb_misses_total",
    help: "Translations that needed a walk of the mappings",
    labelNames: labels("viaduct_iommu_iotlb_misses_total"),
    collect() {
      this.reset();
      for (const { bdf, counters } of picture()?.endpoints ?? []) {
        this.inc({ endpoint: bdf }, counters.iotlbMisses);
      }
    },
  });
  new Counter({
    ...common,
    name: "viaduct_iommu_faults_total",
    help: "Accesses refused; reason is unseen where it went by too fast to be looked at",
    labelNames: labels("viaduct_iommu_faults_total"),
    collect() {
      this.reset();
      const now = source();
      if (now === null) return;
      const unseen = unseenFaults.get(now) ?? new UnseenFaults();
      unseenFaults.set(now, unseen);
      for (const { bdf, counters, faultsByReason } of picture()?.endpoints ?? []) {
        let seen = 0;
        for (const [reason, count] of Object.entries(faultsByReason)) {
          this.inc({ endpoint: bdf, reason }, count);
          seen += count;
        }
        const lost = unseen.of(bdf, counters.faults, seen, now.state === "ended" ? "over" : "live");
        if (lost > 0) this.inc({ endpoint: bdf, reason: "unseen" }, lost);
      }
    },
  });
  new CountedHistogram(registry, {
    name: "viaduct_iommu_translation_seconds",
    help: "How long a sample of the translations took",
    bounds: BOUNDS,
    series: () => [translationTimes(source()?.latencies ?? [])],
  });
  new Gauge({
    ...common,
    name: "viaduct_iommu_mapped_bytes",
    help: "Bytes of the domain's mappings",
    labelNames: labels("viaduct_iommu_mapped_bytes"),
    collect() {
      this.reset();
      for (const { id, mappedBytes } of picture()?.domains ?? []) {
        this.set({ domain: String(id) }, mappedBytes);
      }
    },
  });
  new Gauge({
    ...common,
    name: "viaduct_iommu_mappings",
    help: "Mappings of the domain",
    labelNames: labels("viaduct_iommu_mappings"),
    collect() {
      this.reset();
      for (const { id, mappings } of picture()?.domains ?? []) {
        this.set({ domain: String(id) }, mappings);
      }
    },
  });
  new Gauge({
    ...common,
    name: "viaduct_guest_memory_dirty_bytes",
    help: "Pages of guest memory written since somebody last took them; 0 while nobody tracks",
    collect() {
      const regions = source()?.regions ?? [];
      this.set(regions.reduce((sum, { dirtyBytes }) => sum + (dirtyBytes ?? 0), 0));
    },
  });
  new Counter({
    ...common,
    name: "viaduct_dma_bytes_total",
    help: "Bytes that devices read from guest memory, and wrote to it",
    labelNames: labels("viaduct_dma_bytes_total"),
    collect() {
      this.reset();
      for (const { bdf, counters } of picture()?.endpoints ?? []) {
        this.inc({ endpoint: bdf, direction: "read" }, counters.dmaReadBytes);
        this.inc({ endpoint: bdf, direction: "write" }, counters.dmaWriteBytes);
      }
    },
  });
  new Counter({
    ...common,
    name: "viaduct_vfio_user_messages_total",
    help: "Messages of vfio-user; errno is empty for commands, and command is unseen " +
      "for those that went by too fast to be looked at",
    labelNames: labels("viaduct_vfio_user_messages_total"),
    collect() {
      this.reset();
      for (const { kind, count } of messages()?.messages ?? []) this.inc({ ...kind }, count);
    },
  });
  new CountedHistogram(registry, {
    name: "viaduct_vfio_user_request_seconds",
    help: "From a command of vfio-user to its reply",
    bounds: REQUEST_BOUNDS,
    series: () =>
      (messages()?.requests ?? []).map(({ command, ...times }) => ({
        labels: { command },
        ...times,
      })),
  });
  new Counter({
    ...common,
    name: "viaduct_trace_dropped_total",
    help: "Events of the timeline that are no longer kept",
    collect() {
      this.reset();
      const now = source();
      if (now === null) return;
      // In this order: a source looks for events as it gives those that are kept.
      const kept = now.timeline(0, Infinity).length;
      this.inc(now.timelineEnd - kept);
    },
  });
  return {
    contentType: registry.contentType,
    text: () => {
      look();
      return registry.metrics();
    },
  };
}

/** Latencies of all endpoints together. */
function translationTimes(latencies: LiveSource["latencies"]): HistogramSeries {
  const counts = new Array<number>(BOUNDS.length).fill(0);
  let count = 0, sumNs = 0;
  for (const latency of latencies) {
    sumNs += latency.sumNs;
    for (const [belowNs, inside] of latency.buckets) {
      count += inside;
      const at = BOUNDS.findIndex((bound) => belowNs / 1e9 <= bound);
      if (at >= 0) counts[at]! += inside;
    }
  }
  return { labels: {}, counts, count, sumSeconds: sumNs / 1e9 };
}

/** One set of buckets. */
interface HistogramSeries {
  readonly labels: Readonly<Record<string, string>>;
  /** One a bound, each counted in one of them alone. */
  readonly counts: readonly number[];
  /** All, those beyond the last bound too. */
  readonly count: number;
  readonly sumSeconds: number;
}

interface HistogramText {
  readonly name: string;
  readonly help: string;
  readonly type: "histogram";
  readonly values: readonly {
    readonly metricName: string;
    readonly labels: Readonly<Record<string, string | number>>;
    readonly value: number;
  }[];
}

/** A histogram whose buckets were counted elsewhere. */
class CountedHistogram extends Histogram<string> {
  readonly #text: Omit<HistogramText, "values">;
  readonly #bounds: readonly number[];
  readonly #series: () => readonly HistogramSeries[];

  constructor(registry: Registry, options: {
    readonly name: string;
    readonly help: string;
    /** Upper bounds in seconds, inclusive, ascending. */
    readonly bounds: readonly number[];
    readonly series: () => readonly HistogramSeries[];
  }) {
    const { name, help, bounds, series } = options;
    super({ name, help, buckets: [...bounds], registers: [registry] });
    this.#text = { name, help, type: "histogram" };
    this.#bounds = bounds;
    this.#series = series;
  }

  /** What the registry asks a metric for when it writes text. */
  // deno-lint-ignore require-await -- the registry expects a promise
  async getForPromString(): Promise<HistogramText> {
    return { ...this.#text, values: this.#series().flatMap((series) => this.#valuesOf(series)) };
  }

  #valuesOf({ labels, counts, count, sumSeconds }: HistogramSeries): HistogramText["values"] {
    const { name } = this.#text;
    let upTo = 0;
    return [
      ...this.#bounds.map((bound, at) => ({
        labels: { le: bound, ...labels },
        value: upTo += counts[at] ?? 0,
        metricName: `${name}_bucket`,
      })),
      { labels: { le: "+Inf", ...labels }, value: count, metricName: `${name}_bucket` },
      { labels, value: sumSeconds, metricName: `${name}_sum` },
      { labels, value: count, metricName: `${name}_count` },
    ];
  }
}
