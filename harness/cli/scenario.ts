/**
 * `deno task scenario`: finds scenarios, runs them, reports.
 * @module
 */

import { setColorEnabled } from "@std/fmt/colors";
import type { Via } from "../scenario.ts";
import { BUILT_MODES, USUAL_VIAS } from "../via/availability.ts";
import { prepareVias } from "../via/prepare.ts";
import { type Catalog, loadCatalog } from "../run/catalog.ts";
import type { ChildProcess } from "../child/child_process.ts";
import { ChromeTraceFile } from "../export/chrome_trace_file.ts";
import { MessageFile, type MessageRun } from "../export/message_file.ts";
import { messageFormat } from "../export/message_writer.ts";
import { type CatalogEntry, type PlannedRun, planRuns } from "../run/plan.ts";
import { dot } from "../report/dot.ts";
import { htmlReport } from "../report/html/html_report.ts";
import type { ReportFile } from "../report/html/overview.ts";
import { jsonReport } from "../report/json.ts";
import { jsonl } from "../report/jsonl.ts";
import { junitReport } from "../report/junit.ts";
import { listAsJson, listAsTable } from "../report/list.ts";
import { pretty } from "../report/pretty.ts";
import type { MakeReporter, Summary } from "../report/reporter.ts";
import { COLOURED, PLAIN } from "../report/style.ts";
import { tap } from "../report/tap.ts";
import { Runner, type RunnerListener } from "../run/runner.ts";
import { viaLabel } from "../via/variant.ts";
import { endWhenUncaught, tellFailure, tellUnwritten } from "./command_failure.ts";
import { onEndSignal } from "./end_signals.ts";
import { INTERNAL, INTERRUPTED } from "./exit_code.ts";
import { didYouMean } from "./suggest.ts";
import { UsageError } from "./usage_error.ts";
import { openOutputs, type Outputs } from "./output_file.ts";
import { ProgressLine } from "./progress.ts";
import {
  parseScenarioCommand,
  type ReporterName,
  type ScenarioCommand,
} from "./scenario_options.ts";
import { Terminal } from "./terminal.ts";

/** Exit codes (DESIGN.md, 5), beside those of `exit_code.ts`. */
const PASSED = 0, FAILED = 1;

/** Characters of a line that is not on a terminal. */
const COLUMNS = 100;

const MAKE_REPORTER: Readonly<Record<ReporterName, MakeReporter>> = { pretty, dot, tap, jsonl };

const stdout = new Terminal(Deno.stdout);
const stderr = new Terminal(Deno.stderr);
const COMMAND = { task: "scenario", culprit: "the scenario runner", stderr };

function columns(terminal: Terminal): number {
  if (!terminal.isTerminal) return COLUMNS;
  try {
    return Deno.consoleSize().columns || COLUMNS;
  } catch {
    return COLUMNS;
  }
}

/** Who looks on while the runs are made: the dashboard, which this layer does not know. */
export interface Onlooker {
  /** Is told what the reporters are told, and more. */
  readonly listener: RunnerListener;
  /** The link for people. */
  readonly link: string;
  /** The runs are over: resolves when nobody looks on any more, or at once when `interrupted` is. */
  close(interrupted: Promise<void>): Promise<void>;
}

/** Brings an {@linkcode Onlooker} to the port. @throws {UsageError} when it cannot be had */
export type OpenOnlooker = (entries: readonly CatalogEntry[], port: number) => Promise<Onlooker>;

/** Gives everything to both; the first is the one that counts. */
function together(first: RunnerListener, second: RunnerListener | null): RunnerListener {
  if (second === null) return first;
  return {
    started: (run) => (second.started(run), first.started(run)),
    progress: (run, done, total) => (
      second.progress(run, done, total), first.progress(run, done, total)
    ),
    finished: (report, run) => (second.finished(report, run), first.finished(report, run)),
    trace: (events, run) => (second.trace(events, run), first.trace(events, run)),
    messages: (run, messages) => (
      second.messages?.(run, messages), first.messages?.(run, messages)
    ),
    event: (run, event) => second.event?.(run, event),
    observe: (run) => second.observe?.(run) ?? null,
  };
}

