/**
 * What a reporter is: it gets the runs as they end, and writes results.
 * @module
 */

import type { RunReport } from "../run/run_report.ts";

/** How a whole invocation went. */
export interface Summary {
  /** In the order of the plan. */
  readonly runs: readonly RunReport[];
  readonly seed: number;
  /** Wall-clock time from the first run's start to the last one's end. */
  readonly durationMs: number;
  /** Whether it was cut off, as by Ctrl-C. */
  readonly ended: "complete" | "interrupted";
}

/** Writes results. Everything goes to the sink it was made with. */
export interface Reporter {
  /** Before the first run. */
  begin(runs: number): void;
  /** A run has ended, in whatever order they end. */
  finished(report: RunReport): void;
  /** After the last. */
  end(summary: Summary): void;
}

/** Where a reporter writes, and how. */
export interface ReporterOptions {
  readonly write: (text: string) => void;
  readonly style: Style;
  /** Characters of a line. */
  readonly columns: number;
}

/** Makes a reporter. */
export type MakeReporter = (options: ReporterOptions) => Reporter;

/** Emphasis, or none. */
export interface Style {
  good(text: string): string;
  bad(text: string): string;
  faint(text: string): string;
  strong(text: string): string;
}
