/**
 * Gathers what a run tells, and makes its report, also of a run that was cut off.
 * @module
 */

import { type PlannedRun, rerunCommand } from "./plan.ts";
import type { RunEnd, RunEvent } from "./run_events.ts";
import { type CheckReport, NO_METRICS, type RunReport, type StepReport } from "./run_report.ts";

/** How a run came to its end. */
export type RunOutcome =
  | { readonly kind: "ended" }
  /** Its process has gone. */
  | { readonly kind: "died"; readonly how: string }
  /** `console` is what its guest printed last; absent without one. */
  | { readonly kind: "timed-out"; readonly timeoutMs: number; readonly console?: string }
  /** It wrote something with the runner's nonce that the runner did not ask for. */
  | { readonly kind: "garbled"; readonly line: string }
  | { readonly kind: "interrupted" };

// A scenario that loops may tell things for ever; a report has an end.
const MAX_CHECKS = 10_000;
const MAX_STEPS = 10_000;
const MAX_LOG = 1000;
/** Errors of one run. */
export const MAX_ERRORS = 100;
const MAX_OUTPUT = 64 * 1024;

/** Keeps the last lines and counts those that went. */
class Tail {
  readonly #lines: string[] = [];
  #dropped = 0;

  push(line: string): void {
    this.#lines.push(line);
    // Cut in lumps: one by one would move the array each time.
    if (this.#lines.length >= 2 * MAX_LOG) this.#dropped += this.#lines.splice(0, MAX_LOG).length;
  }

  lines(): string[] {
    const extra = Math.max(0, this.#lines.length - MAX_LOG);
    const dropped = this.#dropped + extra;
    const kept = this.#lines.slice(extra);
    return dropped === 0 ? kept : [`(${dropped} earlier lines left out)`, ...kept];
  }
}

interface OpenStep {
  readonly at: number;
  readonly name: string;
  readonly startedMs: number;
}

/** The record of one run. */
export class RunRecord {
  readonly #checks: CheckReport[] = [];
  #checksLeftOut = 0;
  #failedLeftOut = 0;
  readonly #steps: StepReport[] = [];
  readonly #open = new Map<number, OpenStep>();
  readonly #log = new Tail();
  #output = "";
  #printedPast = false;
  readonly #errors: string[] = [];
  #errorsLeftOut = 0;
  #consoleLog: string | null = null;
  #end: RunEnd | null = null;
  #begun = false;

  /** `nowMs` is a clock of the wall, for steps and runs that are cut off. */
  constructor(
    private readonly run: PlannedRun,
    private readonly nowMs: () => number,
    private readonly startedMs: number = nowMs(),
  ) {}

  /** Whether the run has come to its own end. */
  get ended(): boolean {
    return this.#end !== null;
  }

  /** Whether anything of the scenario may have run. */
  get begun(): boolean {
    return this.#begun;
  }

  /** The file of its guest's console; null without one. */
  get consoleLog(): string | null {
    return this.#consoleLog;
  }

  /** Takes one event. Progress and traces are not kept. */
  event(event: RunEvent): void {
    switch (event.kind) {
      case "begin":
        this.#begun = true;
        break;
      case "step":
        if (this.#steps.length >= MAX_STEPS) break;
        this.#open.set(event.step, {
          at: this.#steps.length,
          name: event.name,
          startedMs: this.nowMs(),
        });
        this.#steps.push({ name: event.name, depth: event.depth, ok: false, durationMs: 0 });
        break;
      case "step-end": {
        const open = this.#open.get(event.step);
        if (open === undefined) break;
        this.#open.delete(event.step);
        const { ok, durationMs } = event;
        this.#steps[open.at] = { ...this.#steps[open.at]!, ok, durationMs };
        break;
      }
      case "check":
        if (this.#checks.length < MAX_CHECKS) {
          const { name, ok, detail } = event;
          this.#checks.push(detail === undefined ? { name, ok } : { name, ok, detail });
        } else {
          this.#checksLeftOut++;
          if (!event.ok) this.#failedLeftOut++;
        }
        break;
      case "log":
        this.#log.push(event.message);
        break;
      case "error":
        if (this.#errors.length < MAX_ERRORS) this.#errors.push(event.text);
        else this.#errorsLeftOut++;
        break;
      case "console":
        this.#consoleLog = event.path;
        break;
      case "end":
        this.#end = event;
        break;
    }
  }

  /** Takes what the scenario has printed. */
  print(stream: "stdout" | "stderr", text: string): void {
    if (stream === "stdout") this.#printedPast = true;
    this.#output += text;
    if (this.#output.length > 2 * MAX_OUTPUT) this.#output = this.#output.slice(-MAX_OUTPUT);
  }

  #reason(outcome: RunOutcome): string | null {
    const inside = [...this.#open.values()].map(({ name }) => name).join(" > ");
    const where = inside === "" ? "" : ` in step "${inside}"`;
    switch (outcome.kind) {
      case "interrupted":
        return "Interrupted";
      case "timed-out": {
        const late = `imed out after ${outcome.timeoutMs} ms${where}`;
        const before = this.#errors[0]?.split("\n", 1)[0];
        return before === undefined ? `T${late}` : `${before}; then t${late}`;
      }
      case "died":
        return `Ended its process (${outcome.how})${where}`;
      case "garbled":
        return `Wrote a line to the runner's channel that is no message: ${
          outcome.line.slice(0, 80)
        }`;
      case "ended":
    }
    const first = this.#end?.errors[0];
    if (first !== undefined) return first.split("\n", 1)[0]!;
    const failed = this.#checks.filter(({ ok }) => !ok);
    const failures = failed.length + this.#failedLeftOut;
    if (failures > 0) {
      const all = this.#checks.length + this.#checksLeftOut;
      const example = failed[0] === undefined ? "" : `: ${failed[0].name}`;
      return `${failures} of ${all} checks failed${example}`;
    }
    if (this.#printedPast) {
      return "Printed on stdout past the console, where results go: use console.log() or t.log()";
    }
    return null;
  }

  #allErrors(outcome: RunOutcome): readonly string[] {
    if (this.#end !== null) {
      const { errors } = this.#end;
      return withLeftOut(errors.slice(0, MAX_ERRORS), errors.length - MAX_ERRORS);
    }
    const errors = withLeftOut(this.#errors, this.#errorsLeftOut);
    if (outcome.kind !== "timed-out" || outcome.console === undefined) return errors;
    const { console } = outcome;
    return [
      ...errors,
      console === ""
        ? "The guest's console is empty"
        : `The end of the guest's console:\n${console}`,
    ];
  }

  /** The report of the run. `timeoutMs` is what `--timeout` said, or null. */
  report(outcome: RunOutcome, timeoutMs: number | null): RunReport {
    const elapsed = this.nowMs() - this.startedMs;
    for (const { at, startedMs } of this.#open.values()) {
      this.#steps[at] = { ...this.#steps[at]!, durationMs: this.nowMs() - startedMs };
    }
    const reason = this.#reason(outcome);
    const status = outcome.kind === "interrupted"
      ? "skipped"
      : reason === null
      ? "passed"
      : "failed";
    const log = this.#log.lines();
    if (this.#checksLeftOut > 0) log.push(`(${this.#checksLeftOut} further checks left out)`);
    const errors = this.#allErrors(outcome);
    const { entry, mode, via, variant, seed } = this.run;
    return {
      scenario: entry.name,
      mode,
      via,
      ...(variant === undefined ? {} : { variant }),
      status,
      ...(reason === null ? {} : { reason }),
      durationMs: round(this.#end?.durationMs ?? elapsed),
      checks: this.#checks,
      metrics: this.#end?.metrics ?? NO_METRICS,
      seed,
      ...(status === "failed" ? { rerun: rerunCommand(this.run, timeoutMs) } : {}),
      ...(errors.length === 0 ? {} : { errors }),
      ...(this.#steps.length === 0 ? {} : {
        steps: this.#steps.map((step) => ({ ...step, durationMs: round(step.durationMs) })),
      }),
      ...(log.length === 0 ? {} : { log }),
      ...(this.#output === "" ? {} : { output: this.#output.slice(-MAX_OUTPUT) }),
    };
  }
}

/** The errors, and how many there were beyond them. */
function withLeftOut(errors: readonly string[], leftOut: number): readonly string[] {
  return leftOut > 0 ? [...errors, `(${leftOut} further errors left out)`] : errors;
}

/** Milliseconds to the microsecond. */
function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}

/** The report of a run that was never started. */
export function skippedReport(run: PlannedRun, reason: string): RunReport {
  const { entry, mode, via, variant, seed } = run;
  return {
    scenario: entry.name,
    mode,
    via,
    ...(variant === undefined ? {} : { variant }),
    status: "skipped",
    reason,
    durationMs: 0,
    checks: [],
    metrics: NO_METRICS,
    seed,
  };
}