/** What Ctrl-C ends: whatever is going on at the moment. */
class Interrupt {
  /** What to do about it now. */
  action: () => void = () => {};
  readonly #controller = new AbortController();
  readonly #first = Promise.withResolvers<void>();

  constructor() {
    const end = (): void => {
      this.#controller.abort();
      this.#first.resolve();
      this.action();
    };
    // Who asks twice has waited long enough.
    onEndSignal(end, () => Deno.exit(INTERRUPTED));
  }

  get happened(): boolean {
    return this.signal.aborted;
  }

  /** Resolves with the first Ctrl-C, also when that is over already. */
  get first(): Promise<void> {
    return this.#first.promise;
  }

  /** Aborted by it. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Resolves with the first Ctrl-C from now on; what was going on has ended by itself. */
  next(): Promise<void> {
    return new Promise((resolve) => this.action = resolve);
  }
}

/** The scenarios that `--grep` and `--tag` leave. */
function filter(entries: readonly CatalogEntry[], command: ScenarioCommand): CatalogEntry[] {
  const { grep, tags } = command;
  const known = [...new Set(entries.flatMap((entry) => entry.tags))].sort();
  for (const tag of tags) {
    if (known.includes(tag)) continue;
    const there = known.length === 0 ? "no scenario has a tag" : `there are ${known.join(", ")}`;
    throw new UsageError(`No scenario has the tag ${tag}${didYouMean(tag, known)}; ${there}`);
  }
  const left = entries.filter(({ name, tags: own }) =>
    (grep === null || grep.test(name)) &&
    (tags.length === 0 || tags.some((tag) => own.includes(tag)))
  );
  if (left.length === 0) {
    const asked = [
      ...grep === null ? [] : [`--grep ${grep.source}`],
      ...tags.length === 0 ? [] : [`--tag ${tags.join(",")}`],
    ];
    throw new UsageError(
      `No scenario is left by ${asked.join(" and ")}; without, there are ${
        entries.map(({ name }) => name).join(", ")
      }`,
    );
  }
  return left;
}

function plan(entries: readonly CatalogEntry[], command: ScenarioCommand): PlannedRun[] {
  const modes = command.modes ?? BUILT_MODES;
  const vias = command.vias ?? USUAL_VIAS;
  const { variants, seed, repeat, shard } = command;
  const runs = planRuns(entries, { modes, vias, variants, seed, repeat });
  if (runs.length === 0) {
    const can = entries.slice(0, 8).map(({ name, modes, vias }) =>
      `${name} runs in ${modes.join(", ")} via ${vias.join(", ")}`
    );
    const how = variants === null ? "" : ` with variant ${variants.join(", ")}`;
    throw new UsageError(
      `Nothing to run in ${modes.join(", ")} via ${vias.join(", ")}${how}: ${can.join("; ")}`,
    );
  }
  return shard === null ? runs : planRuns(entries, { modes, vias, variants, seed, repeat, shard });
}

/** Those that would run as `--mode`, `--via` and `--variant` ask for; all when none of them is given. */
function runnable(
  entries: readonly CatalogEntry[],
  command: ScenarioCommand,
): readonly CatalogEntry[] {
  const { modes, vias, variants } = command;
  if (modes === null && vias === null && variants === null) return entries;
  const runs = plan(entries, { ...command, repeat: 1, shard: null });
  const listed = new Set(runs.map(({ entry }) => entry));
  return entries.filter((entry) => listed.has(entry));
}

