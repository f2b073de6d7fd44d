/**
 * A watched run for tests, without a runner around it.
 * @module
 */

import { METRIC_NAMES } from "../run/run_report.ts";
import type { Iommu } from "../../core/iommu/iommu.ts";
import { Random } from "../random.ts";
import { RunContext } from "../run/run_context.ts";
import type { Via } from "../scenario.ts";
import { buildMachine } from "../via/registry.ts";
import type { Variant } from "../via/variant.ts";
import type { Observed } from "./observation.ts";
import { type Observation, Observer } from "./observer.ts";
import { RunWatch } from "./run_watch.ts";
import { Teller } from "./teller_thread.ts";

/** Milliseconds in which what is waited for must have been told. */
const PATIENCE_MS = 20_000;

/** What one watched run told, and how it may be waited for. */
export class Heard {
  readonly messages: Observed[] = [];
  /** As the run's report has them, in the order of `Counter`. */
  metrics: readonly number[] = [];
  readonly #waiting: { readonly holds: () => boolean; readonly resolve: () => void }[] = [];

  take(message: Observed): void {
    this.messages.push(message);
    for (const { holds, resolve } of this.#waiting) if (holds()) resolve();
  }

  /** Resolves when it holds. @throws {Error} when it does not for so long that it never will */
  async until(holds: () => boolean): Promise<void> {
    if (holds()) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      await new Promise<void>((resolve, reject) => {
        this.#waiting.push({ holds, resolve });
        timer = setTimeout(() => reject(new Error(`It was never told: ${holds}`)), PATIENCE_MS);
      });
    } finally {
      clearTimeout(timer);
    }
  }

  of<Kind extends Observed["kind"]>(kind: Kind): Extract<Observed, { kind: Kind }>[] {
    return this.messages.filter((message) => message.kind === kind) as never;
  }
}

/** What a watched scenario has. */
export type WatchedBody = (
  t: RunContext,
  heard: Heard,
  observation: Observation,
  iommu: Iommu,
) => Promise<void>;

/** Runs `body` in remap mode, and watches it. */
export async function watched(
  body: WatchedBody,
  { via = "direct", variant, trace = "off" }: {
    readonly via?: Via;
    readonly variant?: Variant;
    readonly trace?: "on" | "off";
  } = {},
): Promise<Heard> {
  const observer = new Observer();
  const teller = new Teller();
  const heard = new Heard();
  const observation = observer.watch({
    observed: (message) => heard.take(message),
    closed: () => {},
  });
  try {
    const machine = await buildMachine(via, {
      mode: "remap",
      memoryMib: 16,
      seed: 1,
      trace: via === "direct" ? "on" : trace,
      ...(variant === undefined ? {} : { variant }),
    });
    let iommu: Iommu;
    machine.watch((control, own) => {
      iommu = own;
      return control;
    });
    const watch = new RunWatch(teller, observation.request);
    watch.begin(machine, trace);
    const context = new RunContext({
      mode: "remap",
      via,
      seed: 1,
      random: new Random(1),
      machine,
      watch,
      emit: () => {},
    });
    try {
      await body(context, heard, observation, iommu!);
      await machine.settle();
      const metrics = machine.metrics();
      heard.metrics = METRIC_NAMES.map((name) => metrics[name]);
      await watch.end();
    } finally {
      await machine.close();
    }
    await observation.told();
  } finally {
    observation.close();
    await observer.close();
    teller.close();
  }
  return heard;
}
