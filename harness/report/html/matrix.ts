/**
 * The matrix: a line a scenario, a column a mode and via.
 * @module
 */

import { duration, hitRate, plural, quantity } from "../text.ts";
import type { Grid, GridCell, GridColumn, GridRow } from "./grid.ts";
import { counted } from "./numbers.ts";
import { shortName } from "./room.ts";
import { type Linked, runAnchor, statusMark } from "./run_link.ts";
import { type Html, html } from "./template.ts";

/** Lines of the matrix. */
const MOST_ROWS = 1000;
const NAME = 120;

function cellMarkup(cell: GridCell | null, { mode, via }: GridColumn, linked: Linked): Html {
  if (cell === null) {
    return html`
      <td class="none" data-mode="${mode}"
        data-via="${via}"><span aria-hidden="true">–</span><span class="unseen">not run</span></td>
    `;
  }
  const { runs, totals: { passed, failed, skipped }, time, metrics } = cell;
  const statuses = [
    ...passed > 0 ? ["passed"] : [],
    ...failed > 0 ? ["failed"] : [],
    ...skipped > 0 ? ["skipped"] : [],
  ].join(" ");
  const worst = failed > 0 ? "failed" : passed > 0 ? "passed" : "skipped";
  const said = runs.length === 1 ? html`${worst}` : html`${passed} of ${runs.length} passed`;
  const target = runs.find(({ number, report }) => report.status === "failed" && linked(number));
  const mark = html`${statusMark(worst)} ${
    target === undefined ? said : html`<a href="#${runAnchor(target.number)}">${said}</a>`
  }`;
  const numbers = time === null ? null : html`
    <span class="time">${duration(time.mean)}</span><span
      class="small">${quantity(metrics.translations)} transl · ${hitRate(
        metrics.iotlbHits,
        metrics.iotlbMisses,
      )} hits · ${plural(metrics.faults, "fault")}</span>
  `;
  return html`
    <td data-mode="${mode}" data-via="${via}"
      data-status="${statuses}"><span class="outcome ${worst}">${mark}</span>${numbers}</td>
  `;
}

/** A variant stands below its scenario. */
function rowName({ scenario, variant }: GridRow, above: GridRow | undefined): Html {
  const name = shortName(scenario, NAME);
  if (variant === undefined) return html`${name}`;
  return above?.scenario === scenario
    ? html`<span class="unseen">${name} </span><span class="variant">${variant}</span>`
    : html`${name} <span class="variant">${variant}</span>`;
}

function hasFailed({ cells }: GridRow): boolean {
  return cells.some((cell) => cell !== null && cell.totals.failed > 0);
}

/** The matrix's section. */
export function matrixSection({ columns, rows }: Grid, linked: Linked): Html {
  // Where not all have room, those that failed come before others.
  const shown = rows.length <= MOST_ROWS
    ? rows
    : [...rows.filter(hasFailed), ...rows.filter((row) => !hasFailed(row))].slice(0, MOST_ROWS);
  const body = shown.map((row, at) =>
    html`<tr class="line"><th scope="row">${rowName(row, shown[at - 1])}</th>${
      row.cells.map((cell, at) => cellMarkup(cell, columns[at]!, linked))
    }</tr>`
  );
  return html`
    <section class="panel" aria-labelledby="matrix-title">
    <h2 id="matrix-title">Matrix</h2>
    <p class="summary">A line a scenario, a column a mode and via. Of repeated runs the time is the mean, and the counters are those of all.</p>
    <div class="scroll" tabindex="0" role="region" aria-label="Matrix, table"><table id="matrix" class="matrix">
    <thead><tr><th scope="col">Scenario</th>${columns.map(({ mode, via, name }) =>
      html`<th scope="col" data-mode="${mode}" data-via="${via}">${name}</th>`
    )}</tr></thead>
    <tbody>
    ${body}</tbody>
    </table></div>
    ${rows.length === shown.length
      ? null
      : html`<p class="note">${
        counted(rows.length - shown.length, "line")
      } more left out</p>`}</section>
  `;
}
