/**
 * The matrix: a row a scenario, a column a mode (and via), each with how it
 * went, time, translations, hit rate and faults; then what failed, and totals.
 * @module
 */

import { type Metrics, type RunReport, sumMetrics, totalsOf } from "../run/run_report.ts";
import { type Mode, MODES, type Via, VIAS } from "../scenario.ts";
import { type Variant, VARIANTS, viaLabel } from "../via/variant.ts";
import type { Reporter, ReporterOptions, Style, Summary } from "./reporter.ts";
import { duration, hitRate, indented, plural, quantity } from "./text.ts";

/** Widths of a cell's fields after how it went: time, translations, hit rate, faults. */
const FIELDS = [8, 7, 8, 7] as const;
const GAP = 3;
const MIN_NAME = 16;
/** Lines of a failed run's log and output that are repeated. */
const LAST_LINES = 10;

/** Cut in its middle, so that both what it begins and what it ends with are seen. */
function fit(text: string, width: number): string {
  if (text.length <= width) return text;
  const end = Math.floor((width - 1) / 2);
  return `${text.slice(0, width - 1 - end)}…${text.slice(text.length - end)}`;
}

/** Least width of how it went. */
const STATUS = 4;

/** Characters of a cell whose first field has `statusWidth`. */
function cellWidth(statusWidth: number): number {
  return FIELDS.reduce((sum, width) => sum + width, statusWidth);
}

/** How the runs of one cell went. */
function statusOf(runs: readonly RunReport[]): string {
  if (runs.length === 0) return "–";
  const { passed, failed, skipped } = totalsOf(runs);
  if (skipped === runs.length) return "skip";
  return runs.length > 1 ? `${passed}/${runs.length}` : failed > 0 ? "FAIL" : "ok";
}

/** All runs of one scenario in one mode and via. */
function cell(runs: readonly RunReport[], statusWidth: number, style: Style): string {
  const made = runs.filter(({ status }) => status !== "skipped");
  const status = statusOf(runs);
  if (made.length === 0) return style.faint(status.padEnd(cellWidth(statusWidth)));
  const { failed } = totalsOf(runs);
  const paint = failed > 0 ? style.bad : style.good;
  const metrics: Metrics = sumMetrics(made);
  const meanMs = made.reduce((sum, run) => sum + run.durationMs, 0) / made.length;
  const values = [
    duration(meanMs),
    quantity(metrics.translations),
    hitRate(metrics.iotlbHits, metrics.iotlbMisses),
    quantity(metrics.faults),
  ];
  return paint(status.padEnd(statusWidth)) +
    values.map((value, at) => value.padStart(FIELDS[at]!)).join("");
}

function headings(statusWidth: number): string {
  const names = ["time", "transl", "hits", "faults"];
  return " ".repeat(statusWidth) + names.map((name, at) => name.padStart(FIELDS[at]!)).join("");
}

/** A scenario, or one of its variants, which stands below it. */
interface Row {
  readonly scenario: string;
  readonly variant: Variant | undefined;
}

function rowsOf(runs: readonly RunReport[]): Row[] {
  const names = [...new Set(runs.map(({ scenario }) => scenario))];
  return names.flatMap((scenario) =>
    [undefined, ...VARIANTS].map((variant) => ({ scenario, variant }))
      .filter((row) => runs.some((run) => isIn(run, row)))
  );
}

function isIn(run: RunReport, { scenario, variant }: Row): boolean {
  return run.scenario === scenario && run.variant === variant;
}

/** Of a variant its own, below its scenario's. */
function rowName({ scenario, variant }: Row, above: Row | undefined): string {
  if (variant === undefined) return scenario;
  return above?.scenario === scenario ? `  ${variant}` : `${scenario} ${variant}`;
}

interface Column {
  readonly mode: Mode;
  readonly via: Via;
}

function columnsOf(runs: readonly RunReport[]): Column[] {
  return VIAS.flatMap((via) => MODES.map((mode) => ({ mode, via })))
    .filter(({ mode, via }) => runs.some((run) => run.mode === mode && run.via === via));
}

