/**
 * A chart with all that goes with it: heading, what it shows in a sentence, the picture,
 * what its series look like, and its numbers as a table.
 * @module
 */

import { counted } from "../numbers.ts";
import { type Html, html } from "../template.ts";
import { key } from "./svg.ts";

/** One line of a chart's numbers. */
export interface TableRow {
  readonly name: string;
  readonly cells: readonly Html[];
}

/** See the module. */
export interface Figure {
  /** Of the element; words with hyphens. */
  readonly id: string;
  readonly heading: string;
  /** What a reader learns from the picture. */
  readonly summary: string;
  /** What is inside the `svg` element. */
  readonly picture: Html;
  /** Pixels. */
  readonly height: number;
  readonly series: { readonly kind: "marker" | "bar"; readonly names: readonly string[] };
  /** The first is that of the names. */
  readonly tableHeads: readonly string[];
  readonly rows: readonly TableRow[];
  /** Rows that there are beyond {@linkcode rows}. */
  readonly rowsLeftOut: number;
}

/** The figure's markup. */
export function figure(chart: Figure): Html {
  const { id, heading, summary, picture, height, series, tableHeads, rows, rowsLeftOut } = chart;
  return html`
    <section class="panel chart" aria-labelledby="${id}">
    <h3 id="${id}">${heading}</h3>
    <p class="summary">${summary}</p>
    <svg class="picture" role="img" aria-label="${heading}. ${summary}" width="100%" height="${height}">${picture}</svg>
    ${series.names.length < 2
      ? null
      : html`<ul class="legend">${
        series.names.map((name, at) => html`<li>${key(at, series.kind)} ${name}</li>`)
      }</ul>`}
    <details><summary>${heading}, as a table</summary>
    <div class="scroll" tabindex="0" role="region" aria-label="${heading}, table"><table class="numbers">
    <thead><tr>${tableHeads.map((head) => html`<th scope="col">${head}</th>`)}</tr></thead>
    <tbody>${rows.map(({ name, cells }) =>
      html`<tr><th scope="row">${name}</th>${cells.map((cell) => html`<td>${cell}</td>`)}</tr>`
    )}</tbody>
    </table></div>${rowsLeftOut === 0
      ? null
      : html`<p class="note">${counted(rowsLeftOut, "row")} more left out</p>`}</details>
    </section>
  `;
}

/** In the place of a chart that has nothing to show. */
export function emptyFigure(id: string, heading: string, why: string): Html {
  return html`
    <section class="panel chart" aria-labelledby="${id}">
      <h3 id="${id}">${heading}</h3>
      <p class="summary">${why}</p>
    </section>
  `;
}
