/**
 * Makes planned runs in a pool of child processes, one run at a time each. A
 * child serves one run after the other until a run takes it down; then another
 * takes its place and the other runs go on.
 * @module
 */

import type { ChromeEvent } from "../export/chrome_event.ts";
import { startChild } from "../child/child_start.ts";
import { consoleTail } from "../vm/console_log.ts";
import type { ChildProcess } from "../child/child_process.ts";
import type { ObserveRequest } from "../observe/observation.ts";
import type { PlannedRun } from "./plan.ts";
import { viaPatience } from "../via/availability.ts";
import type { MessageEvent, RunEvent } from "./run_events.ts";
import { type RunOutcome, RunRecord, skippedReport } from "./run_record.ts";
import type { RunReport } from "./run_report.ts";

/** Processes that may go before a run has begun in them, until that is the run's own failure. */
const TRIES = 3;

/** Milliseconds that a timer may be late without this process having been held up. */
const HELD_UP_MS = 250;

/** Lines of a guest's console in the report of a run that timed out. */
const CONSOLE_LINES = 25;

/** What the runner tells while it works. */
export interface RunnerListener {
  started(run: PlannedRun): void;
  /** `done` of `total`, as the scenario counts. */
  progress(run: PlannedRun, done: number, total: number): void;
  finished(report: RunReport, run: PlannedRun): void;
  trace(events: readonly ChromeEvent[], run: PlannedRun): void;
  /** Messages of the via's protocol, when they are asked for. */
  messages?(run: PlannedRun, messages: readonly MessageEvent[]): void;
  /** Every other event of a run that goes on, as it comes. */
  event?(run: PlannedRun, event: RunEvent): void;
  /** Asked for each try of a run: how it is to be watched, if it is. */
  observe?(run: PlannedRun): ObserveRequest | null;
}

/** How runs are made. */
export interface RunnerOptions {
  /** Child processes at a time. */
  readonly jobs: number;
  /** For every run, instead of what the scenario asks for; null leaves it to the scenario. */
  readonly timeoutMs: number | null;
  /** After a failed run: `continue`, or `stop` starting others. */
  readonly afterFailure: "continue" | "stop";
  readonly trace: "on" | "off";
  /** Whether messages of the via's protocol are told; off unless told. */
  readonly messages?: "on" | "off";
  /** Whether what a via lacks may be fetched; it may unless told. */
  readonly network?: "allowed" | "never";
  readonly listener: RunnerListener;
  /** Awaited before each run: whoever takes what runs tell has room for more. */
  readonly room?: () => Promise<void>;
  /** Why a run cannot be made here, or null. Such runs are skipped. */
  readonly skip?: (run: PlannedRun) => string | null;
  /** A child that is already there, with files loaded. The runner takes it over. */
  readonly child?: ChildProcess;
}

/** Makes runs. Use one for one list of runs. */
export class Runner {
  readonly #options: RunnerOptions;
  readonly #children = new Set<ChildProcess>();
  #interrupted = false;
  #stopped = false;

  constructor(options: RunnerOptions) {
    this.#options = options;
    if (options.child !== undefined) this.#children.add(options.child);
  }

