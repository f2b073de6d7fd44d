/**
 * The runs of the dashboard: those that its page starts, one after another, or those of a command
 * line that it looks on.
 * @module
 */

import type { ObserveRequest } from "../harness/observe/observation.ts";
import type { Observation, ObservationListener } from "../harness/observe/observer.ts";
import { randomSeed } from "../harness/random.ts";
import type { CatalogEntry, PlannedRun } from "../harness/run/plan.ts";
import { Runner, type RunnerListener } from "../harness/run/runner.ts";
import { skippedReport } from "../harness/run/run_record.ts";
import { type RunReport, totalsOf } from "../harness/run/run_report.ts";
import { BUILT_MODES, BUILT_VIAS } from "../harness/via/availability.ts";
import type { Mode, RunInfo, RunList, ScenarioList, StartRun, Via } from "./api.ts";
import { HttpProblem } from "./problem.ts";
import { Run } from "./run.ts";
import { RunSource } from "./run_source.ts";
import type { LiveSource } from "./source.ts";

/** Runs that are listed. */
const RUNS_LISTED = 500;
/** Of those, the newest whose machines can still be looked at. */
const RUNS_KEPT = 8;
/** Runs that may wait. */
const MAX_QUEUED = 32;
/** Runs of a scenario's history. */
const HISTORY = 20;

/** What a directory is made of. */
export interface RunsOptions {
  /** What may be started, and nothing else: no name reaches the file system. */
  readonly catalog: readonly CatalogEntry[];
  /** Null when a run cannot be watched: then its report is all there is of it. */
  readonly observer: { watch(listener: ObservationListener): Observation | null };
  /** `page`: runs are started here. `command`: they come through {@linkcode Runs.listener}. */
  readonly startedBy: "page" | "command";
  /** Milliseconds of the wall since 1970. */
  readonly nowMs?: () => number;
  /** Makes a run's runner; for tests. */
  readonly makeRunner?: (listener: RunnerListener, trace: "on" | "off") => RunnerLike;
  /** Gets errors of the runner itself. */
  readonly onError?: (error: unknown) => void;
}

/** A machine as {@linkcode Runs.adopt} lists it. */
export interface AdoptedMachine {
  /** `serve edu`. */
  readonly name: string;
  readonly title: string;
  readonly mode: Mode;
  readonly via: Via;
  /** What it is, and the command that starts it; left out where it is neither. */
  readonly machine?: { readonly kind: "server" | "guest"; readonly command: string };
}

/** A machine that is shown. */
export interface Adopted {
  /** Adds a line to what it said. */
  log(line: string): void;
  /** It is over: what it left stays to be looked at. Idempotent. */
  end(): void;
}

/** What is used of a {@linkcode Runner}. */
export interface RunnerLike {
  run(runs: readonly PlannedRun[]): Promise<unknown>;
  interrupt(): void;
}

function makeRunner(listener: RunnerListener, trace: "on" | "off"): RunnerLike {
  return new Runner({
    jobs: 1,
    timeoutMs: null,
    afterFailure: "continue",
    trace,
    messages: "on",
    listener,
  });
}

/** See the module. */
export class Runs {
  readonly #options: RunsOptions;
  readonly #nowMs: () => number;
  /** Ascending by ID. */
  #runs: Run[] = [];
  readonly #byPlan = new Map<PlannedRun, Run>();
  readonly #queue: { readonly run: Run; readonly trace: "on" | "off" }[] = [];
  #working: Promise<void> = Promise.resolve();
  #lastId = 0;
  #forgotten = 0;
  #current: Run | null = null;
  #closed = false;
  /** Runs that have ended, but whose last words are still on their way. */
  readonly #settling = new Set<Promise<void>>();
  readonly #changed = new Set<() => void>();

  constructor(options: RunsOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? Date.now;
  }

