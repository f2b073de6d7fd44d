/**
 * One run from its machine to its last event, in whatever process it is called.
 * @module
 */

import type { RunRequest } from "../child/child_protocol.ts";
import { describeScenarioError } from "./describe_error.ts";
import { ChromeRequests } from "../export/chrome_requests.ts";
import { traceRun } from "../export/chrome_trace.ts";
import type { Machine } from "../machine/machine.ts";
import type { RunWatch } from "../observe/run_watch.ts";
import { mixSeed, Random } from "../random.ts";
import { HitSamples } from "./hit_samples.ts";
import { MessageEvents } from "./message_events.ts";
import { RunContext } from "./run_context.ts";
import type { RunEvent } from "./run_events.ts";
import { NO_METRICS } from "./run_report.ts";
import type { Scenario } from "../scenario.ts";
import { checkThresholds } from "./threshold.ts";
import type { MessageTap } from "../via/message_tap.ts";
import type { QemuMachineOptions } from "../via/qemu.ts";
import { buildMachine } from "../via/registry.ts";
import { viaLabel } from "../via/variant.ts";

/** Trace events in one message. */
const TRACE_CHUNK = 1000;

/** Where a run's events go, and what it asks of the process around it. */
export interface RunSurroundings {
  readonly emit: (event: RunEvent) => void;
  /** Waits for errors that nobody has caught to surface, and gives them as text. */
  readonly strays: () => Promise<readonly string[]>;
  /** Who watches the run, if anybody does. */
  readonly watch?: RunWatch | null;
}

/**
 * Runs `scenario` as `request` says. What goes wrong is told in the events, the
 * last of which is `end`; nothing is thrown for a scenario's or a device's doing.
 */
export async function runScenario(
  scenario: Scenario,
  request: Omit<RunRequest, "kind" | "file" | "observe">,
  { emit, strays, watch = null }: RunSurroundings,
): Promise<void> {
  const { mode, via, variant } = request;
  const started = performance.now();
  const errors: string[] = [];
  const tell = (text: string, place: "first" | "last" = "last"): void => {
    if (place === "first") errors.unshift(text);
    else errors.push(text);
    // At once: what comes after may not come to an end.
    emit({ kind: "error", text });
  };
  const seed = mixSeed(request.seed, scenario.name, mode, via);
  const messages = request.messages === "on" ? new MessageEvents(emit) : null;
  const requests = request.trace === "on" ? new ChromeRequests() : null;
  let built: Machine | null = null;
  const tap: MessageTap = (message) => {
    messages?.tap(message);
    requests?.take(message, built?.clock.nowNs ?? 0);
  };
  let machine: Machine;
  try {
    const options: QemuMachineOptions = {
      mode,
      memoryMib: scenario.options.memoryMib ?? 16,
      seed: mixSeed(seed, "machine"),
      // The watch turns the ring on for moments at a time, where devices are here; it needs the room.
      trace: watch === null || via !== "direct" ? request.trace : "on",
      ...(variant === undefined ? {} : { variant }),
      ...(messages === null && requests === null ? {} : { messages: tap }),
      ...(request.network === undefined ? {} : { network: request.network }),
      onConsole: (path) => emit({ kind: "console", path }),
      onMessagesLost: (count) => {
        emit({ kind: "log", message: `${count} vfio-user messages left out: too many at a time` });
      },
    };
    machine = built = await buildMachine(via, options);
  } catch (error) {
    tell(`Cannot build the machine: ${describeScenarioError(error)}`);
    const durationMs = performance.now() - started;
    return emit({ kind: "end", durationMs, metrics: NO_METRICS, errors });
  }

  watch?.begin(machine, request.trace);
  const samples = request.trace === "on" ? new HitSamples(machine) : null;
  const context = new RunContext({
    mode,
    via,
    seed: request.seed,
    random: new Random(seed),
    machine,
    watch,
    emit,
    ...(samples === null ? {} : { onStep: () => samples.take() }),
  });
  try {
    await scenario.run(context);
    // What such a step would have checked nobody knows.
    const [open] = context.openSteps;
    if (open !== undefined) tell(`Returned while step "${open}" went on: await every step`);
  } catch (error) {
    tell(`Threw ${describeScenarioError(error)}`);
  }
  const durationMs = performance.now() - started;
  context.end();
  await machine.settle();
  // What a scenario threw when its devices were gone is the consequence.
  const lost = await machine.lost();
  if (lost !== null) tell(lost, "first");
  for (const text of await strays()) tell(text);
  for (const text of machine.deviceErrors()) tell(text);

  const metrics = machine.metrics();
  const subject = {
    metrics,
    translationSeconds: machine.translationLatencies(),
    seconds: durationMs / 1000,
  };
  for (const check of checkThresholds(scenario.options.thresholds ?? {}, subject)) {
    emit({ kind: "check", ...check });
  }
  if (request.trace === "on") {
    samples?.takeLast();
    const dropped = machine.collectTrace();
    const label = `${scenario.name} ${mode} ${viaLabel(via, variant)}`;
    const { devices, trace } = machine;
    const events = traceRun({
      run: request.id,
      label,
      devices,
      steps: context.spans,
      events: trace.events(),
      dropped,
      ...(samples === null ? {} : { samples: samples.samples }),
      ...(requests === null ? {} : { requests }),
    });
    for (let at = 0; at < events.length; at += TRACE_CHUNK) {
      emit({ kind: "trace", events: events.slice(at, at + TRACE_CHUNK) });
    }
  }
  await watch?.end();
  try {
    await machine.close();
  } catch (error) {
    tell(`Cannot take the machine down: ${describeScenarioError(error)}`);
  }
  messages?.flush();
  emit({ kind: "end", durationMs, metrics, errors });
}