async function runAll(
  runs: readonly PlannedRun[],
  catalog: Catalog,
  command: ScenarioCommand,
  trace: ChromeTraceFile | null,
  messages: MessageFile | null,
  onlooker: Onlooker | null,
  missing: ReadonlyMap<Via, string>,
  interrupt: Interrupt,
  outputs: Pick<Outputs<string>, "room" | "slow" | "takesStdout">,
): Promise<Summary> {
  const results = outputs.takesStdout ? stderr : stdout;
  const messageRuns = new Map<PlannedRun, MessageRun>();
  const traced = new Set<PlannedRun>();
  const coloured = command.colour === "auto" && results.isTerminal && !Deno.noColor;
  if (coloured) setColorEnabled(true);
  const reporter = MAKE_REPORTER[command.reporter]({
    write: (text) => results.write(text),
    style: coloured ? COLOURED : PLAIN,
    columns: columns(results),
  });
  // Dots are progress themselves, and on one terminal the line would be drawn over them.
  const drawn = command.reporter === "dot" && results.isTerminal ? null : stderr;
  const progress = new ProgressLine(drawn, runs.length, () => columns(stderr));
  const toldSlow = new Set<string>();
  const room = async (): Promise<void> => {
    for (const output of outputs.slow) {
      if (toldSlow.has(output)) continue;
      toldSlow.add(output);
      progress.clear();
      stderr.write(`Waiting for the reader of ${output}\n`);
    }
    await Promise.race([outputs.room(), interrupt.first]);
  };
  const runner = new Runner({
    jobs: command.jobs,
    timeoutMs: command.timeoutMs,
    afterFailure: command.afterFailure,
    trace: trace === null ? "off" : "on",
    messages: messages === null && onlooker === null ? "off" : "on",
    network: command.network,
    child: catalog.child,
    room,
    skip: ({ via }) => missing.get(via) ?? null,
    listener: together({
      started: (run) => {
        progress.started(run);
        const { mode, via, variant, seed } = run;
        const label = `${run.entry.name} ${mode} via ${viaLabel(via, variant)} seed ${seed}`;
        messageRuns.set(run, { label, startedMs: performance.now() });
      },
      progress: (run, done, total) => progress.progress(run, done, total),
      finished: (report, run) => {
        progress.clear();
        // A run tells its trace when it is over, which one that is cut off never is.
        const isTraced = traced.delete(run);
        if (trace !== null && report.status === "failed" && !isTraced) {
          const { label } = messageRuns.get(run)!;
          stderr.write(
            `Nothing of ${label} is in --trace ${command.trace}: it did not come that far\n`,
          );
        }
        reporter.finished(report);
        progress.finished(run);
        messages?.end(messageRuns.get(run)!);
        messageRuns.delete(run);
      },
      trace: (events, run) => {
        traced.add(run);
        trace?.add(events);
      },
      messages: (run, some) => messages?.add(messageRuns.get(run)!, some),
    }, onlooker?.listener ?? null),
  });
  interrupt.action = () => runner.interrupt();
  if (interrupt.happened) runner.interrupt();
  const started = performance.now();
  reporter.begin(runs.length);
  const reports = await runner.run(runs);
  progress.clear();
  const summary: Summary = {
    runs: reports,
    seed: command.seed,
    durationMs: performance.now() - started,
    ended: interrupt.happened ? "interrupted" : "complete",
  };
  reporter.end(summary);
  return summary;
}

/** The files that a page about the runs should name. */
function filesBeside(command: ScenarioCommand): ReportFile[] {
  return (["json", "junit", "trace", "messages"] as const).flatMap((flag) => {
    const path = command[flag];
    return path === null ? [] : [{ flag: `--${flag}`, path }];
  });
}

