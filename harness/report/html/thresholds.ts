/**
 * The thresholds of all runs: which there were, and how often each was met.
 * @module
 */

import type { NumberedRun } from "./grid.ts";
import { counted, integer } from "./numbers.ts";
import { shortName } from "./room.ts";
import { type Linked, runAnchor, statusMark } from "./run_link.ts";
import { type Html, html } from "./template.ts";

/** What the checks that `checkThresholds()` makes of them are called. */
const PREFIX = "threshold ";
const MOST_ROWS = 200;
const MOST_LINKS = 20;
const NAME = 120;

interface Threshold {
  readonly scenario: string;
  readonly expression: string;
  met: number;
  readonly missed: number[];
}

function thresholdsOf(runs: readonly NumberedRun[]): Threshold[] {
  const found = new Map<string, Threshold>();
  for (const { number, report } of runs) {
    for (const { name, ok } of report.checks) {
      if (!name.startsWith(PREFIX)) continue;
      const key = JSON.stringify([report.scenario, name]);
      let threshold = found.get(key);
      if (threshold === undefined) {
        const expression = name.slice(PREFIX.length);
        threshold = { scenario: report.scenario, expression, met: 0, missed: [] };
        found.set(key, threshold);
      }
      if (ok) threshold.met++;
      else threshold.missed.push(number);
    }
  }
  // Those that were missed come first.
  return [...found.values()].sort((a, b) => b.missed.length - a.missed.length);
}

function line({ scenario, expression, met, missed }: Threshold, linked: Linked): Html {
  const status = missed.length === 0 ? "passed" : "failed";
  const links = missed.filter(linked).slice(0, MOST_LINKS);
  return html`
    <tr>
      <th scope="row">${shortName(scenario, NAME)}</th>
      <td class="left"><code>${shortName(expression, NAME)}</code></td>
      <td><span class="${status}">${statusMark(status)} ${missed.length === 0
        ? "met"
        : "missed"}</span></td>
      <td>${integer(met)}</td>
      <td>${integer(missed.length)}${links.length === 0
        ? null
        : html`: ${
          links.map((number, at) =>
            html`${at === 0 ? null : ", "}<a href="#${runAnchor(number)}">run ${number}</a>`
          )
        }`}</td>
    </tr>
  `;
}

/** The section; null where no run had a threshold. */
export function thresholdsSection(runs: readonly NumberedRun[], linked: Linked): Html | null {
  const thresholds = thresholdsOf(runs);
  if (thresholds.length === 0) return null;
  const missed = thresholds.filter(({ missed }) => missed.length > 0).length;
  const shown = thresholds.slice(0, MOST_ROWS);
  return html`
    <section class="panel" aria-labelledby="thresholds-title">
    <h2 id="thresholds-title">Thresholds</h2>
    <p class="summary">${integer(thresholds.length - missed)} met, ${integer(missed)} missed</p>
    <div class="scroll" tabindex="0" role="region" aria-label="Thresholds, table"><table class="numbers">
    <thead><tr><th scope="col">Scenario</th><th scope="col" class="left">Threshold</th><th scope="col">Result</th><th scope="col">Runs that met it</th><th scope="col">Runs that missed it</th></tr></thead>
    <tbody>
    ${shown.map((threshold) => line(threshold, linked))}</tbody>
    </table></div>
    ${shown.length === thresholds.length
      ? null
      : html`<p class="note">${
        counted(thresholds.length - shown.length, "threshold")
      } more left out</p>`}</section>
  `;
}