  /** For the runner of a command line. Events of runs it has not started are runs of their own. */
  get listener(): RunnerListener {
    return {
      started: (planned) => this.#started(this.#runOf(planned)),
      progress: (planned, done, total) => this.#runOf(planned).progress(done, total),
      event: (planned, event) => this.#runOf(planned).event(event),
      messages: (planned, messages) => this.#runOf(planned).recorder?.takeMessages(messages),
      trace: (events, planned) => this.#runOf(planned).trace(events),
      observe: (planned) => this.#observe(this.#runOf(planned)),
      finished: (report, planned) => {
        const settling = this.#settle(this.#runOf(planned), report)
          .finally(() => this.#settling.delete(settling));
        this.#settling.add(settling);
      },
    };
  }

  /** Called whenever a run begins or ends. @returns how to end that */
  onChange(changed: () => void): () => void {
    this.#changed.add(changed);
    return () => this.#changed.delete(changed);
  }

  /** The run that is shown: see `api.ts`. */
  get current(): Run | null {
    if (this.#current?.ended !== true) return this.#current;
    // Another may have begun before it, and still go on.
    return this.#runs.findLast(({ state }) => state === "running") ?? this.#current;
  }

  get(id: number): Run | null {
    return this.#runs.find((run) => run.id === id) ?? null;
  }

  list(): RunList {
    const reports = this.#runs.flatMap(({ report }) => report === null ? [] : [report]);
    return {
      runs: this.#runs.map((run) => run.info()).reverse(),
      totals: totalsOf(reports),
      forgotten: this.#forgotten,
      canStart: this.#options.startedBy === "page",
    };
  }

  scenarios(): ScenarioList {
    return {
      scenarios: this.#options.catalog.map((entry) => ({
        name: entry.name,
        title: entry.title,
        tags: entry.tags,
        modes: entry.modes,
        vias: entry.vias,
        timeoutMs: entry.timeoutMs,
        history: this.#runs.filter(({ planned }) => planned.entry.name === entry.name)
          .slice(-HISTORY)
          .map((run) => {
            const { id, state, durationMs } = run.info();
            return { run: id, state, durationMs };
          }),
      })),
      modes: BUILT_MODES,
      vias: BUILT_VIAS,
    };
  }

  /** Starts a run, or lets it wait for its turn. @throws {HttpProblem} for what is not in the catalogue, or not built */
  start(wish: StartRun): RunInfo {
    if (this.#options.startedBy !== "page") {
      throw new HttpProblem("conflict", "The runs of this dashboard are those of a command line");
    }
    const { scenario, mode, via } = wish;
    const entry = this.#options.catalog.find(({ name }) => name === scenario);
    if (entry === undefined) {
      throw new HttpProblem("bad-request", "There is no such scenario; /api/scenarios lists them");
    }
    const modes = entry.modes.filter((mode) => BUILT_MODES.includes(mode));
    const vias = entry.vias.filter((via) => BUILT_VIAS.includes(via));
    if (!modes.includes(mode) || !vias.includes(via)) {
      throw new HttpProblem(
        "bad-request",
        `${entry.name} runs in ${modes.join(", ")} via ${vias.join(", ")}`,
      );
    }
    if (this.#queue.length >= MAX_QUEUED) {
      throw new HttpProblem("conflict", `${MAX_QUEUED} runs wait already: stop some, or wait`);
    }
    const planned: PlannedRun = { index: 0, entry, mode, via, seed: wish.seed ?? randomSeed() };
    const run = this.#runOf(planned);
    const place = { run, trace: wish.trace ?? "off" };
    this.#queue.push(place);
    run.stop = () => {
      const at = this.#queue.indexOf(place);
      if (at < 0) return;
      this.#queue.splice(at, 1);
      this.#byPlan.delete(planned);
      run.finish(skippedReport(planned, "Interrupted"));
      this.#tellChanged();
    };
    this.#working = this.#working.then(() => this.#work());
    return run.info();
  }

  /**
   * Shows a machine that no scenario runs on: a device server's, or that of a virtual machine. It is
   * listed as a run, and shown until the next begins.
   */
  adopt(what: AdoptedMachine, source: LiveSource): Adopted {
    const { name, title, mode, via } = what;
    const planned: PlannedRun = {
      index: 0,
      entry: {
        name,
        title,
        tags: [],
        modes: [mode],
        vias: [via],
        timeoutMs: 0,
        file: "",
        argument: name,
      },
      mode,
      via,
      seed: 0,
    };
    const run = this.#runOf(planned);
    run.source = source;
    run.machine = what.machine ?? null;
    this.#started(run);
    return {
      log: (line) => run.event({ kind: "log", message: line }),
      end: () => {
        if (run.ended) return;
        this.#byPlan.delete(planned);
        run.finish({ ...skippedReport(planned, "Ended"), metrics: source.picture().totals });
        this.#tellChanged();
      },
    };
  }

  /** Ends a run, or takes it from the queue. Null when there is no such run. @throws {HttpProblem} when it cannot be */
  stop(id: number): RunInfo | null {
    const run = this.get(id);
    if (run === null) return null;
    if (run.ended) throw new HttpProblem("conflict", "The run has ended already");
    if (run.stop === null) {
      throw new HttpProblem("conflict", "The run is a command line's: end it there, with Ctrl-C");
    }
    run.stop();
    return run.info();
  }

  /** Ends what is running and what waits. Resolves when no process of a run is left. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const run of this.#runs) if (!run.ended) run.stop?.();
    await this.#working;
    await this.settled();
  }

  /** Resolves when all that runs which have ended told is there. */
  async settled(): Promise<void> {
    await Promise.all(this.#settling);
  }

  #runOf(planned: PlannedRun): Run {
    let run = this.#byPlan.get(planned);
    if (run !== undefined) return run;
    run = new Run(++this.#lastId, planned, this.#nowMs);
    this.#byPlan.set(planned, run);
    this.#runs.push(run);
    if (this.#runs.length > RUNS_LISTED) {
      const oldest = this.#runs.findIndex((other) => other.ended && other !== this.#current);
      if (oldest >= 0) {
        this.#runs.splice(oldest, 1);
        this.#forgotten++;
      }
    }
    return run;
  }

  #started(run: Run): void {
    run.start();
    this.#current = run;
    const kept = this.#runs.filter(({ source }) => source !== null);
    for (const old of kept.slice(0, Math.max(0, kept.length - RUNS_KEPT + 1))) {
      if (old.ended) old.forgetMachine();
    }
    this.#tellChanged();
  }

  /** A run may be tried again in another process: then the first try never began. */
  #observe(run: Run): ObserveRequest | null {
    run.observation?.close();
    const observation = this.#options.observer.watch({
      observed: (message) => source.take(message),
      closed: () => {},
    });
    if (observation === null) return null;
    const source = new RunSource((ask) => observation.ask(ask));
    run.observation = observation;
    run.recorder = source;
    run.source = source;
    return observation.request;
  }

  async #settle(run: Run, report: RunReport): Promise<void> {
    await run.observation?.told();
    this.#byPlan.delete(run.planned);
    run.finish(report);
    this.#tellChanged();
  }

  async #work(): Promise<void> {
    const next = this.#queue.shift();
    if (next === undefined || this.#closed) return;
    const { run, trace } = next;
    const runner = (this.#options.makeRunner ?? makeRunner)(this.listener, trace);
    run.stop = () => runner.interrupt();
    try {
      await runner.run([run.planned]);
      await this.settled();
    } catch (error) {
      this.#options.onError?.(error);
    }
    if (!run.ended) {
      run.finish(skippedReport(run.planned, "The runner failed: see the terminal"));
      this.#byPlan.delete(run.planned);
      this.#tellChanged();
    }
  }

  #tellChanged(): void {
    for (const changed of this.#changed) changed();
  }
}
