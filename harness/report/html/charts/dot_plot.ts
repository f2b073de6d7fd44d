/**
 * A dot plot: a line for each name, with a marker a series.
 * @module
 */

import { shortName } from "../room.ts";
import { type Html, html } from "../template.ts";
import { type Figure, figure } from "./figure.ts";
import type { Scale } from "./scale.ts";
import { axis, AXIS_HEIGHT, colorClass, marker, x } from "./svg.ts";

/** What a marker stands for. */
export interface Dot {
  readonly value: number;
  /** The least and the greatest of the values behind it, where there are several. */
  readonly range?: { readonly min: number; readonly max: number };
}

/** A line of the plot. */
export interface DotRow {
  readonly name: string;
  /** One for each series. */
  readonly dots: readonly (Dot | null)[];
}

/** See the module. */
export interface DotPlot extends Pick<Figure, "id" | "heading" | "summary"> {
  readonly series: readonly string[];
  /** The lines in the order in which they are shown. */
  readonly rows: readonly DotRow[];
  readonly scale: Scale;
  /** A value at the axis. */
  readonly format: (value: number) => string;
  /** A value of the table. */
  readonly cell: (value: number) => Html;
  /** Above the names in the table. */
  readonly nameHead: string;
}

/** Lines of the picture, and of the table. */
const PICTURED = 20, LISTED = 200;
const ROW_HEIGHT = 42;
const LABEL_LENGTH = 44;
/** Pixels between the markers of neighbouring series, so that equal values show both. */
const APART = 3;

function line(row: DotRow, at: number, plot: DotPlot): Html {
  const top = at * ROW_HEIGHT;
  const middle = top + 24;
  const { scale, series, format } = plot;
  const apart = Math.min(APART, 12 / series.length);
  return html`
    <text class="label" x="${x(0)}" y="${top + 13}">${shortName(
      row.name,
      LABEL_LENGTH,
    )}</text><line class="track"
      x1="${x(0)}" x2="${x(1)}" y1="${middle}" y2="${middle}" />${row.dots.map((dot, at) => {
        if (dot === null) return null;
        const y = middle + (at - (series.length - 1) / 2) * apart;
        const range = dot.range === undefined || dot.range.min === dot.range.max ? null : html`
          <line class="range ${colorClass(at)}" x1="${x(scale.at(dot.range.min))}" x2="${x(
            scale.at(dot.range.max),
          )}" y1="${y}"
            y2="${y}" />
        `;
        return html`<g><title>${shortName(row.name, 80)}, ${series[at]!}: ${
          format(dot.value)
        }</title>${range}${marker(at, x(scale.at(dot.value)), y)}</g>`;
      })}
  `;
}

/** The plot's markup. */
export function dotPlot(plot: DotPlot): Html {
  const { id, heading, series, rows, scale, format, cell, nameHead } = plot;
  const pictured = rows.slice(0, PICTURED);
  const height = pictured.length * ROW_HEIGHT + 4;
  const listed = rows.slice(0, LISTED);
  return figure({
    id,
    heading,
    summary: rows.length <= PICTURED
      ? plot.summary
      : `${plot.summary} The picture shows the first ${PICTURED} of ${rows.length}.`,
    height: height + AXIS_HEIGHT,
    picture: html`${axis(scale, height, format)}${pictured.map((row, at) => line(row, at, plot))}`,
    series: { kind: "marker", names: series },
    tableHeads: [nameHead, ...series],
    rows: listed.map(({ name, dots }) => ({
      name: shortName(name, 200),
      cells: dots.map((dot) => dot === null ? html`–` : cell(dot.value)),
    })),
    rowsLeftOut: rows.length - listed.length,
  });
}
