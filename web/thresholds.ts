/**
 * The thresholds of a run, from the checks that its report makes of them.
 * @module
 */

import type { CheckReport, ThresholdReport } from "./api.ts";

/** What the checks that `checkThresholds()` makes are called. */
const NAME = /^threshold ([^\s:]+): (.*)$/s;
/** What it says of one that was measured. */
const MEASURED = /^was (\S+)$/;

/** Whether a check is what a threshold came to. */
export function isThreshold({ name }: CheckReport): boolean {
  return NAME.test(name);
}

/** Thresholds, missed ones first, and the checks that are none. */
export function splitThresholds(
  all: readonly CheckReport[],
): { readonly thresholds: readonly ThresholdReport[]; readonly checks: readonly CheckReport[] } {
  const thresholds: ThresholdReport[] = [];
  const checks: CheckReport[] = [];
  for (const check of all) {
    const match = NAME.exec(check.name);
    if (match === null) {
      checks.push(check);
      continue;
    }
    const [, metric, wanted] = match as unknown as [string, string, string];
    const measured = MEASURED.exec(check.detail ?? "")?.[1];
    thresholds.push({
      metric,
      wanted: wanted.trim(),
      met: check.ok,
      actual: measured === undefined ? null : Number(measured),
      problem: check.ok || measured !== undefined ? null : check.detail ?? "It did not hold",
    });
  }
  thresholds.sort((a, b) => Number(a.met) - Number(b.met));
  return { thresholds, checks };
}
