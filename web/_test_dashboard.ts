/**
 * A dashboard without processes, for tests: its runs do what the test tells them.
 * @module
 */

import type { Hono } from "hono";
import type { FaultTuple, MappingTuple, Observed } from "../harness/observe/observation.ts";
import type { Observation, ObservationListener } from "../harness/observe/observer.ts";
import type { Answer, Ask } from "../harness/observe/observation.ts";
import type { CatalogEntry, PlannedRun } from "../harness/run/plan.ts";
import type { RunnerListener } from "../harness/run/runner.ts";
import { NO_METRICS, type RunReport } from "../harness/run/run_report.ts";
import type { RunInfo } from "./api.ts";
import { Runs } from "./runs.ts";
import { createApp } from "./server.ts";
import { Snapshots } from "./snapshots.ts";

/** Token of every test dashboard. */
export const TOKEN = "f".repeat(64);
/** Where it is reached: what `app.request()` makes of a path. */
export const ORIGIN = "http://localhost";

const entry = (name: string): CatalogEntry => ({
  name,
  title: `What ${name} says`,
  tags: ["test"],
  modes: ["identity", "remap"],
  vias: ["direct", "vfio-user", "qemu"],
  timeoutMs: 10_000,
  file: `file:///nowhere/${name}.ts`,
  argument: name,
});

/** A run under way, as its process would see it. */
export interface FakeProcess {
  readonly planned: PlannedRun;
  readonly listener: RunnerListener;
  /** The process says this. */
  tell(message: Observed): void;
  /** What it answers to questions; nothing unless told. */
  answer: (ask: Ask) => Answer | null;
  /** It ends. */
  end(report?: Partial<RunReport>): Promise<void>;
}

/** See the module. */
export interface TestDashboard {
  readonly app: Hono;
  readonly runs: Runs;
  readonly snapshots: Snapshots;
  /** Runs that have begun, in order. */
  readonly processes: readonly FakeProcess[];
  readonly errors: readonly unknown[];
  /** Milliseconds of the wall: moves when it is told to. */
  nowMs: number;
  /** Posts JSON with the token. */
  post(path: string, body?: unknown, headers?: Record<string, string>): Promise<Response>;
  json<T>(path: string): Promise<T>;
  /** Starts a run of `name` and waits until it has begun. */
  begin(name?: string): Promise<FakeProcess>;
}

