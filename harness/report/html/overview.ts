/**
 * The top of the page: how it went, totals, what was skipped and why, files written beside it,
 * and the filter.
 * @module
 */

import { type RunReport, sumMetrics, totalsOf } from "../../run/run_report.ts";
import type { Summary } from "../reporter.ts";
import { duration, hitRate } from "../text.ts";
import type { Grid } from "./grid.ts";
import { byteCount, counted, data, integer } from "./numbers.ts";
import { shortName } from "./room.ts";
import { type Html, html } from "./template.ts";

/** A file that was written beside the report. */
export interface ReportFile {
  /** The flag that asked for it: `--trace`. */
  readonly flag: string;
  /** As it was named on the command line. */
  readonly path: string;
}

/** What a page is about: an invocation, or runs that were started one by one. */
export interface PageSummary extends Omit<Summary, "seed"> {
  /** Null where the runs have no seed in common. */
  readonly seed: number | null;
}

const MOST_REASONS = 20;
const PATH = 400;

/** What each flag's file is good for. */
const USES: Readonly<Record<string, string>> = {
  "--json": "all of this for programs",
  "--junit": "for CI services",
  "--trace": "steps, DMA, faults and mappings: open it at ui.perfetto.dev",
  "--messages": "the messages of vfio-user",
};

/** `passed`, `failed` or `interrupted`. */
export function resultOf({ runs, ended }: PageSummary): "passed" | "failed" | "interrupted" {
  if (ended === "interrupted") return "interrupted";
  return runs.some(({ status }) => status === "failed") ? "failed" : "passed";
}

function totals({ runs, seed, durationMs }: PageSummary): Html {
  const { passed, failed, skipped } = totalsOf(runs);
  const sum = sumMetrics(runs);
  const tiles: readonly (readonly [string, Html | string])[] = [
    ["passed", html`<span class="passed">${data(passed, integer(passed))}</span>`],
    [
      "failed",
      failed === 0
        ? data(0, "0")
        : html`<span class="failed">${data(failed, integer(failed))}</span>`,
    ],
    ["skipped", data(skipped, integer(skipped))],
    ["time", data(durationMs, duration(durationMs))],
    ["translations", data(sum.translations, integer(sum.translations))],
    ["IOTLB hits", hitRate(sum.iotlbHits, sum.iotlbMisses)],
    ["faults", data(sum.faults, integer(sum.faults))],
    ["DMA read", data(sum.dmaReadBytes, byteCount(sum.dmaReadBytes))],
    ["DMA written", data(sum.dmaWriteBytes, byteCount(sum.dmaWriteBytes))],
    ...seed === null ? [] : [["seed", String(seed)] as const],
  ];
  return html`<dl class="tiles">${
    tiles.map(([name, value]) =>
      html`
        <div>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div>
      `
    )
  }</dl>`;
}

function skippedMarkup(runs: readonly RunReport[]): Html | null {
  const reasons = new Map<string, number>();
  for (const { status, reason = "" } of runs) {
    if (status === "skipped") reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  if (reasons.size === 0) return null;
  const shown = [...reasons].sort(([, a], [, b]) => b - a).slice(0, MOST_REASONS);
  return html`
    <ul class="facts">
    ${shown.map(([reason, count]) =>
      html`<li>${counted(count, "run")} skipped: ${shortName(reason, PATH)}</li>`
    )}${shown.length === reasons.size
      ? null
      : html`<li>${counted(reasons.size - shown.length, "reason")} more left out</li>`}</ul>
  `;
}

function filesMarkup(files: readonly ReportFile[]): Html | null {
  if (files.length === 0) return null;
  return html`
    <h2>Files written beside this one</h2>
    <ul class="facts">
    ${files.map(({ flag, path }) =>
      html`<li><code>${shortName(path, PATH)}</code> by ${flag}${
        USES[flag] === undefined ? null : `: ${USES[flag]}`
      }</li>`
    )}</ul>
  `;
}

/** Result, totals, what was skipped, and files. */
export function overviewSection(summary: PageSummary, files: readonly ReportFile[]): Html {
  const { runs, ended } = summary;
  const { failed } = totalsOf(runs);
  const result = resultOf(summary);
  const told = runs.length === 0
    ? "No run was made"
    : failed > 0
    ? `${integer(failed)} of ${counted(runs.length, "run")} failed`
    : ended === "interrupted"
    ? `Interrupted, with ${counted(runs.length, "run")} planned`
    : `${counted(runs.length, "run")}, and none failed`;
  return html`
    <section class="panel overview" aria-labelledby="overview-title">
    <h1 id="overview-title">Viaduct scenario runs <span class="pill ${result === "passed"
      ? "good"
      : "bad"}">${result}</span></h1>
    <p class="summary">${told}</p>
    ${totals(summary)}${skippedMarkup(runs)}${filesMarkup(files)}</section>
  `;
}

function choice(id: string, label: string, names: readonly string[]): Html {
  const options = names.map((name) => html`<option>${name}</option>`);
  return html`
    <span class="choice"><label for="${id}">${label}</label>
    <select id="${id}"><option value="">all</option>${options}</select></span>
  `;
}

/** The filter. Without the script it would do nothing, so it is the script that shows it. */
export function filterBar({ columns }: Grid): Html {
  return html`
    <div id="filter" class="filter" role="search" aria-label="Filter the runs" hidden>
    <span class="choice words"><label for="filter-text">Filter</label> <input id="filter-text" type="search" autocomplete="off" spellcheck="false" placeholder="words, all of which must be there" aria-keyshortcuts="/"></span>
    ${choice("filter-status", "Status", ["passed", "failed", "skipped"])}${choice(
      "filter-mode",
      "Mode",
      [...new Set(columns.map(({ mode }) => mode))],
    )}${choice("filter-via", "Via", [
      ...new Set(columns.map(({ via }) => via)),
    ])}<button type="button" id="filter-clear">Clear</button>
    <output id="filter-count" for="filter-text filter-status filter-mode filter-via" aria-live="polite"></output>
    </div>
  `;
}
