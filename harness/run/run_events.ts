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
  /** What went wrong beside checks, as it is known: the run may not come to its own end. */
  | { readonly kind: "error"; readonly text: string }
  /** The file that the run's guest prints its console to. */
  | { readonly kind: "console"; readonly path: string }
  | { readonly kind: "progress"; readonly done: number; readonly total: number }
  | { readonly kind: "trace"; readonly events: readonly ChromeEvent[] }
  | { readonly kind: "messages"; readonly messages: readonly MessageEvent[] }
  | RunEnd;

/** One message of the via's protocol. */
export interface MessageEvent {
  /** The connection, as people know it: `edu at 00:01.0`. */
  readonly connection: string;
  /** Nanoseconds since the run's machine was built. */
  readonly timeNs: number;
  /** `>` from client to server. */
  readonly direction: ">" | "<";
  /** Descriptors that came with it. */
  readonly descriptors: number;
  /** Header and body, in Base64. */
  readonly bytes: string;
}

/** The last event of a run that came to its own end. */
export interface RunEnd {
  readonly kind: "end";
  readonly durationMs: number;
  readonly metrics: Metrics;
  /** What went wrong beside checks, first the one the report leads with: all that was told, and the rest. */
  readonly errors: readonly string[];
}
