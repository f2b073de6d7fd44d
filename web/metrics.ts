/**
 * `/metrics`: our counters as Prometheus text, read when they are asked for.
 * @module
 */

import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { LiveSource, Picture } from "./source.ts";

/** Upper bounds of the latency histogram in seconds: powers of two, 1 ns to 1 s, as counted. */
const BOUNDS: readonly number[] = Array.from({ length: 31 }, (_, at) => 2 ** (at + 1) / 1e9);

/** Every name that is exported, with its labels. */
export const METRIC_LABELS: Readonly<Record<string, readonly string[]>> = {
  viaduct_iommu_translations_total: ["endpoint", "access"],
  viaduct_iommu_iotlb_hits_total: ["endpoint"],
  viaduct_iommu_iotlb_misses_total: ["endpoint"],
  viaduct_iommu_faults_total: ["endpoint", "reason"],
  viaduct_iommu_translation_seconds: [],
  viaduct_iommu_mapped_bytes: ["domain"],
  viaduct_iommu_mappings: ["domain"],
  viaduct_dma_bytes_total: ["endpoint", "direction"],
  viaduct_vfio_user_messages_total: ["command", "direction", "errno"],
  viaduct_trace_dropped_total: [],
};

/** The text, and the type to send it as. */
export interface Metrics {
  readonly contentType: string;
  text(): Promise<string>;
}

/** Metrics of whatever `source` gives at the moment; a new run's counters begin at 0. */
export function makeMetrics(source: () => LiveSource | null): Metrics {
  const registry = new Registry();
  const picture = (): Picture | null => source()?.picture() ?? null;
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
      for (const { bdf, counters, faultsByReason } of picture()?.endpoints ?? []) {
        let unseen = counters.faults;
        for (const [reason, count] of Object.entries(faultsByReason)) {
          this.inc({ endpoint: bdf, reason }, count);
          unseen -= count;
        }
        if (unseen > 0) this.inc({ endpoint: bdf, reason: "unseen" }, unseen);
      }
    },
  });
  new SampledHistogram(registry, source);
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
    help: "Messages of vfio-user that were kept; errno is empty for commands",
    labelNames: labels("viaduct_vfio_user_messages_total"),
    collect() {
      this.reset();
      for (const { command, direction, errno } of source()?.messages ?? []) {
        const way = direction === ">" ? "to-server" : "to-client";
        this.inc({ command, direction: way, errno: errno === null ? "" : String(errno) });
      }
    },
  });
  new Counter({
    ...common,
    name: "viaduct_trace_dropped_total",
    help: "Events of the timeline that are no longer kept",
    collect() {
      this.reset();
      const now = source();
      if (now === null) return;
      this.inc(now.timelineEnd - now.timeline(0, Infinity).length);
    },
  });
  return { contentType: registry.contentType, text: () => registry.metrics() };
}

const NAME = "viaduct_iommu_translation_seconds";
const HELP = "How long a sample of the translations took";

interface HistogramText {
  readonly name: string;
  readonly help: string;
  readonly type: "histogram";
  readonly values: readonly {
    readonly metricName: string;
    readonly labels: { readonly le?: number | "+Inf" };
    readonly value: number;
  }[];
}

/** A histogram whose buckets were counted elsewhere. */
class SampledHistogram extends Histogram<"le"> {
  readonly #source: () => LiveSource | null;

  constructor(registry: Registry, source: () => LiveSource | null) {
    super({
      name: NAME,
      help: HELP,
      buckets: [...BOUNDS],
      registers: [registry],
    });
    this.#source = source;
  }

  /** What the registry asks a metric for when it writes text. */
  // deno-lint-ignore require-await -- the registry expects a promise
  async getForPromString(): Promise<HistogramText> {
    const counts = new Array<number>(BOUNDS.length).fill(0);
    let count = 0, sumNs = 0;
    for (const latency of this.#source()?.latencies ?? []) {
      sumNs += latency.sumNs;
      for (const [belowNs, inside] of latency.buckets) {
        count += inside;
        const at = BOUNDS.findIndex((bound) => belowNs / 1e9 <= bound);
        if (at >= 0) counts[at]! += inside;
      }
    }
    let upTo = 0;
    return {
      name: NAME,
      help: HELP,
      type: "histogram",
      values: [
        ...BOUNDS.map((bound, at) => ({
          labels: { le: bound },
          value: upTo += counts[at]!,
          metricName: `${NAME}_bucket`,
        })),
        { labels: { le: "+Inf" }, value: count, metricName: `${NAME}_bucket` },
        { labels: {}, value: sumNs / 1e9, metricName: `${NAME}_sum` },
        { labels: {}, value: count, metricName: `${NAME}_count` },
      ],
    };
  }
}
