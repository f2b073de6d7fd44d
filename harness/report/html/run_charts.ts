/**
 * Which charts a report has, and what they are made of.
 * @module
 */

import type { Metrics } from "../../run/run_report.ts";
import { duration, hitRate, plural, quantity } from "../text.ts";
import { barChart } from "./charts/bar_chart.ts";
import { type Dot, dotPlot, type DotRow } from "./charts/dot_plot.ts";
import { emptyFigure } from "./charts/figure.ts";
import { linearScale, logScale } from "./charts/scale.ts";
import { definitions } from "./charts/svg.ts";
import { type Grid, type GridCell, type GridRow, type NumberedRun, rowLabel } from "./grid.ts";
import { byteCount, counted, data, integer } from "./numbers.ts";
import { shortName } from "./room.ts";
import { type Html, html } from "./template.ts";

/** Characters of a name in a summary. */
const NAME = 60;

/** Lines of a dot plot, the one with the greatest value first; those without any are left out. */
function dotRows(grid: Grid, dotOf: (cell: GridCell) => Dot | null): DotRow[] {
  const rows = grid.rows.map((row) => ({
    name: rowLabel(row),
    dots: row.cells.map((cell) => cell === null ? null : dotOf(cell)),
  })).filter(({ dots }) => dots.some((dot) => dot !== null));
  return sorted(rows, ({ dots }) => Math.max(...dots.map((dot) => dot?.value ?? -1)));
}

/** Greatest first; equal ones stay in their order. */
function sorted<Row>(rows: readonly Row[], valueOf: (row: Row) => number): Row[] {
  return rows.map((row) => ({ row, value: valueOf(row) }))
    .sort((a, b) => b.value - a.value)
    .map(({ row }) => row);
}

function values(rows: readonly DotRow[]): number[] {
  return rows.flatMap(({ dots }) =>
    dots.flatMap((dot) =>
      dot === null ? [] : dot.range === undefined ? [dot.value] : [dot.range.min, dot.range.max]
    )
  );
}

/** `name, in which mode and via` of the first line's greatest value. */
function greatest(grid: Grid, rows: readonly DotRow[]): { name: string; value: number } {
  const { name, dots } = rows[0]!;
  const value = Math.max(...dots.map((dot) => dot?.value ?? -1));
  const column = grid.columns[dots.findIndex((dot) => dot?.value === value)]!;
  return { name: `${shortName(name, NAME)}, ${column.name}`, value };
}

function columnNames(grid: Grid): string[] {
  return grid.columns.map(({ name }) => name);
}

function tick(ms: number): string {
  if (ms < 1) return ms === 0 ? "0" : `${Number((ms * 1000).toPrecision(1))} µs`;
  return ms < 1000 ? `${ms} ms` : `${ms / 1000} s`;
}

function times(grid: Grid): Html {
  const heading = "Time of each scenario";
  const rows = dotRows(
    grid,
    ({ time }) => time === null ? null : { value: time.mean, range: time },
  );
  if (rows.length === 0) return emptyFigure("chart-times", heading, "No run was made.");
  const { name, value } = greatest(grid, rows);
  return dotPlot({
    id: "chart-times",
    heading,
    summary: `The slowest first: ${name} took ${duration(value)}. ` +
      `Of repeated runs, the marker is the mean and the line goes from the fastest to the slowest.`,
    series: columnNames(grid),
    rows,
    scale: logScale(values(rows)),
    format: tickOrDuration,
    cell: (ms) => data(ms, duration(ms)),
    nameHead: "Scenario",
  });
}

/** Ticks are powers of ten and short; all else is told as everywhere. */
function tickOrDuration(ms: number): string {
  return ms === 0 || Number.isInteger(Math.log10(ms)) ? tick(ms) : duration(ms);
}

const STEPS = [1, 2, 5] as const;

/** Bounds of 1, 2, 5, 10, … ms: the least and the first that is above `ms`. */
function bucketOf(ms: number): number {
  let unit = 0.1;
  for (;;) {
    for (const step of STEPS) if (ms < step * unit) return Number((step * unit).toPrecision(1));
    unit *= 10;
  }
}

function spread(runs: readonly NumberedRun[]): Html {
  const heading = "Runs by their time";
  const buckets = new Map<number, [passed: number, failed: number]>();
  const made = runs.filter(({ report }) => report.status !== "skipped");
  if (made.length === 0) return emptyFigure("chart-spread", heading, "No run was made.");
  for (const { report } of made) {
    const bound = bucketOf(report.durationMs);
    const counts = buckets.get(bound) ?? [0, 0];
    counts[report.status === "failed" ? 1 : 0]++;
    buckets.set(bound, counts);
  }
  const ordered = made.map(({ report }) => report.durationMs).sort((a, b) => a - b);
  return barChart({
    id: "chart-spread",
    heading,
    summary: `Half of ${counted(made.length, "run")} took at most ${
      duration(ordered[Math.ceil(ordered.length / 2) - 1]!)
    }, and the longest ${duration(ordered.at(-1)!)}.`,
    series: ["passed", "failed"],
    rows: [...buckets].sort(([a], [b]) => a - b).map(([bound, parts]) => ({
      name: `less than ${bound < 1 ? `${bound * 1000} µs` : tick(bound)}`,
      parts,
    })),
    nameHead: "Time",
  });
}

