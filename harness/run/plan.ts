/**
 * From scenarios and wishes to the list of runs: scenario by via by mode by
 * repeat, each with the seed that repeats it.
 * @module
 */

import type { ScenarioInfo } from "../child/child_protocol.ts";
import { mixSeed } from "../random.ts";
import type { Mode, Via } from "../scenario.ts";
import { taskCommand } from "../task_command.ts";
import { differsIn, usualVariantOf, type Variant, variantsOf } from "../via/variant.ts";

/** A scenario that was found, and where. */
export interface CatalogEntry extends ScenarioInfo {
  /** URL of its file. */
  readonly file: string;
  /** What names it on a command line: its name, or its file's path outside the default folder. */
  readonly argument: string;
}

/** One run that is to be made. */
export interface PlannedRun {
  /** Position among all runs, from 0. */
  readonly index: number;
  readonly entry: CatalogEntry;
  readonly mode: Mode;
  readonly via: Via;
  /** How the via's protocol is used; as it is by itself when absent. */
  readonly variant?: Variant;
  /** `--seed` that repeats it as the first and only repeat. */
  readonly seed: number;
}

/** What the runs are made of. */
export interface PlanOptions {
  readonly modes: readonly Mode[];
  readonly vias: readonly Via[];
  /** Null for the usual ones: each via by itself, and a scenario's usual variant. */
  readonly variants: readonly (Variant | "none")[] | null;
  readonly seed: number;
  /** Runs of each scenario, mode and via. */
  readonly repeat: number;
  /** Only runs `index`, `index + count`, …; `index` counts from 0. */
  readonly shard?: { readonly index: number; readonly count: number };
}

/** The seed of repeat `repeat`, from 0. The first is the seed itself, so that a run is repeated by naming its seed. */
function repeatSeed(seed: number, repeat: number): number {
  return repeat === 0 ? seed : mixSeed(seed, "repeat", repeat);
}

/** The runs, those that a scenario does not support left out. */
export function planRuns(entries: readonly CatalogEntry[], options: PlanOptions): PlannedRun[] {
  const runs: Omit<PlannedRun, "index">[] = [];
  for (const entry of entries) {
    for (const via of options.vias.filter((via) => entry.vias.includes(via))) {
      for (const variant of variantsToRun(entry.name, via, options.variants)) {
        for (const mode of options.modes.filter((mode) => entry.modes.includes(mode))) {
          if (variant !== "none" && !differsIn(mode, variant)) continue;
          for (let repeat = 0; repeat < options.repeat; repeat++) {
            const seed = repeatSeed(options.seed, repeat);
            runs.push({ entry, mode, via, ...(variant === "none" ? {} : { variant }), seed });
          }
        }
      }
    }
  }
  const { shard } = options;
  return runs
    .filter((_, at) => shard === undefined || at % shard.count === shard.index)
    .map((run, index) => ({ index, ...run }));
}

function variantsToRun(
  scenario: string,
  via: Via,
  wanted: readonly (Variant | "none")[] | null,
): readonly (Variant | "none")[] {
  const known = variantsOf(via);
  if (wanted !== null) {
    return wanted.filter((variant) => variant === "none" || known.includes(variant));
  }
  const usual = usualVariantOf(via, scenario);
  return usual !== null && known.includes(usual) ? ["none", usual] : ["none"];
}

/** What names the run's variant on a command line; nothing where there is no other. */
function variantFlag({ entry, via, variant }: PlannedRun): readonly string[] {
  if (variant !== undefined) return ["--variant", variant];
  return variantsToRun(entry.name, via, null).length > 1 ? ["--variant", "none"] : [];
}

/** The command that repeats a run. `timeoutMs` when it was set by hand. */
export function rerunCommand(run: PlannedRun, timeoutMs: number | null): string {
  return taskCommand("scenario", [
    run.entry.argument,
    "--mode",
    run.mode,
    "--via",
    run.via,
    ...variantFlag(run),
    "--seed",
    String(run.seed),
    ...(timeoutMs === null ? [] : ["--timeout", String(timeoutMs)]),
  ]);
}
