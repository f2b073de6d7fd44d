/**
 * The core's benchmarks: translation, copies, mappings, and what they cost in memory.
 * @module
 */

import { atLeast, atMost } from "./bar.ts";
import type {
  BenchContext,
  Benchmark,
  BenchmarkGroup,
  Comparison,
  Measurement,
  Outcome,
  PeerFigure,
} from "./benchmark.ts";
import { askChild } from "./core/child.ts";
import {
  AllocationReport,
  type AllocationRequest,
  FootprintReport,
  type FootprintRequest,
} from "./core/child_messages.ts";
import { MANY_FRAMES } from "./core/workload.ts";
import { wideMappingCost } from "./core/wide_mapping.ts";
import { interleave, type Samples } from "./interleave.ts";
import type { LaneSpec } from "./lane.ts";
import { best, bestRatio } from "./statistics.ts";
import type { LaneParameters } from "./subject.ts";

const GROUP = "core";
const WORKER = new URL("./core/worker.ts", import.meta.url);

/** Of the `Map<bigint>` baseline's time. */
const TRANSLATION_BAR = atMost(0.25);
/** Plain `set()`'s time over ours: its share of the speed of memory. */
const COPY_BAR = atLeast(0.9);
const MAPPING_BAR = atMost(96);
/** Bytes per access that count as none: less than one object in a thousand accesses, the sampled clock among them. */
const NO_ALLOCATION_BAR = atMost(0.016);

/** Rounds of `conditionCore()` that leave nothing to be compiled. */
const CONDITIONING = 30_000;

const KIB = 1024;
const MIB = 1024 * KIB;

/**
 * Frames that 8-byte accesses are spread over: 256 KiB, which stay in a cache. The
 * latency of memory is the same for every table, and would hide what differs.
 */
const CACHED_FRAMES = 64;
const PAGES_64K = 65536;
const PAGES_1M = 2 ** 20;

/** The way that `allocation_child.ts` measures to show that it would notice: it is no code of ours. */
const NAIVE_WAY = "map-bigint";

function lane(context: BenchContext, name: string, parameters: LaneParameters): LaneSpec {
  const { seed } = context;
  return {
    worker: WORKER,
    lane: name,
    parameters: { seed, conditioning: conditioningOf(context), ...parameters },
  };
}

/** Rounds of `conditionCore()`. */
function conditioningOf({ reduction }: BenchContext): number {
  return reduction === 1 ? CONDITIONING : 1000;
}

function measurements(samples: Samples, bytesMoved?: number): Measurement[] {
  return samples.names.map((name) => ({
    name,
    samples: samples.of(name),
    ...(bytesMoved === undefined ? {} : { bytesMoved }),
  }));
}

/** `ours / theirs`. */
function ratio(
  samples: Samples,
  ours: string,
  theirs: string,
  bar: Comparison["bar"] = null,
): Comparison {
  return {
    name: `${ours} / ${theirs}`,
    value: bestRatio(samples.of(ours), samples.of(theirs)),
    bar,
  };
}

function translation(
  size: string,
  pages: number,
  options: { readonly hot?: number; readonly bar?: Comparison["bar"]; readonly slow?: true } = {},
): Benchmark {
  const hot = options.hot ?? pages;
  return {
    name: options.hot === undefined ? `translate-${size}` : `translate-${size}-hot-${hot}`,
    group: GROUP,
    unit: "ns",
    about: `random 8 bytes in ${hot} of ${pages} scattered 4 KiB pages`,
    ...(options.slow === undefined ? {} : { slow: options.slow }),
    async run(context) {
      const parameters = { pages, hot, frames: CACHED_FRAMES };
      const names = ["bare", "map-bigint", "map-number", "read-u64", "map-bigint-read"];
      const samples = await interleave(
        context,
        names.map((name) => lane(context, name, parameters)),
        { results: "same" },
      );
      return {
        measurements: measurements(samples),
        comparisons: [
          ratio(samples, "bare", "map-bigint", options.bar),
          ratio(samples, "read-u64", "map-bigint-read"),
        ],
      };
    },
  };
}

