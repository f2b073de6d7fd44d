/**
 * Puts samples of accesses, each with ranges of its own, onto one grid of addresses
 * and instants.
 * @module
 */

import type { HeatSample } from "../state/heat_log.ts";

/** Cells, a column a stretch of time, a row a range of addresses. */
export interface HeatGrid {
  readonly columns: number;
  readonly rows: number;
  /** First address of row 0. */
  readonly start: number;
  /** Bytes of a row. */
  readonly width: number;
  /** By column, then row. */
  readonly cells: Float64Array;
  /** The largest cell. */
  readonly peak: number;
}

/** The grid of `samples`; null when nothing was accessed. */
export function heatGrid(
  samples: readonly HeatSample[],
  fromMs: number,
  toMs: number,
  columns: number,
  rows: number,
): HeatGrid | null {
  let start = Infinity;
  let end = -Infinity;
  for (const { heat } of samples) {
    const first = heat.buckets.findIndex((count) => count > 0);
    if (first < 0) continue;
    const last = heat.buckets.findLastIndex((count) => count > 0);
    start = Math.min(start, heat.start + first * heat.width);
    end = Math.max(end, heat.start + (last + 1) * heat.width);
  }
  if (start >= end) return null;
  let width = 4096;
  while (Math.floor(start / width) * width + width * rows < end) width *= 2;
  const base = Math.floor(start / width) * width;
  const cells = new Float64Array(columns * rows);
  for (const { timeMs, heat } of samples) {
    const column = Math.min(
      columns - 1,
      Math.max(0, Math.floor((timeMs - fromMs) / (toMs - fromMs) * columns)),
    );
    heat.buckets.forEach((count, i) => {
      if (count === 0) return;
      // A bucket wider than a row is spread over the rows that it covers.
      const first = Math.floor((heat.start + i * heat.width - base) / width);
      const last = Math.floor((heat.start + (i + 1) * heat.width - 1 - base) / width);
      for (let row = Math.max(0, first); row <= Math.min(rows - 1, last); row++) {
        const at = column * rows + row;
        cells[at] = cells[at]! + count / (last - first + 1);
      }
    });
  }
  return { columns, rows, start: base, width, cells, peak: cells.reduce((a, b) => Math.max(a, b)) };
}

/** The rows with the most accesses, the greatest first; `share` is of all of them. */
export function hottest(grid: HeatGrid, count: number): { start: number; share: number }[] {
  const sums = new Float64Array(grid.rows);
  grid.cells.forEach((value, at) => {
    const row = at % grid.rows;
    sums[row] = sums[row]! + value;
  });
  const total = sums.reduce((a, b) => a + b, 0);
  return [...sums].map((sum, row) => ({
    start: grid.start + row * grid.width,
    share: total === 0 ? 0 : sum / total,
  })).filter(({ share }) => share > 0).sort((a, b) => b.share - a.share).slice(0, count);
}
