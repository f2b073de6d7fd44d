/**
 * One run from its machine to its last event, in whatever process it is called.
 * @module
 */

import type { RunRequest } from "../child/child_protocol.ts";
import { describeScenarioError } from "./describe_error.ts";
import { traceRun } from "../export/chrome_trace.ts";
import type { Machine } from "../machine/machine.ts";
import { mixSeed, Random } from "../random.ts";
import { RunContext } from "./run_context.ts";
import type { RunEvent } from "./run_events.ts";
import { NO_METRICS } from "./run_report.ts";
import type { Scenario } from "../scenario.ts";
import { checkThresholds } from "./threshold.ts";
import { buildMachine } from "../via/registry.ts";

/** Trace events in one message. */
const TRACE_CHUNK = 1000;

/** Where a run's events go, and what it asks of the process around it. */
export interface RunSurroundings {
  readonly emit: (event: RunEvent) => void;
  /** Waits for errors that nobody has caught to surface, and gives them as text. */
  readonly strays: () => Promise<readonly string[]>;
}

/**
 * Runs `scenario` as `request` says. What goes wrong is told in the events, the
 * last of which is `end`; nothing is thrown for a scenario's or a device's doing.
 */
export async function runScenario(
  scenario: Scenario,
  request: Pick<RunRequest, "id" | "mode" | "via" | "seed" | "trace">,
  { emit, strays }: RunSurroundings,
): Promise<void> {
  const { mode, via } = request;
  const started = performance.now();
  const errors: string[] = [];
  const seed = mixSeed(request.seed, scenario.name, mode, via);
  let machine: Machine;
  try {
    machine = await buildMachine(via, {
      mode,
      memoryMib: scenario.options.memoryMib ?? 16,
      seed: mixSeed(seed, "machine"),
      trace: request.trace,
    });
  } catch (error) {
    errors.push(`Cannot build the machine: ${describeScenarioError(error)}`);
    const durationMs = performance.now() - started;
    return emit({ kind: "end", durationMs, metrics: NO_METRICS, errors });
  }

  const context = new RunContext({
    mode,
    via,
    seed: request.seed,
    random: new Random(seed),
    machine,
    emit,
  });
  try {
    await scenario.run(context);
  } catch (error) {
    errors.push(`Threw ${describeScenarioError(error)}`);
  }
  const durationMs = performance.now() - started;
  context.end();
  errors.push(...await strays());
  errors.push(...machine.deviceErrors());

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
    const label = `${scenario.name} ${mode} ${via}`;
    const { devices, trace } = machine;
    const events = traceRun({
      run: request.id,
      label,
      devices,
      steps: context.spans,
      events: trace.events(),
      dropped: trace.dropped,
    });
    for (let at = 0; at < events.length; at += TRACE_CHUNK) {
      emit({ kind: "trace", events: events.slice(at, at + TRACE_CHUNK) });
    }
  }
  try {
    await machine.close();
  } catch (error) {
    errors.push(`Cannot take the machine down: ${describeScenarioError(error)}`);
  }
  emit({ kind: "end", durationMs, metrics, errors });
}