async function main(args: readonly string[], open: OpenOnlooker | null): Promise<number> {
  const command = parseScenarioCommand(args, (text) => stdout.write(text));
  if (command === null) return PASSED;
  const { json, junit, html, trace, messages } = command;
  const interrupt = new Interrupt();
  let loading: ChildProcess | null = null;
  interrupt.action = () => loading?.kill();
  let catalog: Catalog;
  try {
    catalog = await loadCatalog(command.names, { started: (child) => loading = child });
  } catch (error) {
    if (interrupt.happened) return INTERRUPTED;
    throw error;
  }
  let onlooker: Onlooker | null = null;
  try {
    const entries = filter(catalog.entries, command);
    if (command.list === "list") {
      const listed = runnable(entries, command);
      const text = command.reporter === "jsonl" ? listAsJson(listed) : listAsTable(listed, PLAIN);
      stdout.write(text);
      return PASSED;
    }
    const runs = plan(entries, command);
    using outputs = openOutputs({ json, junit, html, trace, messages });
    if (command.dashboard !== null) {
      if (open === null) {
        throw new UsageError("Cannot serve --dashboard from here: start it as deno task scenario");
      }
      onlooker = await open(entries, command.dashboard);
      stderr.write(`dashboard ${onlooker.link}\n`);
    }
    const missing = await prepareVias(new Set(runs.map(({ via }) => via)), {
      terminal: stderr,
      network: command.network,
      signal: interrupt.signal,
    });
    for (const [via, why] of missing) {
      // Elsewhere a machine may do without; there nobody would see that it did.
      if (Deno.env.get("CI") === "true") {
        stderr.write(`FAILED: nothing can run via ${via} here. ${why}\n`);
        return FAILED;
      }
      stderr.write(`SKIPPED: all runs via ${via}. ${why.replaceAll("\n", "; ")}\n`);
    }
    const { files } = outputs;
    const traceFile = files.trace === null ? null : new ChromeTraceFile(files.trace);
    const messageFile = messages === null || files.messages === null
      ? null
      : new MessageFile(files.messages, messageFormat(messages));
    if (messages !== null && runs.every(({ via }) => via === "direct")) {
      stderr.write(
        `No run is via vfio-user or qemu: --messages ${messages} stays without a message\n`,
      );
    }
    const many = `${runs.length} ${runs.length === 1 ? "run" : "runs"}`;
    stderr.write(`seed ${command.seed}, ${many}, ${command.jobs} at a time\n`);
    const summary = await runAll(
      runs,
      catalog,
      command,
      traceFile,
      messageFile,
      onlooker,
      missing,
      interrupt,
      outputs,
    );
    files.json?.replace(jsonReport(summary));
    files.junit?.replace(junitReport(summary));
    files.html?.replace(htmlReport(summary, filesBeside(command)));
    traceFile?.close();
    messageFile?.close();
    // Whoever has interrupted the runs still wants their report, and ends the wait for it by asking again.
    const never = new Promise<void>(() => {});
    const failures = await outputs.finish(interrupt.happened ? never : interrupt.next());
    for (const failure of failures) stderr.write(`${failure}\n`);
    if (interrupt.happened) return INTERRUPTED;
    if (failures.length > 0) return INTERNAL;
    return summary.runs.some(({ status }) => status === "failed") ? FAILED : PASSED;
  } catch (error) {
    if (interrupt.happened && error === interrupt.signal.reason) return INTERRUPTED;
    throw error;
  } finally {
    catalog.child.kill();
    await onlooker?.close(interrupt.happened ? Promise.resolve() : interrupt.next());
  }
}

async function exitCode(args: readonly string[], open: OpenOnlooker | null): Promise<number> {
  try {
    return await main(args, open);
  } catch (error) {
    return tellFailure(COMMAND, error);
  }
}

/** The whole command: runs, reports, and ends the process. `open` brings the dashboard, where there is one. */
export async function scenarioCommand(
  args: readonly string[],
  open: OpenOnlooker | null = null,
): Promise<never> {
  endWhenUncaught(COMMAND);
  Deno.exit(tellUnwritten(stdout, stderr, await exitCode(args, open)));
}

if (import.meta.main) await scenarioCommand(Deno.args);
