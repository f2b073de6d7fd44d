/**
 * One run of the dashboard: what is known of it, so far or in the end.
 * @module
 */

import { Fault } from "../core/address.ts";
import { type TraceEvent, TraceKind } from "../core/observe/trace.ts";
import type { ChromeEvent } from "../harness/export/chrome_event.ts";
import { traceRun } from "../harness/export/chrome_trace.ts";
import { TIMELINE_KINDS } from "../harness/observe/observation.ts";
import type { Observation } from "../harness/observe/observer.ts";
import { jsonReport } from "../harness/report/json.ts";
import { junitReport } from "../harness/report/junit.ts";
import type { Summary } from "../harness/report/reporter.ts";
import { type PlannedRun, rerunCommand } from "../harness/run/plan.ts";
import type { RunEvent } from "../harness/run/run_events.ts";
import type { RunReport } from "../harness/run/run_report.ts";
import type {
  Artifact,
  CheckReport,
  RunDetail,
  RunInfo,
  RunState,
  ThresholdReport,
} from "./api.ts";
import type { RunSource } from "./run_source.ts";
import type { LiveSource } from "./source.ts";
import { isThreshold, splitThresholds } from "./thresholds.ts";

// As many as a report keeps.
const MAX_CHECKS = 10_000;
const MAX_STEPS = 10_000;
const MAX_LOG = 1000;
/** Events of a traced run that are kept. */
const MAX_TRACE = 300_000;

interface Step {
  readonly name: string;
  readonly depth: number;
  ok: boolean;
  durationMs: number;
  running: boolean;
  readonly startedMs: number;
}

/** See the module. */
export class Run {
  readonly id: number;
  readonly planned: PlannedRun;
  /** The machine; null before the run begins, and when it is no longer kept. */
  source: LiveSource | null = null;
  /** Gathers what the run tells, where that is a scenario's; it is the source then. */
  recorder: RunSource | null = null;
  /** How it is watched, while it goes on. */
  observation: Observation | null = null;
  /** What it is, when no scenario runs. */
  machine: { readonly kind: "server" | "guest"; readonly command: string } | null = null;
  /** Ends it; null when nobody here can. */
  stop: (() => void) | null = null;
  #state: RunState = "queued";
  #startedMs: number | null = null;
  #progress: { done: number; total: number } | null = null;
  readonly #steps = new Map<number, Step>();
  #checks: CheckReport[] = [];
  #checksSeen = { passed: 0, failed: 0 };
  #log: string[] = [];
  #thresholds: readonly ThresholdReport[] = [];
  #report: RunReport | null = null;
  #trace: ChromeEvent[] = [];
  readonly #nowMs: () => number;

  constructor(id: number, planned: PlannedRun, nowMs: () => number) {
    this.id = id;
    this.planned = planned;
    this.#nowMs = nowMs;
  }

  get state(): RunState {
    return this.#state;
  }

  get ended(): boolean {
    return this.#state !== "queued" && this.#state !== "running";
  }

  /** What it came to; null until it has ended. */
  get report(): RunReport | null {
    return this.#report;
  }

  start(): void {
    this.#state = "running";
    this.#startedMs = this.#nowMs();
  }

  progress(done: number, total: number): void {
    this.#progress = { done, total };
  }