/** As {@linkcode translation}, with loads that miss every cache: what a first touch of guest memory takes. */
const coldLoads: Benchmark = {
  name: "load-64k-of-256m",
  group: GROUP,
  unit: "ns",
  slow: true,
  about: "random 8 bytes in 256 MiB, with the latency of memory",
  async run(context) {
    const parameters = { pages: PAGES_64K, hot: PAGES_64K, frames: MANY_FRAMES };
    const samples = await interleave(
      context,
      ["read-u64", "map-bigint-read"].map((name) => lane(context, name, parameters)),
      { results: "same" },
    );
    return {
      measurements: measurements(samples),
      comparisons: [ratio(samples, "read-u64", "map-bigint-read")],
    };
  },
};

function copies(
  direction: "read" | "write",
  size: string,
  bytes: number,
  bar: Comparison["bar"] = null,
): Benchmark {
  return {
    name: `${direction}-${size}`,
    group: GROUP,
    unit: "ns",
    about: `${direction}s of ${size} through the IOMMU: one mapping, and scattered pages`,
    async run(context) {
      const samples = await interleave(
        context,
        [lane(context, direction, { size: bytes })],
        { results: "own" },
      );
      return {
        measurements: measurements(samples, bytes),
        comparisons: [
          ratio(samples, "set", "contiguous", bar),
          ratio(samples, "set", "scattered"),
        ],
      };
    },
  };
}

function fragments(name: string, about: string, bytes: number): Benchmark {
  return {
    name,
    group: GROUP,
    unit: "ns",
    about,
    slow: true,
    async run(context) {
      const samples = await interleave(
        context,
        [lane(context, "fragments", { pages: PAGES_64K, size: bytes })],
        { results: "own" },
      );
      return {
        // Slices move nothing.
        measurements: measurements(samples).map((measurement) =>
          measurement.name === "slices" ? measurement : { ...measurement, bytesMoved: bytes }
        ),
        comparisons: [ratio(samples, "set", "read")],
      };
    },
  };
}

function mapUnmap(size: string, live: number): Benchmark {
  return {
    name: `map-unmap-${size}`,
    group: GROUP,
    unit: "ns",
    about: `pairs of map and unmap of one page, beside ${live} mappings that stay`,
    async run(context) {
      const parameters = { live };
      const samples = await interleave(
        context,
        ["iommu", "bigint", "number"].map((name) => lane(context, `map-unmap-${name}`, parameters)),
        { results: "same" },
      );
      return {
        measurements: measurements(samples),
        comparisons: [ratio(samples, "iommu", "map-bigint")],
      };
    },
  };
}

function footprint(
  size: string,
  pages: number,
  processes: number,
  slow?: true,
): Benchmark {
  return {
    name: `footprint-${size}`,
    group: GROUP,
    unit: "bytes",
    about: `bytes a mapping, of ${pages} scattered ones of 4 KiB`,
    ...(slow === undefined ? {} : { slow }),
    async run(context) {
      const results: Measurement[] = [];
      const comparisons: Comparison[] = [];
      const module = new URL("./core/footprint_child.ts", import.meta.url);
      for (const table of ["ascending", "shuffled", "map-bigint", "map-number"] as const) {
        const request: FootprintRequest = { seed: context.seed, pages, table };
        const reports: FootprintReport[] = [];
        const count = context.reduction === 1 ? processes : 1;
        for (let process = 0; process < count; process++) {
          context.progress(`${table}, process ${process + 1} of ${count}`);
          reports.push(await askChild(module, request, FootprintReport));
        }
        const add = (figure: string, name: keyof FootprintReport): number => {
          const samples = reports.map((report) => report[name] ?? NaN);
          results.push({ name: `${table}-${figure}`, samples });
          return best(samples);
        };
        const heap = add("heap", "heap");
        add("rss", "rss");
        if (reports[0]!.own === null) continue;
        add("table", "own");
        const worst = add("table-worst", "worst");
        const bar = (name: string, value: number): void => {
          comparisons.push({ name: `${table}, ${name}`, value, bar: MAPPING_BAR });
        };
        bar("heap bytes a mapping", heap);
        bar("table bytes at its worst", worst);
      }
      return { measurements: results, comparisons };
    },
  };
}