/** Makes one with the scenarios `alpha` and `beta`. */
export function testDashboard(
  options: {
    readonly startedBy?: "page" | "command";
    readonly maxStreams?: number;
    readonly host?: string;
    readonly port?: number;
    /** What making the page throws: it is never made here. */
    readonly pageError?: unknown;
  } = {},
): TestDashboard {
  const processes: FakeProcess[] = [];
  const errors: unknown[] = [];
  const listeners: ObservationListener[] = [];
  const answers: ((ask: Ask) => Answer | null)[] = [];
  const observer = {
    watch(listener: ObservationListener): Observation {
      const at = listeners.push(listener) - 1;
      answers.push(() => null);
      return {
        request: { path: "/nowhere", key: String(at) },
        ask: (ask) => Promise.resolve(answers[at]!(ask)),
        told: () => Promise.resolve(),
        close: () => listener.closed(),
      };
    },
  };
  const begun: (() => void)[] = [];
  const makeRunner = (listener: RunnerListener) => {
    const over = Promise.withResolvers<void>();
    let planned: PlannedRun;
    const finish = async (report: Partial<RunReport>): Promise<void> => {
      const { entry, mode, via, seed } = planned;
      listener.finished({
        scenario: entry.name,
        mode,
        via,
        seed,
        status: "passed",
        durationMs: 12,
        checks: [],
        metrics: NO_METRICS,
        ...report,
      }, planned);
      await runs.settled();
      over.resolve();
    };
    return {
      run(list: readonly PlannedRun[]) {
        planned = list[0]!;
        listener.started(planned);
        listener.observe?.(planned);
        const at = listeners.length - 1;
        processes.push({
          planned,
          listener,
          tell: (message) => listeners[at]!.observed(message),
          get answer() {
            return answers[at]!;
          },
          set answer(answer) {
            answers[at] = answer;
          },
          end: (report = {}) => finish(report),
        });
        for (const told of begun.splice(0)) told();
        return over.promise;
      },
      interrupt: () => void finish({ status: "skipped", reason: "Interrupted" }),
    };
  };
  const clock = { nowMs: 1_800_000_000_000 };
  const nowMs = () => clock.nowMs;
  const runs = new Runs({
    catalog: [entry("alpha"), entry("beta")],
    observer,
    startedBy: options.startedBy ?? "page",
    nowMs,
    makeRunner,
    onError: (error) => errors.push(error),
  });
  const snapshots = new Snapshots({
    runs,
    nowMs,
    timer: "manual",
    ...(options.maxStreams === undefined ? {} : { maxStreams: options.maxStreams }),
  });
  const app = createApp({
    runs,
    snapshots,
    bundle: () => Promise.reject(options.pageError ?? new Error("There is no <page> in this test")),
    token: TOKEN,
    address: () => ({ host: options.host ?? "127.0.0.1", port: options.port ?? 80 }),
    onError: (error) => errors.push(error),
  });
  const post = async (path: string, body?: unknown, headers: Record<string, string> = {}) =>
    await app.request(path, {
      method: "POST",
      headers: {
        Authorization: `Bearer ${TOKEN}`,
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  return {
    app,
    runs,
    snapshots,
    processes,
    errors,
    get nowMs() {
      return clock.nowMs;
    },
    set nowMs(ms) {
      clock.nowMs = ms;
    },
    post,
    async json<T>(path: string): Promise<T> {
      return await (await app.request(path)).json() as T;
    },
    async begin(name = "alpha") {
      const started = new Promise<void>((resolve) => begun.push(resolve));
      const response = await post("/api/runs", { scenario: name, mode: "remap", via: "direct" });
      if (response.status !== 201) throw new Error(await response.text());
      await response.json() as RunInfo;
      await started;
      return processes.at(-1)!;
    },
  };
}

/** A sample of one endpoint, 00:01.0, and one domain. */
export function sample(
  counters: readonly number[] = [1, 2, 3, 4, 5, 6, 7, 8],
  events: readonly (readonly number[])[] = [],
  recorded = events.length,
): Observed {
  return {
    kind: "sample",
    endpoints: [[8, ...counters]],
    domains: [[1, 2, 8192]],
    domainsLeftOut: 0,
    events,
    recorded,
  };
}

/** A report of the same. */
export function report(
  faults: readonly FaultTuple[] = [],
  totals: readonly number[] = [1, 2, 3, 4, 5, 6, 7, 8],
): Observed {
  return {
    kind: "report",
    timeNs: 5000,
    endpoints: [{
      id: 8,
      device: "edu",
      domain: 1,
      bypass: false,
      latency: { samples: 3, p50Ns: 10, p99Ns: 20 },
      latencyBuckets: [[16, 2], [32, 1]],
      latencySumNs: 44,
      heat: { start: 0x1000, width: 4096, buckets: [3, 1] },
    }],
    domains: [{ id: 1, kind: "mapped", members: [[8, -1]], membersLeftOut: 0 }],
    regions: [
      { name: "ram", start: 0, length: 0x100_0000, readOnly: false, dirtyBytes: 0x3000 },
      { name: "rom", start: 0xffff_0000, length: 0x1_0000, readOnly: true, dirtyBytes: null },
    ],
    faults,
    faultsLost: 0,
    totals,
  };
}

/** A fault at `iova`, UNMAPPED unless told, with the mapping at 0x1000 below it. */
export function fault(number: number, iova: number, reason = -1): FaultTuple {
  return [number, number * 10, 8, -1, iova, 1, reason, 1, 2, 0x1000, 0x8000, 4096, 3, 7, 2];
}

/** A map event of the timeline. */
export function mapEvent(number: number): readonly number[] {
  return [number, number, 0, -1, 1, -1, number * 4096, 4096, 0x8000, 3];
}

/** `count` mappings of a page each, every other page from 0x1000 on. */
export function mappings(count: number): MappingTuple[] {
  return Array.from(
    { length: count },
    (_, at): MappingTuple => [0x1000 + at * 0x2000, 0x10_0000 + at * 0x1000, 4096, 3, at, at % 5],
  );
}