  event(event: RunEvent): void {
    switch (event.kind) {
      case "step":
        if (this.#steps.size >= MAX_STEPS) break;
        this.#steps.set(event.step, {
          name: event.name,
          depth: event.depth,
          ok: false,
          durationMs: 0,
          running: true,
          startedMs: this.#nowMs(),
        });
        break;
      case "step-end": {
        const step = this.#steps.get(event.step);
        if (step === undefined) break;
        step.ok = event.ok;
        step.durationMs = event.durationMs;
        step.running = false;
        break;
      }
      case "check":
        if (this.#report !== null) break;
        this.#checksSeen[event.ok ? "passed" : "failed"]++;
        // Thresholds come with the report, a moment later.
        if (this.#checks.length < MAX_CHECKS && !isThreshold(event)) {
          const { name, ok, detail } = event;
          this.#checks.push(detail === undefined ? { name, ok } : { name, ok, detail });
        }
        break;
      case "log":
        this.#log.push(event.message);
        if (this.#log.length >= 2 * MAX_LOG) this.#log = this.#log.slice(-MAX_LOG);
        break;
    }
  }

  trace(events: readonly ChromeEvent[]): void {
    if (this.#trace.length < MAX_TRACE) this.#trace = this.#trace.concat(events);
  }

  /** The run is over. */
  finish(report: RunReport): void {
    this.#state = report.status;
    this.#report = report;
    this.#steps.clear();
    const { thresholds, checks } = splitThresholds(report.checks);
    this.#thresholds = thresholds;
    this.#checks = [...checks];
    const failed = report.checks.filter(({ ok }) => !ok).length;
    this.#checksSeen = { passed: report.checks.length - failed, failed };
    this.#log = [];
    this.#progress = null;
    this.recorder?.end();
    this.observation?.close();
    this.observation = null;
    this.stop = null;
  }

  /** Forgets all but the report. */
  forgetMachine(): void {
    this.source = null;
    this.recorder = null;
    this.#trace = [];
  }

  info(): RunInfo {
    const { entry, mode, via, variant = null, seed } = this.planned;
    const report = this.#report;
    return {
      id: this.id,
      scenario: entry.name,
      title: entry.title,
      mode,
      via,
      variant,
      seed,
      state: this.#state,
      reason: report?.reason ?? null,
      startedMs: this.#startedMs,
      durationMs: report?.durationMs ??
        (this.#startedMs === null ? 0 : Math.max(0, this.#nowMs() - this.#startedMs)),
      progress: this.#progress,
      checks: { ...this.#checksSeen },
      kept: this.source !== null,
      ...(this.machine === null ? {} : { machine: this.machine.kind }),
    };
  }

  detail(): RunDetail {
    const report = this.#report;
    const nowMs = this.#nowMs();
    return {
      run: this.info(),
      steps: report === null
        ? [...this.#steps.values()].map(({ name, depth, ok, durationMs, running, startedMs }) => ({
          name,
          depth,
          ok,
          durationMs: running ? nowMs - startedMs : durationMs,
          running,
        }))
        : (report.steps ?? []).map((step) => ({ ...step, running: false })),
      thresholds: this.#thresholds,
      checks: this.#checks,
      log: report === null ? this.#log.slice(-MAX_LOG) : report.log ?? [],
      errors: report?.errors ?? [],
      output: report?.output ?? "",
      metrics: report?.metrics ?? null,
      rerun: this.machine?.command ?? rerunCommand(this.planned, null),
      artifacts: this.#artifacts(),
    };
  }

  /** The report as `--json` writes it, of this run alone. Null until it has ended. */
  jsonReport(): string | null {
    const summary = this.#summary();
    return summary === null ? null : jsonReport(summary);
  }

  /** As `--junit` writes it. Null until it has ended. */
  junitReport(): string | null {
    const summary = this.#summary();
    return summary === null ? null : junitReport(summary);
  }

  /** A Chrome trace: with every DMA when it was asked for, otherwise of what the timeline kept. */
  chromeTrace(): string | null {
    const events = this.#trace.length > 0 ? this.#trace : this.#timelineTrace();
    if (events === null) return null;
    const lines = events.map((event) => JSON.stringify(event)).join(",\n");
    return `{"displayTimeUnit":"ns","traceEvents":[\n${lines}\n]}\n`;
  }

  #timelineTrace(): ChromeEvent[] | null {
    const { source } = this;
    if (source === null) return null;
    const kept = source.timeline(0, Infinity);
    const { entry, mode, via } = this.planned;
    return traceRun({
      run: this.id,
      label: `${entry.name} ${mode} ${via}`,
      devices: source.picture().endpoints.map(({ id, device }) => ({ endpoint: id, type: device })),
      steps: [],
      events: kept.map(traceEventOf),
      dropped: source.timelineEnd - kept.length,
    });
  }

  #summary(): Summary | null {
    const report = this.#report;
    if (report === null) return null;
    return {
      runs: [report],
      seed: report.seed,
      durationMs: report.durationMs,
      ended: report.reason === "Interrupted" ? "interrupted" : "complete",
    };
  }

  #artifacts(): Artifact[] {
    const base = `/api/runs/${this.id}`;
    const artifacts: Artifact[] = [];
    if (this.#report !== null) {
      artifacts.push({
        name: "report.json",
        href: `${base}/report.json`,
        mediaType: "application/json",
        description: "The report, as --json writes it",
      }, {
        name: "junit.xml",
        href: `${base}/junit.xml`,
        mediaType: "application/xml",
        description: "The report for CI services, as --junit writes it",
      });
    }
    if (this.source !== null) {
      artifacts.push({
        name: "trace.json",
        href: `${base}/trace.json`,
        mediaType: "application/json",
        description: this.#trace.length > 0
          ? "Steps, DMA, faults and mappings: open it at ui.perfetto.dev"
          : "Faults and mappings that were kept: open it at ui.perfetto.dev",
      });
      if (this.source.messages.length > 0) {
        artifacts.push({
          name: "messages.log",
          href: `${base}/messages.log`,
          mediaType: "text/plain",
          description: "The messages of vfio-user, a line each",
        });
      }
    }
    return artifacts;
  }
}

const TRACE_KINDS: Readonly<Record<typeof TIMELINE_KINDS[number], number>> = {
  map: TraceKind.MAP,
  unmap: TraceKind.UNMAP,
  invalidate: TraceKind.INVALIDATE,
  attach: TraceKind.ATTACH,
  detach: TraceKind.DETACH,
  "page-request": TraceKind.PAGE_REQUEST,
  fault: TraceKind.DMA_READ,
};

/** An event of the timeline as the trace ring would have kept it. */
function traceEventOf(event: readonly number[]): TraceEvent {
  const [sequence, timeNs, kind, endpoint, domain, pasid, iova, length, result, access] = event;
  const name = TIMELINE_KINDS[kind!]!;
  const ofDomain = name === "map" || name === "unmap";
  const moves = name === "attach" || name === "detach";
  return {
    sequence: sequence!,
    timeNs: timeNs!,
    kind: name === "fault" && (access! & 2) !== 0 ? TraceKind.DMA_WRITE : TRACE_KINDS[name],
    endpoint: Math.max(0, ofDomain ? domain! : endpoint!),
    pasid: pasid!,
    iova: iova!,
    length: length!,
    result: moves ? domain! : name === "fault" ? Math.min(result!, Fault.UNMAPPED) : result!,
  };
}
