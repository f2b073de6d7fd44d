/**
 * The thresholds of a run, from the checks that its report makes of them.
 * @module
 */

import { latenciesOf } from "../harness/machine/latencies.ts";
import type { Metrics } from "../harness/run/run_report.ts";
import { checkThresholds } from "../harness/run/threshold.ts";
import type { CheckReport, ThresholdReport } from "./api.ts";
import type { LatencyBuckets } from "./source.ts";

/** What the checks that `checkThresholds()` makes are called. */
const NAME = /^threshold ([^\s:]+): (.*)$/s;
/** What it says of one that was missed. */
const MISSED = /^was (\S+)$/;
const MEASURED = /^\s*(?:(value|count)|p\(\s*([\d.]+)\s*\))/;
/** Counts translations that were timed; all other metrics are counters. */
const HISTOGRAM = "translationSeconds";

/** What a run came to, as far as a threshold may ask for it. */
export interface Measured {
  readonly checks: readonly CheckReport[];
  readonly metrics: Metrics;
  /** Of all its endpoints; none when its machine was not watched. */
  readonly latencies: readonly LatencyBuckets[];
}

/** Whether a check is what a threshold came to. */
export function isThreshold({ name }: CheckReport): boolean {
  return NAME.test(name);
}

/** Thresholds, missed ones first, and the checks that are none. */
export function splitThresholds(
  run: Measured,
): { readonly thresholds: readonly ThresholdReport[]; readonly checks: readonly CheckReport[] } {
  const thresholds: ThresholdReport[] = [];
  const checks: CheckReport[] = [];
  for (const check of run.checks) {
    const match = NAME.exec(check.name);
    if (match === null) {
      checks.push(check);
      continue;
    }
    const [, metric, wanted] = match as unknown as [string, string, string];
    const missed = MISSED.exec(check.detail ?? "")?.[1];
    thresholds.push({
      metric,
      wanted: wanted.trim(),
      met: check.ok,
      actual: check.ok
        ? measuredAgain(metric, wanted, run)
        : missed === undefined
        ? null
        : Number(missed),
      problem: check.ok || missed !== undefined ? null : check.detail ?? "It did not hold",
    });
  }
  thresholds.sort((a, b) => Number(a.met) - Number(b.met));
  return { thresholds, checks };
}

/**
 * What a threshold that was met was held against. Its check does not say, so it is measured anew
 * from what the run left; null where that may have been another number.
 */
function measuredAgain(metric: string, expression: string, run: Measured): number | null {
  const [, plain, percent] = MEASURED.exec(expression) ?? [];
  if (plain === undefined && percent === undefined) return null;
  const times = latenciesOf(
    run.latencies.flatMap(({ buckets }) => buckets.map(([belowNs, count]) => ({ belowNs, count }))),
  );
  const subject = { metrics: run.metrics, translationSeconds: times, seconds: 0 };
  const [check] = checkThresholds({ [metric]: [expression] }, subject);
  if (check?.ok !== true) return null;
  if (metric !== HISTOGRAM) return run.metrics[metric as keyof Metrics];
  return percent === undefined ? times.count : times.percentile(Number(percent)) / 1e9;
}
