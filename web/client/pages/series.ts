/**
 * The charts' series, from the history.
 * @module
 */

import { ColorKeeper } from "../charts/color_keeper.ts";
import type { ChartSeries } from "../charts/chart.tsx";
import { OTHERS, SERIES_COLORS } from "../charts/palette.ts";
import { formatShare } from "../format.ts";
import { busiest, Grid } from "../state/history.ts";
import { ALL, Column } from "../state/recorder.ts";
import { linkTo, recorder, shownMs, viewRange } from "../state/store.ts";

/** Endpoints that a stacked chart shows by name. */
const TOP = SERIES_COLORS - 1;
const keeper = new ColorKeeper(SERIES_COLORS);

type Values = (number | null)[];

/** The grid of the time range that is shown. */
export function gridInView(): Grid {
  const { fromMs, toMs } = viewRange();
  return new Grid(recorder.history, fromMs, toMs);
}

/** A rate of the busiest endpoints, and of all the others together. `names` are BDFs. */
export function stackOf(grid: Grid, column: number, names: readonly string[]): ChartSeries[] {
  const { fromMs, toMs } = viewRange();
  const { top, others } = busiest(recorder.history, names, column, fromMs, toMs, TOP);
  const colors = keeper.assign(top);
  const series: ChartSeries[] = top
    .map((bdf, i) => ({
      label: bdf,
      color: colors[i]!,
      values: grid.rate(bdf, column),
      href: linkTo("endpoint", bdf),
    }))
    .sort((a, b) => a.color - b.color);
  const all = grid.rate(ALL, column);
  const beyond = all.map((total, i) => {
    if (total === null) return null;
    return total - series.reduce((sum, { values }) => sum + (values[i] ?? 0), 0);
  });
  // Endpoints are not read at one instant: by itself, a difference may be below 0.
  const rest = beyond.map((value) => value === null ? null : Math.max(0, value));
  if (others.length > 0) {
    return [...series, { label: `${others.length} others`, color: OTHERS, values: rest }];
  }
  // Some sources count for all endpoints together only.
  return total(beyond) <= total(all) / 10
    ? series
    : [...series, { label: "not told by endpoint", color: OTHERS, values: rest }];
}

function total(values: Values): number {
  return values.reduce<number>((sum, value) => sum + (value ?? 0), 0);
}

/** The share of translations that the IOTLB answered, 0..1, of one source. */
export function hitShare(grid: Grid, source: string): Values {
  const hits = grid.growth(source, Column.HITS);
  const misses = grid.growth(source, Column.MISSES);
  return hits.map((hit, i) => {
    const miss = misses[i] ?? null;
    return hit === null || miss === null || hit + miss === 0 ? null : hit / (hit + miss);
  });
}

/** Hits as a share of all, of totals. */
export function shareOf(counters: { iotlbHits: number; iotlbMisses: number }): number | null {
  const all = counters.iotlbHits + counters.iotlbMisses;
  return all === 0 ? null : counters.iotlbHits / all;
}

/** A sentence: last, mean and highest of a series. */
export function describe(values: Values, format: (value: number) => string, unit: string): string {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return "Nothing in this time range.";
  const mean = known.reduce((a, b) => a + b, 0) / known.length;
  const most = known.reduce((a, b) => Math.max(a, b));
  return `Last ${format(known.at(-1)!)}${unit}, mean ${format(mean)}${unit}, highest ${
    format(most)
  }${unit}.`;
}

/** A sentence about shares: last and lowest. */
export function describeShare(values: Values): string {
  const known = values.filter((value) => value !== null);
  if (known.length === 0) return "No translation in this time range.";
  const least = known.reduce((a, b) => Math.min(a, b));
  return `Last ${formatShare(known.at(-1)!)}, lowest ${formatShare(least)}.`;
}

/** Series added up; null where all are. */
export function sumOf(series: readonly ChartSeries[]): Values {
  const length = series[0]?.values.length ?? 0;
  return Array.from({ length }, (_, i) =>
    series.reduce<number | null>((sum, { values }) => {
      const value = values[i] ?? null;
      return value === null ? sum : (sum ?? 0) + value;
    }, null));
}

/** What `column` of a source grew by, a second, over the last two seconds that are in view. */
export function rateNow(source: string, column: number): number {
  const toMs = shownMs();
  const { history } = recorder;
  const last = history.sampleAt(toMs);
  const first = Math.max(history.first, history.sampleAt(toMs - 2000));
  if (last <= first || first < 0) return 0;
  const grown = history.value(source, column, last) - history.value(source, column, first);
  const seconds = (history.timeMs(last) - history.timeMs(first)) / 1000;
  return grown >= 0 ? grown / seconds : 0;
}