function translations(grid: Grid): Html {
  const heading = "Translations";
  const rows = dotRows(
    grid,
    ({ time, metrics }) => time === null ? null : { value: metrics.translations },
  );
  if (rows.length === 0 || values(rows).every((value) => value === 0)) {
    return emptyFigure("chart-translations", heading, "No run translated an address.");
  }
  const { name, value } = greatest(grid, rows);
  return dotPlot({
    id: "chart-translations",
    heading,
    summary: `The most first: ${plural(value, "translation")} in ${name}.`,
    series: columnNames(grid),
    rows,
    scale: logScale(values(rows)),
    format: quantity,
    cell: (count) => data(count, integer(count)),
    nameHead: "Scenario",
  });
}

function hitRates(grid: Grid): Html {
  const heading = "IOTLB hit rate";
  const rows = dotRows(grid, ({ metrics: { iotlbHits, iotlbMisses } }) => {
    const all = iotlbHits + iotlbMisses;
    return all === 0 ? null : { value: 100 * iotlbHits / all };
  });
  if (rows.length === 0) return emptyFigure("chart-hits", heading, "No run looked into an IOTLB.");
  const totals = { hits: 0, misses: 0 };
  for (const { cells } of grid.rows) {
    for (const cell of cells) {
      totals.hits += cell?.metrics.iotlbHits ?? 0;
      totals.misses += cell?.metrics.iotlbMisses ?? 0;
    }
  }
  // The lowest are what people look for.
  rows.sort((a, b) => least(a) - least(b));
  return dotPlot({
    id: "chart-hits",
    heading,
    summary: `${hitRate(totals.hits, totals.misses)} of all look-ups were hits. The lowest first: ${
      shortName(rows[0]!.name, NAME)
    }, ${percent(least(rows[0]!))}.`,
    series: columnNames(grid),
    rows,
    scale: linearScale(100),
    format: percent,
    cell: (share) => data(Number(share.toFixed(3)), percent(share)),
    nameHead: "Scenario",
  });
}

function least({ dots }: DotRow): number {
  return Math.min(...dots.map((dot) => dot?.value ?? Infinity));
}

function percent(share: number): string {
  // 100 % is said only of what never missed.
  return share === 100 || share === 0
    ? `${share} %`
    : `${Math.min(share, 99.9).toFixed(share % 25 === 0 ? 0 : 1)} %`;
}

/** A counter of all runs of a line. */
function sumOf({ cells }: GridRow, name: keyof Metrics): number {
  return cells.reduce((sum, cell) => sum + (cell?.metrics[name] ?? 0), 0);
}

function faults(grid: Grid): Html {
  const heading = "Faults";
  const rows = sorted(
    grid.rows.map((row) => ({ name: rowLabel(row), parts: [sumOf(row, "faults")] }))
      .filter(({ parts }) => parts[0]! > 0),
    ({ parts }) => parts[0]!,
  );
  if (rows.length === 0) return emptyFigure("chart-faults", heading, "No access was refused.");
  const all = rows.reduce((sum, { parts }) => sum + parts[0]!, 0);
  return barChart({
    id: "chart-faults",
    heading,
    summary: `${quantity(all)} ${all === 1 ? "access was" : "accesses were"} refused, in ${
      counted(rows.length, "scenario")
    }. The most first: ${shortName(rows[0]!.name, NAME)}. Many a scenario wants its faults.`,
    series: ["faults"],
    rows,
    nameHead: "Scenario",
  });
}

function dmaBytes(grid: Grid): Html {
  const heading = "DMA bytes";
  const rows = sorted(
    grid.rows.map((row) => ({
      name: rowLabel(row),
      dots: [{ value: sumOf(row, "dmaReadBytes") }, { value: sumOf(row, "dmaWriteBytes") }],
    })).filter(({ dots }) => dots.some(({ value }) => value > 0)),
    ({ dots }) => Math.max(...dots.map(({ value }) => value)),
  );
  if (rows.length === 0) return emptyFigure("chart-bytes", heading, "No device moved a byte.");
  const [read, written] = [0, 1].map((at) =>
    rows.reduce((sum, { dots }) => sum + dots[at]!.value, 0)
  );
  return dotPlot({
    id: "chart-bytes",
    heading,
    summary: `Devices read ${byteCount(read!)} and wrote ${byteCount(written!)}. The most first: ${
      shortName(rows[0]!.name, NAME)
    }.`,
    series: ["read", "written"],
    rows,
    scale: logScale(values(rows)),
    format: (bytes) =>
      Number.isInteger(Math.log10(bytes)) ? `${quantity(bytes)}B` : byteCount(bytes),
    cell: (bytes) => data(bytes, integer(bytes)),
    nameHead: "Scenario",
  });
}

/** The section of charts. */
export function chartsSection(grid: Grid, runs: readonly NumberedRun[]): Html {
  return html`
    <section aria-labelledby="charts-title">
    <h2 id="charts-title">Charts</h2>
    ${definitions()}
    <div class="charts">
    ${times(grid)}${spread(runs)}${translations(grid)}${hitRates(grid)}${faults(grid)}${dmaBytes(
      grid,
    )}</div>
    </section>
  `;
}
