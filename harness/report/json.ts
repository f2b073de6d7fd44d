/**
 * `--json`: all runs in one object.
 * @module
 */

import { type Report, totalsOf } from "../run/run_report.ts";
import type { Summary } from "./reporter.ts";

/** The file's text. */
export function jsonReport({ seed, runs }: Summary): string {
  const report: Report = { version: 1, seed, runs, totals: totalsOf(runs) };
  return JSON.stringify(report, null, 2) + "\n";
}
