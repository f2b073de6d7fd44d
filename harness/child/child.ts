/**
 * A child process of the runner: imports scenario files and runs one scenario
 * at a time, as its parent asks on stdin. Whatever a scenario does, loop, exit or
 * crash, it does to this process alone.
 * @module
 */

import {
  type ChildMessage,
  type ParentMessage,
  type RunRequest,
  STDERR_MARK,
} from "./child_protocol.ts";
import { describeBriefly, describeError, describeScenarioError } from "../run/describe_error.ts";
import { atMost, bounded, Longest } from "../run/event_bounds.ts";
import type { RunWatch } from "../observe/run_watch.ts";
import type { Teller } from "../observe/teller_thread.ts";
import { runScenario } from "../run/run_scenario.ts";
import type { Scenario } from "../scenario.ts";

const encoder = new TextEncoder();
// Taken now, since a scenario may replace or close what it finds.
const { stdout, stderr } = Deno;
const turn = globalThis.setTimeout;
const folder = Deno.cwd();

/** Texts of what nobody has caught that are kept of one run. */
const MAX_STRAYS = 100;

let nonce = "";
/** What no `catch` of a scenario has seen, of the run that goes on or of the last one. */
let strays: string[] = [];
let busy = false;

function writeAll(to: { writeSync(bytes: Uint8Array): number }, text: string): void {
  let bytes = encoder.encode(text);
  while (bytes.length > 0) bytes = bytes.subarray(to.writeSync(bytes));
}

function send(message: ChildMessage): void {
  // The line break in front ends whatever line the scenario has left open.
  writeAll(stdout, `\n${nonce} ${JSON.stringify(message)}\n`);
}

/** Console output is for people, and must not meet the protocol on stdout. */
function redirectConsole(): void {
  const target = console;
  for (const method of ["log", "info", "debug", "dir", "table"] as const) {
    target[method] = target.error.bind(target);
  }
}

function stray(what: string, error: unknown): void {
  if (strays.length < MAX_STRAYS) strays.push(`${what}: ${describeScenarioError(error)}`);
  else if (strays.length === MAX_STRAYS) strays.push("(further ones are left out)");
  if (busy) return;
  // Nobody is waiting for this any more. A fresh process is better than one in which
  // an earlier scenario is still at work.
  writeAll(stderr, strays.join("\n") + "\n");
  Deno.exit(1);
}

function watchErrors(): void {
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    stray("Left an unhandled rejection", event.reason);
  });
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    stray("Left an uncaught error", event.error);
  });
}

/** The default export as plain JSON, functions as `true`. */
function definitionOf(module: { readonly default?: unknown }): unknown {
  const made = module.default;
  if (typeof made !== "object" || made === null) {
    throw new TypeError(
      "it has no default export made by scenario(); a folder's helpers have names that begin with _",
    );
  }
  const { name, options, run } = made as { name?: unknown; options?: unknown; run?: unknown };
  return JSON.parse(JSON.stringify({ name, options, run: typeof run === "function" }));
}

/** Rejections that nobody handles surface once the tasks now queued have run. */
async function surfaced(): Promise<void> {
  await new Promise((resolve) => turn(resolve, 0));
  await new Promise((resolve) => turn(resolve, 0));
}

async function load(files: readonly string[]): Promise<void> {
  for (const file of files) {
    send({ kind: "loading", file });
    try {
      const module = await import(file) as { readonly default?: unknown };
      send({ kind: "loaded", file, definition: definitionOf(module) });
    } catch (error) {
      send({ kind: "refused", file, reason: atMost(describeBriefly(error), Longest.ERROR) });
    }
  }
  // What the files have left behind must not be blamed on the first run.
  await surfaced();
  for (const text of strays) {
    const shown = (file: string): string => file.replace(`file://${folder}/`, "");
    const file = files.find((file) => text.includes(shown(file))) ?? files.at(-1)!;
    send({ kind: "refused", file, reason: atMost(text, Longest.ERROR) });
  }
  send({ kind: "load-end" });
}

/**
 * Timers that a run has started and not cleared: they end with it, or they would
 * go off in the midst of another.
 */
const timers = new Set<ReturnType<typeof setTimeout>>();

function watchTimers(): void {
  const watched = <Start extends typeof setTimeout | typeof setInterval>(start: Start): Start =>
    new Proxy(start, {
      apply(target, self, args) {
        const timer = Reflect.apply(target, self, args) as ReturnType<typeof setTimeout>;
        timers.add(timer);
        return timer;
      },
    });
  globalThis.setTimeout = watched(globalThis.setTimeout);
  globalThis.setInterval = watched(globalThis.setInterval);
}

let teller: Teller | null = null;

/** Loaded when somebody watches: a child that nobody does starts without. */
async function watchFor(request: RunRequest): Promise<RunWatch | null> {
  if (request.observe === undefined) return null;
  const { RunWatch } = await import("../observe/run_watch.ts");
  const { Teller } = await import("../observe/teller_thread.ts");
  teller ??= new Teller();
  return new RunWatch(teller, request.observe);
}

async function run(request: RunRequest): Promise<void> {
  send({ kind: "event", id: request.id, event: { kind: "begin" } });
  const watch = await watchFor(request);
  const module = await import(request.file) as { readonly default: Scenario };
  await runScenario(module.default, request, {
    emit: (event) => send({ kind: "event", id: request.id, event: bounded(event) }),
    strays: async () => {
      await surfaced();
      return strays;
    },
    watch,
  });
}

async function handle(message: ParentMessage): Promise<void> {
  switch (message.kind) {
    case "hello":
      nonce = message.nonce;
      send({ kind: "ready" });
      break;
    case "load":
      await load(message.files);
      break;
    case "run":
      await run(message);
      // The end marker follows all the run has printed there.
      writeAll(stderr, `\n${nonce} ${STDERR_MARK}\n`);
      Deno.chdir(folder);
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
      break;
  }
}

function main(): void {
  redirectConsole();
  watchErrors();
  watchTimers();
  // A terminal sends Ctrl-C to the parent as well, which then ends this process.
  Deno.addSignalListener("SIGINT", () => {});
  const lines = new Worker(import.meta.resolve("./child_stdin.ts"), { type: "module" });
  let last: Promise<void> = Promise.resolve();
  lines.onmessage = (event: MessageEvent<string>) => {
    last = last.then(async () => {
      busy = true;
      strays = [];
      await handle(JSON.parse(event.data) as ParentMessage);
      busy = false;
    }).catch((error) => {
      writeAll(stderr, `The runner's child failed: ${describeError(error)}\n`);
      Deno.exit(1);
    });
  };
}

main();
