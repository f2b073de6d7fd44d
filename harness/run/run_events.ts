/**
 * What a run tells while it goes on: the pieces its report is put together
 * from, wherever the run takes place.
 * @module
 */

import type { ChromeEvent } from "../export/chrome_event.ts";
import type { Metrics } from "./run_report.ts";

/** One event of a run. */
export type RunEvent =
  /** Before anything of the scenario runs: from here on the run answers for its process. */
  | { readonly kind: "begin" }
  | { readonly kind: "step"; readonly step: number; readonly name: string; readonly depth: number }
  | {
    readonly kind: "step-end";
    readonly step: number;
    readonly ok: boolean;
    readonly durationMs: number;
  }
  | {
    readonly kind: "check";
    readonly name: string;
    readonly ok: boolean;
    readonly detail?: string;
  }
  | { readonly kind: "log"; readonly message: string }
  | { readonly kind: "progress"; readonly done: number; readonly total: number }
  | { readonly kind: "trace"; readonly events: readonly ChromeEvent[] }
  | RunEnd;

/** The last event of a run that came to its own end. */
export interface RunEnd {
  readonly kind: "end";
  readonly durationMs: number;
  readonly metrics: Metrics;
  /** What went wrong beside checks, first the one the report leads with. */
  readonly errors: readonly string[];
}
