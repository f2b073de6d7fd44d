/**
 * The runs by scenario and by mode and via: what the matrix shows, and the charts.
 * @module
 */

import {
  type Metrics,
  type RunReport,
  sumMetrics,
  type Totals,
  totalsOf,
} from "../../run/run_report.ts";
import { type Mode, MODES, type Via, VIAS } from "../../scenario.ts";
import { type Variant, VARIANTS } from "../../via/variant.ts";

/** A run, and its number in the report, from 1. */
export interface NumberedRun {
  readonly number: number;
  readonly report: RunReport;
}

/** A mode and a via that runs were made in. */
export interface GridColumn {
  readonly mode: Mode;
  readonly via: Via;
  /** `remap via vfio-user`. */
  readonly name: string;
}

/** All runs of one scenario in one mode and via. */
export interface GridCell {
  readonly runs: readonly NumberedRun[];
  readonly totals: Totals;
  /** Counters of the runs that were made, together. */
  readonly metrics: Metrics;
  /** Milliseconds of the runs that were made; null when none was. */
  readonly time: { readonly min: number; readonly mean: number; readonly max: number } | null;
}

/** A scenario, or one of its variants, which stand below it. */
export interface GridRow {
  readonly scenario: string;
  readonly variant: Variant | undefined;
  /** One for each column; null where nothing was to run. */
  readonly cells: readonly (GridCell | null)[];
}

/** See the module. */
export interface Grid {
  readonly columns: readonly GridColumn[];
  /** Scenarios in the order of their first run. */
  readonly rows: readonly GridRow[];
}

/** `scenario`, or `scenario (variant)`. */
export function rowLabel({ scenario, variant }: GridRow): string {
  return variant === undefined ? scenario : `${scenario} (${variant})`;
}

function cellOf(runs: readonly NumberedRun[]): GridCell {
  const made = runs.filter(({ report }) => report.status !== "skipped").map(({ report }) => report);
  let min = Infinity, max = 0, sum = 0;
  for (const { durationMs } of made) {
    min = Math.min(min, durationMs);
    max = Math.max(max, durationMs);
    sum += durationMs;
  }
  return {
    runs,
    totals: totalsOf(runs.map(({ report }) => report)),
    metrics: sumMetrics(made),
    time: made.length === 0 ? null : { min, mean: sum / made.length, max },
  };
}

/** Puts every run into its cell. */
export function gridOf(runs: readonly NumberedRun[]): Grid {
  const scenarios = new Map<string, Map<Variant | undefined, Map<string, NumberedRun[]>>>();
  const there = new Set<string>();
  for (const run of runs) {
    const { scenario, variant, mode, via } = run.report;
    const column = `${mode} via ${via}`;
    there.add(column);
    let variants = scenarios.get(scenario);
    if (variants === undefined) scenarios.set(scenario, variants = new Map());
    let cells = variants.get(variant);
    if (cells === undefined) variants.set(variant, cells = new Map());
    const cell = cells.get(column);
    if (cell === undefined) cells.set(column, [run]);
    else cell.push(run);
  }
  const columns = VIAS.flatMap((via) =>
    MODES.map((mode) => ({ mode, via, name: `${mode} via ${via}` }))
  ).filter(({ name }) => there.has(name));
  const rows = [...scenarios].flatMap(([scenario, variants]) =>
    [undefined, ...VARIANTS].flatMap((variant) => {
      const cells = variants.get(variant);
      if (cells === undefined) return [];
      return [{
        scenario,
        variant,
        cells: columns.map(({ name }) => {
          const runs = cells.get(name);
          return runs === undefined ? null : cellOf(runs);
        }),
      }];
    })
  );
  return { columns, rows };
}