function matrix(runs: readonly RunReport[], { style, columns: width }: ReporterOptions): string {
  const rows = rowsOf(runs);
  const longest = Math.max(
    "scenario".length,
    ...rows.map((row, at) => rowName(row, rows[at - 1]).length),
  );
  const columns = columnsOf(runs);
  const cells = rows.map((row) =>
    columns.map(({ mode, via }) =>
      runs.filter((run) => isIn(run, row) && run.mode === mode && run.via === via)
    )
  );
  // Of many repeats a share takes more room than a word.
  let statusWidth = STATUS;
  for (const runs of cells.flat()) statusWidth = Math.max(statusWidth, statusOf(runs).length);
  const wide = cellWidth(statusWidth);
  // As many columns side by side as the line holds beside names of a readable length.
  const room = Math.max(1, Math.floor((width - 2 - Math.min(longest, MIN_NAME)) / (wide + GAP)));
  const blocks: string[] = [];
  for (let from = 0; from < columns.length; from += room) {
    const shown = columns.slice(from, from + room);
    const nameWidth = Math.max(
      Math.min(longest, MIN_NAME),
      Math.min(longest, width - 2 - shown.length * (wide + GAP)),
    );
    const gap = " ".repeat(GAP);
    const lines: string[] = [
      "  " + " ".repeat(nameWidth) +
      shown.map(({ mode, via }) => gap + style.strong(fit(`${mode} via ${via}`, wide).padEnd(wide)))
        .join(""),
      "  " + style.faint("scenario".padEnd(nameWidth)) +
      shown.map(() => gap + style.faint(headings(statusWidth))).join(""),
    ];
    for (const [at, row] of rows.entries()) {
      const own = cells[at]!.slice(from, from + room);
      // A variant is of one via, and has nothing to show beside others.
      if (row.variant !== undefined && own.every((runs) => runs.length === 0)) continue;
      const name = rowName(row, rows[at - 1]);
      lines.push(
        "  " + fit(name, nameWidth).padEnd(nameWidth) +
          own.map((runs) => gap + cell(runs, statusWidth, style)).join(""),
      );
    }
    blocks.push(lines.map((line) => line.trimEnd()).join("\n"));
  }
  return blocks.join("\n\n") + "\n";
}

function lastLines(lines: readonly string[]): string[] {
  const more = lines.length - LAST_LINES;
  return more <= 0 ? [...lines] : [`(${more} lines before)`, ...lines.slice(-LAST_LINES)];
}

/** `label` in front of the first line, the others under it. */
function labelled(label: string, text: string, style: Style): string {
  const lines = indented(text, " ".repeat(12)).split("\n");
  const first = lines[0] ?? "";
  return [`    ${style.faint(label.padEnd(8))}${first.slice(12)}`.trimEnd(), ...lines.slice(1)]
    .join("\n");
}

function failure(run: RunReport, style: Style): string {
  const head = `  ${style.bad("FAIL")}  ${style.strong(run.scenario)}  ${run.mode} via ${
    viaLabel(run.via, run.variant)
  }  ${duration(run.durationMs)}`;
  const lines = [head, labelled("reason", run.reason ?? "", style)];
  for (const error of run.errors ?? []) {
    const [first, ...rest] = error.split("\n");
    if (first !== run.reason) lines.push(labelled("error", error, style));
    else if (rest.length > 0) lines.push(indented(rest.join("\n"), " ".repeat(10)));
  }
  for (const check of run.checks) {
    if (check.ok) continue;
    lines.push(labelled("check", check.name, style));
    if (check.detail !== undefined) lines.push(indented(check.detail, " ".repeat(14)));
  }
  if (run.log !== undefined) lines.push(labelled("log", lastLines(run.log).join("\n"), style));
  if (run.output !== undefined) {
    const printed = run.output.replace(/\n$/, "").split("\n");
    lines.push(labelled("output", lastLines(printed).join("\n"), style));
  }
  lines.push(labelled("seed", String(run.seed), style));
  if (run.rerun !== undefined) lines.push(labelled("rerun", run.rerun, style));
  return lines.join("\n") + "\n";
}

function totals({ runs, seed, durationMs, ended }: Summary, style: Style): string {
  const { passed, failed, skipped } = totalsOf(runs);
  const sum = sumMetrics(runs);
  const result = ended === "interrupted"
    ? style.bad("interrupted")
    : failed > 0
    ? style.bad("failed")
    : style.good("passed");
  const counts = [
    style.good(`${passed} ok`),
    failed > 0 ? style.bad(`${failed} failed`) : `${failed} failed`,
    `${skipped} skipped`,
    duration(durationMs),
  ];
  const traffic = [
    plural(sum.translations, "translation"),
    `${hitRate(sum.iotlbHits, sum.iotlbMisses)} IOTLB hits`,
    plural(sum.faults, "fault"),
    `seed ${seed}`,
  ];
  return `  ${result}   ${counts.join("   ")}\n  ${style.faint(traffic.join("   "))}\n`;
}

/** The matrix, once all runs have ended. */
export function pretty(options: ReporterOptions): Reporter {
  const { write, style } = options;
  return {
    begin() {},
    finished() {},
    end(summary) {
      const { runs } = summary;
      write("\n");
      if (runs.length > 0) write(matrix(runs, options) + "\n");
      for (const run of runs) {
        if (run.status === "failed") write(failure(run, style) + "\n");
      }
      const reasons = new Set(
        runs.filter(({ status }) => status === "skipped").map(({ reason }) => reason ?? ""),
      );
      for (const reason of reasons) {
        const count = runs.filter((run) => run.status === "skipped" && run.reason === reason);
        write(indented(`${count.length} skipped: ${reason}`, "  ") + "\n");
      }
      write(totals(summary, style));
    },
  };
}
