/**
 * Two runs side by side: what has changed, and by more than both scatter.
 * @module
 */

import type { BenchReport, BenchResult } from "./report.ts";

/** One result in both runs, or in one of them. */
export interface Change {
  readonly name: string;
  readonly unit: BenchResult["unit"];
  /** Null when the result is new. */
  readonly before: number | null;
  /** Null when the result is gone. */
  readonly after: number | null;
  /** Of the value before. Null without two values, or when it was 0. */
  readonly percent: number | null;
  /**
   * Less is better. `same` when the change lies within the spreads of both runs,
   * `unjudged` when one of them has a single sample, and so no spread.
   */
  readonly verdict: "better" | "worse" | "same" | "unjudged" | "new" | "gone";
}

/**
 * The changes from `before` to `after`, in the order of `after`; what is gone
 * comes last. Benchmarks that did not run this time are not gone.
 */
export function compareReports(before: BenchReport, after: BenchReport): Change[] {
  const old = new Map(before.results.map((result) => [key(result), result]));
  const changes = after.results.map((result) => {
    const earlier = old.get(key(result));
    old.delete(key(result));
    return earlier === undefined ? oneSided(result, "new") : change(earlier, result);
  });
  const ran = new Set(after.results.map(benchmarkOf));
  const gone = [...old.values()].filter((result) => ran.has(benchmarkOf(result)));
  return [...changes, ...gone.map((result) => oneSided(result, "gone"))];
}

function benchmarkOf(result: BenchResult): string {
  return `${result.group} ${result.name.slice(0, result.name.indexOf("/"))}`;
}

/** A result that now counts something else is another result. */
function key(result: BenchResult): string {
  return `${result.group} ${result.name} ${result.unit}`;
}

function oneSided(result: BenchResult, verdict: "new" | "gone"): Change {
  return {
    name: result.name,
    unit: result.unit,
    before: verdict === "gone" ? result.value : null,
    after: verdict === "new" ? result.value : null,
    percent: null,
    verdict,
  };
}

function change(before: BenchResult, after: BenchResult): Change {
  const difference = after.value - before.value;
  const judged = before.samples.length > 1 && after.samples.length > 1;
  const beyond = Math.abs(difference) > before.spread + after.spread;
  return {
    name: after.name,
    unit: after.unit,
    before: before.value,
    after: after.value,
    percent: before.value === 0 ? null : difference / before.value * 100,
    verdict: !judged ? "unjudged" : !beyond ? "same" : difference < 0 ? "better" : "worse",
  };
}
