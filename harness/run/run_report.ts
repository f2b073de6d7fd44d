/**
 * What a run leaves behind: the JSON contract of `--json` and of the jsonl
 * reporter, as types and as the one schema that checks it.
 * @module
 */

import * as v from "valibot";
import type { EndpointMetrics } from "../../core/observe/counters.ts";
import { type Mode, MODES, type Via, VIAS } from "../scenario.ts";
import { type Variant, VARIANTS } from "../via/variant.ts";

/** The counters of all the machine's endpoints together. */
export type Metrics = EndpointMetrics;

/** The names of {@linkcode Metrics}, in the order of reports and of `Counter`. */
export const METRIC_NAMES: readonly (keyof Metrics)[] = [
  "translations",
  "iotlbHits",
  "iotlbMisses",
  "faults",
  "pageRequests",
  "invalidations",
  "dmaReadBytes",
  "dmaWriteBytes",
];

/** Of a run that came to nothing. */
export const NO_METRICS: Metrics = {
  translations: 0,
  iotlbHits: 0,
  iotlbMisses: 0,
  faults: 0,
  pageRequests: 0,
  invalidations: 0,
  dmaReadBytes: 0,
  dmaWriteBytes: 0,
};

/** One check, or one threshold, of a run. */
export interface CheckReport {
  /** Steps around it stand before it: `second transfer > count register`. */
  readonly name: string;
  readonly ok: boolean;
  readonly detail?: string;
}

/** One step of a run. */
export interface StepReport {
  readonly name: string;
  /** Steps around it. */
  readonly depth: number;
  /** False when its body threw. */
  readonly ok: boolean;
  readonly durationMs: number;
}

export type RunStatus = "passed" | "failed" | "skipped";

/** One run: a scenario in one mode, via one path, with one seed. */
export interface RunReport {
  readonly scenario: string;
  readonly mode: Mode;
  readonly via: Via;
  /** How the via's protocol was used; absent when as it is by itself. */
  readonly variant?: Variant;
  readonly status: RunStatus;
  /** Why it failed or was skipped. */
  readonly reason?: string;
  /** Wall-clock time. */
  readonly durationMs: number;
  readonly checks: readonly CheckReport[];
  readonly metrics: Metrics;
  /** `--seed` that repeats this run. */
  readonly seed: number;
  /** The command that repeats it; of failed runs. */
  readonly rerun?: string;
  /** What went wrong beside checks, with stacks; left out when nothing did. */
  readonly errors?: readonly string[];
  readonly steps?: readonly StepReport[];
  /** Lines of `t.log()`. */
  readonly log?: readonly string[];
  /** What the scenario printed, through the console or past it. */
  readonly output?: string;
}

/** How many runs ended how. */
export interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** The whole of `--json`. */
export interface Report {
  readonly version: 1;
  readonly seed: number;
  readonly runs: readonly RunReport[];
  readonly totals: Totals;
}

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const seed = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(2 ** 32 - 1));
const duration = v.pipe(v.number(), v.finite(), v.minValue(0));

/** Checks {@linkcode Metrics}. */
export const MetricsSchema: v.GenericSchema<Metrics> = v.strictObject({
  translations: count,
  iotlbHits: count,
  iotlbMisses: count,
  faults: count,
  pageRequests: count,
  invalidations: count,
  dmaReadBytes: count,
  dmaWriteBytes: count,
});

const CheckSchema: v.GenericSchema<CheckReport> = v.strictObject({
  name: v.string(),
  ok: v.boolean(),
  detail: v.exactOptional(v.string()),
});

/** Checks {@linkcode RunReport}. */
export const RunSchema: v.GenericSchema<RunReport> = v.strictObject({
  scenario: v.string(),
  mode: v.picklist(MODES),
  via: v.picklist(VIAS),
  variant: v.exactOptional(v.picklist(VARIANTS)),
  status: v.picklist(["passed", "failed", "skipped"]),
  reason: v.exactOptional(v.string()),
  durationMs: duration,
  checks: v.array(CheckSchema),
  metrics: MetricsSchema,
  seed,
  rerun: v.exactOptional(v.string()),
  errors: v.exactOptional(v.array(v.string())),
  steps: v.exactOptional(v.array(v.strictObject({
    name: v.string(),
    depth: count,
    ok: v.boolean(),
    durationMs: duration,
  }))),
  log: v.exactOptional(v.array(v.string())),
  output: v.exactOptional(v.string()),
});

/** Checks {@linkcode Report}. */
export const ReportSchema: v.GenericSchema<Report> = v.strictObject({
  version: v.literal(1),
  seed,
  runs: v.array(RunSchema),
  totals: v.strictObject({ passed: count, failed: count, skipped: count }),
});

/** Counts `runs` by how they ended. */
export function totalsOf(runs: readonly RunReport[]): Totals {
  const totals = { passed: 0, failed: 0, skipped: 0 };
  for (const run of runs) totals[run.status]++;
  return totals;
}

/** The counters of several runs together. */
export function sumMetrics(runs: readonly { readonly metrics: Metrics }[]): Metrics {
  const sum: { -readonly [Name in keyof Metrics]: number } = { ...NO_METRICS };
  for (const { metrics } of runs) {
    for (const name of METRIC_NAMES) sum[name] += metrics[name];
  }
  return sum;
}
