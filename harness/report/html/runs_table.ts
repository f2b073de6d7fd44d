/**
 * All runs, a line each.
 * @module
 */

import { viaLabel } from "../../via/variant.ts";
import { duration, hitRate } from "../text.ts";
import type { NumberedRun } from "./grid.ts";
import { byteCount, counted, data, integer } from "./numbers.ts";
import { shortName } from "./room.ts";
import { type Linked, runAnchor, statusMark } from "./run_link.ts";
import { type Html, html } from "./template.ts";

/** Lines of the table. */
const MOST_ROWS = 10_000;
/** Up to so many it is open from the start. */
const OPEN_ROWS = 300;
const NAME = 120, REASON = 160;

const HEADS = [
  "Run",
  "Scenario",
  "Mode",
  "Via",
  "Status",
  "Time",
  "Translations",
  "Hits",
  "Faults",
  "Read",
  "Written",
  "Seed",
] as const;

function line({ number, report }: NumberedRun, linked: Linked): Html {
  const { scenario, mode, via, variant, status, reason, durationMs, metrics, seed } = report;
  return html`
    <tr class="item" data-status="${status}" data-mode="${mode}" data-via="${via}">
      <td>${linked(number) ? html`<a href="#${runAnchor(number)}">${number}</a>` : number}</td>
      <th scope="row">${shortName(scenario, NAME)}${status === "passed" || reason === undefined
        ? null
        : html`<span class="small">${shortName(reason, REASON)}</span>`}</th>
      <td>${mode}</td>
      <td>${viaLabel(via, variant)}</td>
      <td><span class="${status}">${statusMark(status)} ${status}</span></td>
      <td>${duration(durationMs)}</td>
      <td>${integer(metrics.translations)}</td>
      <td>${hitRate(metrics.iotlbHits, metrics.iotlbMisses)}</td>
      <td>${integer(metrics.faults)}</td>
      <td>${data(metrics.dmaReadBytes, byteCount(metrics.dmaReadBytes))}</td>
      <td>${data(metrics.dmaWriteBytes, byteCount(metrics.dmaWriteBytes))}</td>
      <td>${seed}</td>
    </tr>
  `;
}

/** The table's section. */
export function runsSection(runs: readonly NumberedRun[], linked: Linked): Html {
  let shown = runs;
  if (runs.length > MOST_ROWS) {
    // Where not all have room, those that failed come before others.
    const failed = runs.filter(({ report }) => report.status === "failed");
    const others = runs.filter(({ report }) => report.status !== "failed");
    shown = [...failed, ...others].slice(0, MOST_ROWS);
  }
  return html`
    <section class="panel" aria-labelledby="runs-title">
      <h2 id="runs-title">Runs</h2>
      <details id="runs" ${runs.length <= OPEN_ROWS
        ? html`
          open
        `
        : null}><summary>${counted(runs.length, "run")}, in the order of the plan</summary>
    <div class="scroll" tabindex="0" role="region" aria-label="Runs, table"><table class="runs">
    <thead><tr>${HEADS.map((head) => html`<th scope="col">${head}</th>`)}</tr></thead>
    <tbody>
    ${shown.map((run) => line(run, linked))}</tbody>
    </table></div>
    <p class="note filtered" hidden>No run passes the filter</p>
    ${shown.length === runs.length
      ? null
      : html`<p class="note">${
        counted(runs.length - shown.length, "run")
      } more left out; --json writes them all</p>`}</details>
    </section>
  `;
}
