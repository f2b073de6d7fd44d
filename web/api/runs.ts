/**
 * Runs, those that may be started, and what they leave.
 * @module
 */

import type { ScenarioInfo } from "../../harness/child/child_protocol.ts";
import type { CheckReport, Metrics, StepReport, Totals } from "../../harness/run/run_report.ts";
import type { Mode, Via } from "../../harness/scenario.ts";

/** How a run stands. */
export type RunState = "queued" | "running" | "passed" | "failed" | "skipped";

/** A run, in one line. */
export interface RunInfo {
  /** 1, 2, … on this server. */
  readonly id: number;
  readonly scenario: string;
  readonly title: string;
  readonly mode: Mode;
  readonly via: Via;
  /** How the via's protocol is used, as `--variant` names it; null for as it is by itself. */
  readonly variant: string | null;
  readonly seed: number;
  readonly state: RunState;
  /** Why it failed or was skipped; null otherwise. */
  readonly reason: string | null;
  /** Null while queued. */
  readonly startedMs: number | null;
  /** Of the report once ended; so far while running; 0 while queued. */
  readonly durationMs: number;
  /** As the scenario counts; null when it has not said. */
  readonly progress: { readonly done: number; readonly total: number } | null;
  /** Thresholds among them. */
  readonly checks: { readonly passed: number; readonly failed: number };
  /** Whether the machine it left can still be looked at. Only the newest runs are kept whole. */
  readonly kept: boolean;
  /**
   * Left out of a scenario's run. Otherwise what is listed in its place: devices that are served
   * (`deno task serve`), or a guest that they are plugged into (`deno task vm`).
   */
  readonly machine?: "server" | "guest";
}

/** `/api/runs`. */
export interface RunList {
  /** Newest first. */
  readonly runs: readonly RunInfo[];
  readonly totals: Totals;
  /** Older runs that are no longer listed. */
  readonly forgotten: number;
  /** Whether runs can be started from the page: not while a command line owns them. */
  readonly canStart: boolean;
}

/** `/api/runs/ID`. While it runs, what is known so far. */
export interface RunDetail {
  readonly run: RunInfo;
  readonly steps: readonly (StepReport & {
    /** Still going on; `durationMs` is so far. */
    readonly running: boolean;
  })[];
  /** Missed ones first; empty until it has ended, since they are held at the end. */
  readonly thresholds: readonly ThresholdReport[];
  /** Checks in order, without those that thresholds make. */
  readonly checks: readonly CheckReport[];
  readonly log: readonly string[];
  readonly errors: readonly string[];
  /** What it printed. */
  readonly output: string;
  /** Null until it has ended. */
  readonly metrics: Metrics | null;
  /** The command that repeats it. */
  readonly rerun: string;
  readonly artifacts: readonly Artifact[];
}

/** One threshold of a run, as it was held at its end. */
export interface ThresholdReport {
  /** What was measured: `faults`, `translationSeconds`. */
  readonly metric: string;
  /** What was wanted of it: `value==1`, `p(99)<50e-6`. */
  readonly wanted: string;
  /** Whether it held. */
  readonly met: boolean;
  /**
   * What it was held against, in the unit of the metric: a percentile is an estimate from buckets.
   * Null where the run has not told it.
   */
  readonly actual: number | null;
  /** Why it could not be held at all; null when it was. */
  readonly problem: string | null;
}

/** A file that the server makes of a run. */
export interface Artifact {
  readonly name: string;
  /** Path on this server: `/api/runs/3/trace.json`. */
  readonly href: string;
  readonly mediaType: string;
  /** One line: what opens it. */
  readonly description: string;
}

/** Body of `POST /api/runs`; answered 201 with {@linkcode RunInfo}. Unknown names are refused. */
export interface StartRun {
  readonly scenario: string;
  readonly mode: Mode;
  readonly via: Via;
  /** Random unless told; 0 to 2^32 - 1. */
  readonly seed?: number;
  /** Records every DMA for the trace artifact, which slows the run down; `off` unless told. */
  readonly trace?: "on" | "off";
}

// `POST /api/runs/ID/stop`, no body: answered 202 with RunInfo.

/** `/api/scenarios`. */
export interface ScenarioList {
  readonly scenarios: readonly ScenarioRow[];
  /** What is built: `modes` and `vias` of a scenario beyond these cannot be started. */
  readonly modes: readonly Mode[];
  readonly vias: readonly Via[];
}

/** One scenario of the catalogue. */
export interface ScenarioRow extends ScenarioInfo {
  /** Its last runs here, oldest first, at most 20: for a sparkline. */
  readonly history: readonly {
    readonly run: number;
    readonly state: RunState;
    readonly durationMs: number;
  }[];
}
