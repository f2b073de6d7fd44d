/**
 * What being watched costs a device's DMA: the same scenario unwatched, watched, and watched with a
 * page open. Whether a page is open changes several times in a run, so that the same compiled code
 * is compared with itself.
 * @module
 */

import { fromFileUrl } from "@std/path";
import { loadCatalog } from "../../harness/run/catalog.ts";
import type { CatalogEntry, PlannedRun } from "../../harness/run/plan.ts";
import type { RunEvent } from "../../harness/run/run_events.ts";
import { Runner, type RunnerListener } from "../../harness/run/runner.ts";
import { type Dashboard, startDashboard } from "../../web/dashboard.ts";
import { atMost } from "./bar.ts";
import type { BenchContext, Benchmark, BenchmarkGroup, Outcome } from "./benchmark.ts";
import { median } from "./statistics.ts";

const GROUP = "dashboard";
/** Issue: within 3 %. */
const WITHIN = 1.03;
/** Runs of each kind in a full benchmark. */
const RUNS = 5;
/** Milliseconds for which a page stays open, and then closed. */
const TURN_MS = 300;
const LISTENER: RunnerListener = {
  started: () => {},
  progress: () => {},
  finished: () => {},
  trace: () => {},
};

/** One stretch of a run: milliseconds since 1970, and what a read took. */
interface Slice {
  readonly from: number;
  readonly to: number;
  readonly ns: number;
}

function sliceOf(event: RunEvent): Slice | null {
  if (event.kind !== "log" || !event.message.startsWith("slice ")) return null;
  const [from, to, ns] = event.message.slice(6).split(" ").map(Number);
  return { from: from!, to: to!, ns: ns! };
}

/** Opens a page's stream and closes it, in turns, until it is told to end. */
class Page implements AsyncDisposable {
  /** Times at which it was opened and closed, in turns. */
  readonly changes: number[] = [];
  readonly #url: URL;
  readonly #done: Promise<void>;
  #ended = false;

  constructor(link: string) {
    this.#url = new URL("/api/stream", link);
    this.#done = this.#turn();
  }

  /** Whether a slice lies wholly in a time in which it was open, or closed. */
  state({ from, to }: Slice): "open" | "closed" | "changing" {
    const before = this.changes.filter((time) => time <= from).length;
    if (this.changes.filter((time) => time <= to).length !== before) return "changing";
    return before % 2 === 1 ? "open" : "closed";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    await this.#done;
  }

  async #turn(): Promise<void> {
    while (!this.#ended) {
      await delay(TURN_MS);
      const abort = new AbortController();
      const response = await fetch(this.#url, { signal: abort.signal });
      const reading = drain(response);
      this.changes.push(now());
      await delay(TURN_MS);
      abort.abort();
      await reading;
      this.changes.push(now());
    }
  }
}

async function drain(response: Response): Promise<void> {
  try {
    for await (const _ of response.body!);
  } catch {
    // Aborted, as it was meant to be.
  }
}

function now(): number {
  return performance.timeOrigin + performance.now();
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function slicesOf(entry: CatalogEntry, seed: number, listener: RunnerListener) {
  const slices: Slice[] = [];
  const planned: PlannedRun = { index: 0, entry, mode: "remap", via: "direct", seed };
  const runner = new Runner({
    jobs: 1,
    timeoutMs: null,
    afterFailure: "stop",
    trace: "off",
    listener: {
      ...listener,
      event: (run, event) => {
        const slice = sliceOf(event);
        if (slice === null) listener.event?.(run, event);
        else slices.push(slice);
      },
    },
  });
  const [report] = await runner.run([planned]);
  if (report?.status !== "passed" || slices.length === 0) {
    throw new Error(`The run failed: ${report?.reason ?? "it told nothing"}`);
  }
  return slices;
}

const nsOf = (slices: readonly Slice[]): number => median(slices.map(({ ns }) => ns));

async function measure(
  context: BenchContext,
  entry: CatalogEntry,
  dashboard: Dashboard,
): Promise<Outcome> {
  const samples = { unwatched: [] as number[], closed: [] as number[], open: [] as number[] };
  const pairs: number[] = [];
  const runs = Math.max(2, Math.ceil(RUNS / context.reduction));
  for (let run = 0; run < runs; run++) {
    context.progress(`run ${run + 1} of ${runs}`);
    samples.unwatched.push(nsOf(await slicesOf(entry, context.seed, LISTENER)));
    await using page = new Page(dashboard.link);
    const watched = await slicesOf(entry, context.seed, dashboard.runs.listener);
    const open = nsOf(watched.filter((slice) => page.state(slice) === "open"));
    const closed = nsOf(watched.filter((slice) => page.state(slice) === "closed"));
    samples.open.push(open);
    samples.closed.push(closed);
    pairs.push(open / closed);
  }
  const best = (values: readonly number[]) => Math.min(...values);
  return {
    measurements: Object.entries(samples).map(([name, values]) => ({ name, samples: values })),
    comparisons: [
      { name: "page open / closed", value: median(pairs), bar: atMost(WITHIN) },
      {
        name: "page open / unwatched",
        value: best(samples.open) / best(samples.unwatched),
        bar: atMost(WITHIN),
      },
      {
        name: "page closed / unwatched",
        value: best(samples.closed) / best(samples.unwatched),
        bar: null,
      },
    ],
  };
}

const watchedDma: Benchmark = {
  name: "dma-watched",
  group: GROUP,
  unit: "ns",
  about: "random 8-byte reads, unwatched, watched, with a page open",
  slow: true,
  async run(context) {
    const path = fromFileUrl(import.meta.resolve("./dashboard/random_reader.ts"));
    const { entries, child } = await loadCatalog([path]);
    child.kill();
    await child.ended;
    const dashboard = startDashboard({
      port: 0,
      catalog: entries,
      startedBy: "command",
      log: (line) => Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`)),
    });
    try {
      return await measure(context, entries[0]!, dashboard);
    } finally {
      await dashboard.close();
    }
  },
};

/** Benchmarks of what watching costs. */
export const dashboard: BenchmarkGroup = { name: GROUP, benchmarks: [watchedDma], peers: [] };
