/**
 * Pieces that charts are drawn with. Places along the axis are shares of the width and
 * everything else is pixels, so that a chart fits any width and its text keeps its size.
 * @module
 */

import { type Html, html } from "../template.ts";
import type { Scale } from "./scale.ts";

/** Height of the axis below a chart. */
export const AXIS_HEIGHT = 22;
/** Share of the width that stays free at either end, for markers on the ends. */
const MARGIN = 0.02;

/** Looks of series. The two share no factor, so that all pairs of them come up in turn. */
const COLORS = 8;
const SHAPES = 5;
/** Bars have these, told apart by pattern as well as by colour. */
const FILLS = 3;

/** The place of a share of the axis as a coordinate. */
export function x(share: number): string {
  return `${Number(((MARGIN + share * (1 - 2 * MARGIN)) * 100).toFixed(2))}%`;
}

/** A length along the axis. */
export function width(share: number): string {
  return `${Number((share * (1 - 2 * MARGIN) * 100).toFixed(2))}%`;
}

/** The class that gives series `series` its colour. */
export function colorClass(series: number): string {
  return `color-${series % COLORS}`;
}

/** The marker of series `series`, from 0, around `left` and `top`. No two of 40 are alike. */
export function marker(series: number, left: string, top: number): Html {
  return html`
    <use href="#shape-${series % SHAPES}" class="mark ${colorClass(
      series,
    )}" x="${left}" y="${top}" />
  `;
}

/** A bar of series `series`, from 0. */
export function bar(
  series: number,
  left: number,
  share: number,
  top: number,
  height: number,
): Html {
  return html`
    <rect class="bar fill-${series % FILLS}" x="${x(left)}" y="${top}" width="${width(share)}"
      height="${height}" />
  `;
}

/** Lines across a chart of `height` at the ticks, and what they stand for below. */
export function axis(scale: Scale, height: number, format: (value: number) => string): Html {
  return html`${
    scale.ticks.map(({ at, value }) =>
      html`
        <line class="grid" x1="${x(at)}" x2="${x(at)}" y1="0" y2="${height}" />
        <text class="tick ${at < 0.05 ? "first" : at > 0.95 ? "last" : "middle"}" x="${x(
          at,
        )}" y="${height + 15}">${format(value)}</text>
      `
    )
  }`;
}

/** What one series looks like, for a legend. */
export function key(series: number, kind: "marker" | "bar"): Html {
  return html`<svg class="key" width="14" height="14" aria-hidden="true">${
    kind === "marker" ? marker(series, "7", 7) : html`
      <rect class="bar fill-${series % FILLS}" x="1" y="2" width="12" height="10" />
    `
  }</svg>`;
}

/** Shapes and patterns that {@linkcode marker} and {@linkcode bar} refer to; once a page. */
export function definitions(): Html {
  return html`
    <svg class="definitions" width="0" height="0" aria-hidden="true" focusable="false">
      <defs>
        <circle id="shape-0" r="4.5" />
        <rect id="shape-1" x="-4" y="-4" width="8" height="8" />
        <path id="shape-2" d="M0 -5.5 5.2 4 -5.2 4Z" />
        <path id="shape-3" d="M0 -5.8 5.8 0 0 5.8 -5.8 0Z" />
        <path id="shape-4" d="M-5.2 -4 5.2 -4 0 5.5Z" />
        <pattern id="pattern-1" width="6" height="6" patternUnits="userSpaceOnUse"
          patternTransform="rotate(45)">
          <rect class="pattern-1" width="6" height="6" />
          <rect class="stripe" width="2" height="6" />
        </pattern>
        <pattern id="pattern-2" width="6" height="6" patternUnits="userSpaceOnUse">
          <rect class="pattern-2" width="6" height="6" />
          <circle class="stripe" cx="3" cy="3" r="1.2" />
        </pattern>
      </defs>
    </svg>
  `;
}
