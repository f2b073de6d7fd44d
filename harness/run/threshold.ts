/**
 * Thresholds: expressions over a run's metrics that must hold at its end, as
 * `value==1` of a counter or `p(99)<50e-6` of a histogram in seconds.
 * @module
 */

import { type CheckReport, METRIC_NAMES, type Metrics } from "./run_report.ts";
import { didYouMean } from "../cli/suggest.ts";

/** What thresholds need of a latency histogram. */
export interface Latencies {
  readonly count: number;
  /** Nanoseconds that `p` percent do not exceed; NaN while nothing was counted. */
  percentile(p: number): number;
}

/** What thresholds are held against. */
export interface ThresholdSubject {
  readonly metrics: Metrics;
  readonly translationSeconds: Latencies;
  /** Wall-clock seconds of the run, for `rate`. */
  readonly seconds: number;
}

const COMPARE: Readonly<Record<string, (a: number, b: number) => boolean>> = {
  "==": (a, b) => a === b,
  "!=": (a, b) => a !== b,
  "<": (a, b) => a < b,
  "<=": (a, b) => a <= b,
  ">": (a, b) => a > b,
  ">=": (a, b) => a >= b,
};

const FORM =
  /^\s*(?:(value|count|rate)|p\(\s*(\d+(?:\.\d+)?)\s*\))\s*(==|!=|<=|>=|<|>)\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*$/;

const RIGHT = "value, count, rate or p(N), then ==, !=, <, <=, > or >=, then a number";

const METRICS: readonly string[] = [...METRIC_NAMES, "translationSeconds"];

function isCounter(metric: string): metric is keyof Metrics {
  return (METRIC_NAMES as readonly string[]).includes(metric);
}

/** The value an expression asks for, or why there is none. */
function measure(
  metric: string,
  what: string,
  percent: number | null,
  subject: ThresholdSubject,
): number | string {
  const { translationSeconds, seconds } = subject;
  if (isCounter(metric)) {
    if (percent !== null) {
      return `p(${percent}) is of histograms, and ${metric} is a counter: use value, count or rate`;
    }
    const value = subject.metrics[metric];
    return what === "rate" ? (seconds > 0 ? value / seconds : 0) : value;
  }
  if (what === "value") {
    return `${metric} is a histogram and has no single value: use p(N), count or rate`;
  }
  if (what === "count") return translationSeconds.count;
  if (what === "rate") return seconds > 0 ? translationSeconds.count / seconds : 0;
  if (percent! > 100) return `p(${percent}) is past p(100)`;
  if (translationSeconds.count === 0) return `${metric} counted nothing`;
  return translationSeconds.percentile(percent!) / 1e9;
}

/** Holds one expression over one metric. What cannot be read or measured does not hold. */
function hold(metric: string, expression: string, subject: ThresholdSubject): CheckReport {
  const name = `threshold ${metric}: ${expression}`;
  if (!METRICS.includes(metric)) {
    const detail = `There is no metric ${metric}${didYouMean(metric, METRICS)}; there are ${
      METRICS.join(", ")
    }`;
    return { name, ok: false, detail };
  }
  const match = FORM.exec(expression);
  if (match === null) {
    return {
      name,
      ok: false,
      detail: `Cannot read the threshold ${JSON.stringify(expression)}: it must be ${RIGHT}`,
    };
  }
  const [, what, percent, operator, limit] = match;
  const measured = measure(
    metric,
    what ?? "p",
    percent === undefined ? null : Number(percent),
    subject,
  );
  if (typeof measured === "string") return { name, ok: false, detail: measured };
  const ok = COMPARE[operator!]!(measured, Number(limit));
  return { name, ok, detail: `was ${measured}` };
}

/** Holds every threshold: one check for each, whose detail says what it was held against. */
export function checkThresholds(
  thresholds: Readonly<Record<string, readonly string[]>>,
  subject: ThresholdSubject,
): CheckReport[] {
  return Object.entries(thresholds).flatMap(([metric, expressions]) =>
    expressions.map((expression) => hold(metric, expression, subject))
  );
}
