/**
 * Runs benchmarks one after the other into a report.
 * @module
 */

import type { BenchCommand } from "./command.ts";
import { type BenchReport, ratiosOf, resultsOf, thisHost } from "./report.ts";

/** How a run of each pace measures. */
const PACES = {
  full: { rounds: 13, roundMs: 12, warmUpMs: 120, reduction: 1 },
  quick: { rounds: 3, roundMs: 1, warmUpMs: 10, reduction: 1000 },
} as const;

/** Runs what the command selects. `progress` gets a short line whenever something begins. */
export async function runBenchmarks(
  command: BenchCommand,
  started: Date,
  progress: (text: string) => void,
): Promise<BenchReport> {
  const report: BenchReport = {
    version: 1,
    started: started.toISOString(),
    host: thisHost(),
    seed: command.seed,
    results: [],
    ratios: [],
  };
  const { benchmarks } = command;
  for (const [index, benchmark] of benchmarks.entries()) {
    const outcome = await benchmark.run({
      ...PACES[command.pace],
      seed: command.seed,
      progress: (text) =>
        progress(`${index + 1} of ${benchmarks.length}  ${benchmark.name}: ${text}`),
    });
    report.results.push(...resultsOf(benchmark, outcome));
    report.ratios.push(...ratiosOf(benchmark, outcome));
  }
  return report;
}

/** 1 when a bar is missed and that was to be checked, otherwise 0. */
export function exitCode(report: BenchReport, bars: BenchCommand["bars"]): 0 | 1 {
  return bars === "check" && report.ratios.some(({ ok }) => !ok) ? 1 : 0;
}