const wideMapping: Benchmark = {
  name: "wide-mapping",
  group: GROUP,
  unit: "entries",
  about: "what a 1 GiB mapping costs, after random accesses all over it",
  run(context) {
    const cost = wideMappingCost(context.seed);
    return Promise.resolve({
      measurements: [
        { name: "entries", samples: [cost.entries] },
        { name: "growth", unit: "bytes", samples: [cost.growth] },
      ],
      comparisons: [
        { name: "entries of a 1 GiB mapping", value: cost.entries, bar: atMost(1) },
        { name: "bytes it adds to the table", value: cost.growth, bar: MAPPING_BAR },
      ],
    });
  },
};

function allocation(addresses: "small" | "large"): Benchmark {
  return {
    name: `allocation-${addresses}`,
    group: GROUP,
    unit: "bytes",
    about: `bytes allocated an access, over 10 M at ${addresses} addresses`,
    // Before everything is compiled there is nothing to be learnt.
    slow: true,
    async run(context: BenchContext): Promise<Outcome> {
      context.progress("counts");
      const module = new URL("./core/allocation_child.ts", import.meta.url);
      const accesses = 10_000_000 / context.reduction;
      const request: AllocationRequest = {
        seed: context.seed,
        accesses,
        warmUpCalls: 100,
        conditioning: CONDITIONING,
        addresses,
      };
      const { ways } = await askChild(module, request, AllocationReport);
      const lean = ways.filter(({ name }) => name !== NAIVE_WAY);
      const translate = ways.find(({ name }) => name === "translate")!;
      return {
        measurements: [
          ...ways.map(({ name, bytesPerAccess }) => ({ name, samples: [bytesPerAccess] })),
        ],
        comparisons: [
          {
            name: "bytes a translation",
            value: translate.bytesPerAccess,
            bar: NO_ALLOCATION_BAR,
          },
          {
            name: "the most bytes an access of any kind",
            value: Math.max(...lean.map(({ bytesPerAccess }) => bytesPerAccess)),
            bar: NO_ALLOCATION_BAR,
          },
        ],
      };
    },
  };
}

/** DESIGN.md 7. */
const peers: readonly PeerFigure[] = [
  ...([["1k", 76], ["64k", 217], ["1m", 630]] as const).map(([size, value]): PeerFigure => ({
    name: `vm-memory (Rust) Iotlb lookup, random 8 bytes, ${size} pages`,
    value,
    unit: "ns",
    ours: `translate-${size}/bare`,
  })),
  {
    name: "vm-memory load u64 through its IOMMU, 64k pages",
    value: 364,
    unit: "ns",
    ours: "load-64k-of-256m/read-u64",
  },
  {
    name: "vm-memory read of 4 KiB through its IOMMU, 64k pages",
    value: 612,
    unit: "ns",
    ours: "read-4k-of-64k-pages/read",
  },
];

/** Everything that runs in one process without a socket. */
export const core: BenchmarkGroup = {
  name: GROUP,
  benchmarks: [
    translation("16", 16),
    translation("1k", 1024),
    translation("64k", PAGES_64K, { bar: TRANSLATION_BAR }),
    translation("64k", PAGES_64K, { hot: 512 }),
    translation("1m", PAGES_1M, { slow: true }),
    coldLoads,
    fragments("fragments-16", "reads of 64 KiB over 16 fragments, of 64 k pages", 64 * KIB),
    fragments("read-4k-of-64k-pages", "reads of 4 KiB at random pages of 64 k", 4 * KIB),
    copies("read", "64b", 64),
    copies("read", "4k", 4 * KIB),
    copies("read", "64k", 64 * KIB),
    copies("read", "1m", MIB, COPY_BAR),
    copies("write", "64b", 64),
    copies("write", "4k", 4 * KIB),
    copies("write", "64k", 64 * KIB),
    copies("write", "1m", MIB, COPY_BAR),
    mapUnmap("empty", 0),
    mapUnmap("64k", PAGES_64K),
    footprint("64k", PAGES_64K, 3),
    footprint("1m", PAGES_1M, 1, true),
    wideMapping,
    allocation("small"),
    allocation("large"),
  ],
  peers,
};