  /** Ends what is running, at once: such runs are skipped, and so is what has not begun. */
  interrupt(): void {
    this.#interrupted = true;
    for (const child of this.#children) child.kill();
  }

  /**
   * Makes all runs, in order but for those that overlap. Resolves with their
   * reports, in the order of `runs`.
   * @throws {Error} when a child process cannot be started
   */
  async run(runs: readonly PlannedRun[]): Promise<RunReport[]> {
    const queue = [...runs];
    const reports = new Map<PlannedRun, RunReport>();
    const finish = (run: PlannedRun, report: RunReport): void => {
      reports.set(run, report);
      if (report.status === "failed" && this.#options.afterFailure === "stop") this.#stopped = true;
      this.#options.listener.finished(report, run);
    };
    const work = async (first: ChildProcess | null): Promise<void> => {
      let child = first;
      for (;;) {
        await this.#options.room?.();
        if (this.#interrupted || this.#stopped) break;
        const run = queue.shift();
        if (run === undefined) break;
        this.#options.listener.started(run);
        const unable = this.#options.skip?.(run) ?? null;
        if (unable !== null) {
          finish(run, skippedReport(run, unable));
          continue;
        }
        let report: RunReport | null = null;
        for (let tries = 1; report === null; tries++) {
          if (child === null || !child.alive) child = await this.#start();
          report = child === null || this.#interrupted
            ? skippedReport(run, "Interrupted")
            : await this.#runOn(child, run, tries < TRIES ? "retry" : "report");
        }
        finish(run, report);
      }
    };
    const jobs = Math.max(1, Math.min(this.#options.jobs, runs.length));
    try {
      await Promise.all(
        Array.from(
          { length: jobs },
          (_, at) => work(at === 0 ? this.#options.child ?? null : null),
        ),
      );
    } finally {
      for (const child of this.#children) child.kill();
      await Promise.all([...this.#children].map((child) => child.ended));
    }
    const reason = this.#interrupted ? "Interrupted" : "Not started: another run failed (--bail)";
    for (const run of queue) finish(run, skippedReport(run, reason));
    return runs.map((run) => reports.get(run)!);
  }

  /** Null when an interrupt has ended the process while it was starting. */
  async #start(): Promise<ChildProcess | null> {
    try {
      return await startChild((started) => this.#children.add(started));
    } catch (error) {
      if (this.#interrupted) return null;
      throw error;
    }
  }

  /** Null when the process was gone before the run began, and `early` is `retry`: another did that. */
  #runOn(
    child: ChildProcess,
    run: PlannedRun,
    early: "retry" | "report",
  ): Promise<RunReport | null> {
    const { listener, timeoutMs } = this.#options;
    const record = new RunRecord(run, () => performance.now());
    let outcome: RunOutcome | null = null;
    let marked = false;
    return new Promise((resolve) => {
      const limit = timeoutMs ?? run.entry.timeoutMs * viaPatience(run.via);
      /** The reason stands; the run is over when the process is. */
      const condemn = (why: RunOutcome): void => {
        outcome ??= why;
        child.kill();
      };
      let timer: ReturnType<typeof setTimeout>;
      const wait = (ms: number): void => {
        const dueMs = performance.now() + ms;
        timer = setTimeout(() => {
          // A stopped terminal, or a reader of stdout that takes its time, holds this process up,
          // and what the run has told since has not been heard: that time is not the run's.
          const lateMs = performance.now() - dueMs;
          if (lateMs > HELD_UP_MS) wait(lateMs);
          else giveUp();
        }, ms);
      };
      const giveUp = (): void => {
        // The guest's files end with the process that is ended for it.
        const { consoleLog } = record;
        const console = consoleLog === null ? {} : {
          console: consoleTail(consoleLog, CONSOLE_LINES),
        };
        condemn({ kind: "timed-out", timeoutMs: limit, ...console });
      };
      const settle = (end: RunOutcome): void => {
        clearTimeout(timer);
        child.listener = null;
        const final: RunOutcome = this.#interrupted && !record.ended
          ? { kind: "interrupted" }
          : end;
        resolve(record.report(final, timeoutMs));
      };
      const endWhenDone = (): void => {
        if (record.ended && marked && outcome === null) settle({ kind: "ended" });
      };
      child.listener = {
        message(message) {
          if (message.kind !== "event" || message.id !== run.index || record.ended) {
            return condemn({ kind: "garbled", line: JSON.stringify(message) });
          }
          const { event } = message;
          if (event.kind === "progress") listener.progress(run, event.done, event.total);
          else if (event.kind === "trace") listener.trace(event.events, run);
          else if (event.kind === "messages") listener.messages?.(run, event.messages);
          else {
            record.event(event);
            listener.event?.(run, event);
          }
          endWhenDone();
        },
        text(stream, text) {
          record.print(stream, text);
        },
        stderrMark() {
          marked = true;
          endWhenDone();
        },
        garbled(line) {
          condemn({ kind: "garbled", line });
        },
        exited: (how) => {
          this.#children.delete(child);
          if (outcome === null && !record.begun && !this.#interrupted && early === "retry") {
            clearTimeout(timer);
            child.listener = null;
            return resolve(null);
          }
          settle(outcome ?? { kind: "died", how });
        },
      };
      const observe = listener.observe?.(run) ?? null;
      wait(limit);
      child.send({
        kind: "run",
        id: run.index,
        file: run.entry.file,
        mode: run.mode,
        via: run.via,
        ...(run.variant === undefined ? {} : { variant: run.variant }),
        seed: run.seed,
        trace: this.#options.trace,
        messages: this.#options.messages ?? "off",
        ...(this.#options.network === undefined ? {} : { network: this.#options.network }),
        ...(observe === null ? {} : { observe }),
      });
    });
  }
}
