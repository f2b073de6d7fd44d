/**
 * What a run of benchmarks found, as `--json` writes and `--compare` reads it.
 * @module
 */

import * as v from "valibot";
import { UsageError } from "../../harness/cli/usage_error.ts";
import { keeps } from "./bar.ts";
import type { Benchmark, Outcome } from "./benchmark.ts";
import { best, spread } from "./statistics.ts";

const Result = v.object({
  group: v.string(),
  /** Benchmark and subject: `translate-64k/read-u64`. */
  name: v.string(),
  unit: v.picklist(["ns", "bytes", "entries"]),
  /** The least sample. */
  value: v.pipe(v.number(), v.finite()),
  /** By how much the middle one exceeds it. */
  spread: v.pipe(v.number(), v.finite(), v.minValue(0)),
  /** One a round, in the order in which they were taken. */
  samples: v.pipe(v.array(v.pipe(v.number(), v.finite())), v.minLength(1)),
  /** Bytes that one operation moves. */
  bytesMoved: v.optional(v.pipe(v.number(), v.minValue(1))),
});

const Ratio = v.object({
  /** Benchmark, and what is divided by what: `translate-64k bare / map-bigint`. */
  name: v.string(),
  /** Null when it came out as no number. */
  value: v.nullable(v.number()),
  /** Null for information. */
  bar: v.nullable(v.number()),
  /** Which way the bar holds. Null without one. */
  sense: v.nullable(v.picklist(["at most", "at least"])),
  /** Whether the bar is kept; true without one. */
  ok: v.boolean(),
});

const Schema = v.object({
  version: v.literal(1),
  /** ISO 8601, UTC. */
  started: v.pipe(v.string(), v.isoTimestamp()),
  host: v.object({
    cpus: v.number(),
    deno: v.string(),
    v8: v.string(),
    arch: v.string(),
  }),
  seed: v.number(),
  results: v.array(Result),
  ratios: v.array(Ratio),
});

/** One subject's figure. */
export type BenchResult = v.InferOutput<typeof Result>;
/** One comparison within the run. */
export type BenchRatio = v.InferOutput<typeof Ratio>;
/** A whole run. */
export type BenchReport = v.InferOutput<typeof Schema>;

/** The machine that measures. */
export function thisHost(): BenchReport["host"] {
  return {
    cpus: navigator.hardwareConcurrency,
    deno: Deno.version.deno,
    v8: Deno.version.v8,
    arch: Deno.build.arch,
  };
}

/** A benchmark's samples, as results. */
export function resultsOf(benchmark: Benchmark, outcome: Outcome): BenchResult[] {
  return outcome.measurements.map((measurement) => ({
    group: benchmark.group,
    name: `${benchmark.name}/${measurement.name}`,
    unit: measurement.unit ?? benchmark.unit,
    value: best(measurement.samples),
    spread: spread(measurement.samples),
    samples: [...measurement.samples],
    ...(measurement.bytesMoved === undefined ? {} : { bytesMoved: measurement.bytesMoved }),
  }));
}

/** A benchmark's comparisons, judged. */
export function ratiosOf(benchmark: Benchmark, outcome: Outcome): BenchRatio[] {
  return outcome.comparisons.map(({ name, value, bar }) => ({
    name: `${benchmark.name} ${name}`,
    // JSON has no other numbers.
    value: Number.isFinite(value) ? value : null,
    bar: bar?.limit ?? null,
    sense: bar?.sense ?? null,
    ok: bar === null || keeps(value, bar),
  }));
}

/** The report as the text of a file. */
export function formatReport(report: BenchReport): string {
  return JSON.stringify(report, null, 1) + "\n";
}

/** The report in the text of `file`. @throws {UsageError} that says what is wrong with it */
export function parseReport(text: string, file: string): BenchReport {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new UsageError(
      `Cannot compare with ${file}: it is not JSON (${
        error instanceof Error ? error.message : ""
      })`,
    );
  }
  const parsed = v.safeParse(Schema, json);
  if (parsed.success) return parsed.output;
  const issue = parsed.issues[0];
  const where = v.getDotPath(issue);
  throw new UsageError(
    `Cannot compare with ${file}: it is no report of \`deno task bench --json\`, ` +
      `${where === null ? "as a whole" : `at ${where}`}: ${issue.message}`,
  );
}
