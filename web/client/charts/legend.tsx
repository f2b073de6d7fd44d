/**
 * Names the series of a chart, with the value under the pointer or the last one.
 * @module
 */

import type { JSX } from "preact";
import type { ChartSeries } from "./chart.tsx";
import { dashOf, seriesVariable } from "./palette.ts";

/** A row of names. */
export function Legend({ series, format, at }: {
  readonly series: readonly ChartSeries[];
  readonly format: (value: number) => string;
  /** The column under the pointer; null for the last that has a value. */
  readonly at: number | null;
}): JSX.Element {
  return (
    <ul class="legend">
      {series.map(({ label, color, values, href, solid }) => {
        const value = at === null ? values.findLast((v) => v !== null) : values[at];
        return (
          <li key={label}>
            <Swatch color={color} solid={solid ?? false} />
            {href === undefined ? <span class="name">{label}</span> : <a href={href}>{label}</a>}
            <span class="value">{value === null || value === undefined ? "–" : format(value)}</span>
          </li>
        );
      })}
    </ul>
  );
}

/** A bit of a series' line. */
export function Swatch({ color, solid }: {
  readonly color: number;
  readonly solid: boolean;
}): JSX.Element {
  return (
    <svg class="swatch" width="22" height="8" aria-hidden="true">
      <line
        x1="0"
        y1="4"
        x2="22"
        y2="4"
        stroke={`var(--${seriesVariable(color)})`}
        stroke-width="3"
        stroke-dasharray={solid ? "none" : dashOf(color).join(" ")}
      />
    </svg>
  );
}
