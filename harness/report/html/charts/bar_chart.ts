/**
 * A bar chart: a bar for each name, of parts that stand for series.
 * @module
 */

import { data, integer } from "../numbers.ts";
import { shortName } from "../room.ts";
import { type Html, html } from "../template.ts";
import { type Figure, figure } from "./figure.ts";
import { linearScale } from "./scale.ts";
import { axis, AXIS_HEIGHT, bar, x } from "./svg.ts";
import { quantity } from "../../text.ts";

/** One bar. */
export interface BarRow {
  readonly name: string;
  /** Counts, one for each series. */
  readonly parts: readonly number[];
}

/** See the module. */
export interface BarChart extends Pick<Figure, "id" | "heading" | "summary"> {
  /** Three at most. */
  readonly series: readonly string[];
  /** The bars in the order in which they are shown. */
  readonly rows: readonly BarRow[];
  /** Above the names in the table. */
  readonly nameHead: string;
}

/** Bars of the picture, and lines of the table. */
const PICTURED = 20, LISTED = 200;
const ROW_HEIGHT = 36;
const BAR_HEIGHT = 12;
const LABEL_LENGTH = 40;

function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}

/** The least of 1, 2, 5, 10, … times four that is no less than `max`, so that ticks are whole. */
function niceTop(max: number): number {
  let unit = 1;
  for (;;) {
    for (const step of [1, 2, 5]) if (4 * step * unit >= max) return 4 * step * unit;
    unit *= 10;
  }
}

/** The chart's markup. */
export function barChart(chart: BarChart): Html {
  const { id, heading, series, rows, nameHead } = chart;
  const pictured = rows.slice(0, PICTURED);
  const height = pictured.length * ROW_HEIGHT + 4;
  const scale = linearScale(niceTop(Math.max(...pictured.map(({ parts }) => sum(parts)))));
  const drawn = pictured.map(({ name, parts }, at) => {
    const top = at * ROW_HEIGHT;
    let from = 0;
    const segments = parts.map((part, at) => {
      if (part === 0) return null;
      const segment = bar(at, scale.at(from), scale.at(part), top + 18, BAR_HEIGHT);
      from += part;
      return segment;
    });
    return html`<g><title>${shortName(name, 80)}: ${
      series.map((one, at) => `${integer(parts[at]!)} ${one}`).join(", ")
    }</title><text class="label" x="${x(0)}" y="${top + 13}">${
      shortName(name, LABEL_LENGTH)
    }</text><text class="value" x="${x(1)}" y="${top + 13}">${
      quantity(sum(parts))
    }</text>${segments}</g>`;
  });
  const listed = rows.slice(0, LISTED);
  return figure({
    id,
    heading,
    summary: rows.length <= PICTURED
      ? chart.summary
      : `${chart.summary} The picture shows the first ${PICTURED} of ${rows.length}.`,
    height: height + AXIS_HEIGHT,
    picture: html`${axis(scale, height, quantity)}${drawn}`,
    series: { kind: "bar", names: series },
    tableHeads: [nameHead, ...series],
    rows: listed.map(({ name, parts }) => ({
      name: shortName(name, 200),
      cells: parts.map((part) => data(part, integer(part))),
    })),
    rowsLeftOut: rows.length - listed.length,
  });
}
