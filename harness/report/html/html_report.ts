/**
 * `--html`: all runs as one page for people, which opens from a file and asks nobody for anything.
 *
 * Everything that a scenario, a device or a guest chose is text on it and nothing else: templates
 * escape it, and the page's policy lets no script and no style run but its own two.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { totalsOf } from "../../run/run_report.ts";
import { failuresOf } from "./failures.ts";
import { gridOf } from "./grid.ts";
import { matrixSection } from "./matrix.ts";
import {
  filterBar,
  overviewSection,
  type PageSummary,
  type ReportFile,
  resultOf,
} from "./overview.ts";
import { chartsSection } from "./run_charts.ts";
import { runsSection } from "./runs_table.ts";
import { asset, html } from "./template.ts";
import { thresholdsSection } from "./thresholds.ts";
import script from "./page_script.js" with { type: "text" };
import style from "./page.css" with { type: "text" };

/** A source expression of a policy that lets just this text in (CSP 3, 2.3.1). */
function hashOf(text: string): string {
  return `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
}

/** What the page may do: nothing but to run its own script and to use its own style. */
function contentSecurityPolicy(): string {
  return [
    "default-src 'none'",
    `script-src ${hashOf(script)}`,
    `style-src ${hashOf(style)}`,
    "base-uri 'none'",
    "form-action 'none'",
    // Text can reach no place where it would be read as markup, not even by a slip of the script.
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; ");
}

/** The file's text. `files` are those that were written beside it. */
export function htmlReport(summary: PageSummary, files: readonly ReportFile[] = []): string {
  const runs = summary.runs.map((report, at) => ({ number: at + 1, report }));
  const grid = gridOf(runs);
  const failures = failuresOf(runs);
  const linked = (number: number) => failures.shown.has(number);
  const { passed, failed, skipped } = totalsOf(summary.runs);
  return html`
    <!DOCTYPE html>
    <html lang="en">
      <head>
    <meta charset="utf-8">
    <meta http-equiv="Content-Security-Policy" content="${contentSecurityPolicy()}">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="dark light">
    <meta name="referrer" content="no-referrer">
    <title>${resultOf(
      summary,
    )}: ${passed} passed, ${failed} failed, ${skipped} skipped · Viaduct</title>
    ${asset("style", style)}
      </head>
      <body>
    <a class="skip" href="#main">Skip to the results</a>
    ${filterBar(grid)}<main id="main" tabindex="-1">
    ${overviewSection(summary, files)}${failures.section}${thresholdsSection(
      runs,
      linked,
    )}${matrixSection(grid, linked)}${chartsSection(grid, runs)}${runsSection(runs, linked)}</main>
    <p class="unseen" id="told" role="status"></p>
    ${asset("script", script)}
      </body>
    </html>
  `.text.trimStart();
}
