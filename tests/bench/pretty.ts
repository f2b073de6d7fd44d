/**
 * A run as people read it: ratios first, then every figure, the peers, and what
 * has changed. At most 100 columns; colour only where it is enabled.
 * @module
 */

import { bold, cyan, dim, green, red, yellow } from "@std/fmt/colors";
import type { BenchmarkGroup, PeerFigure, Unit } from "./benchmark.ts";
import type { Change } from "./compare.ts";
import type { BenchRatio, BenchReport, BenchResult } from "./report.ts";

/** A subject whose middle round took so much longer than its best, as a part of it, was disturbed. */
const UNSTEADY = 0.25;

/** Three significant digits, in the unit that needs no more than four before the point. */
export function formatValue(value: number, unit: Unit): string {
  if (unit === "entries") return `${value} ${value === 1 ? "entry" : "entries"}`;
  if (unit === "bytes") return `${value < 1 && value > 0 ? value.toFixed(4) : digits(value)} B`;
  if (value < 10_000) return `${digits(value)} ns`;
  if (value < 10_000_000) return `${digits(value / 1e3)} us`;
  return `${digits(value / 1e6)} ms`;
}

/** The run's results, without what it is compared with. */
export function formatRun(report: BenchReport, groups: readonly BenchmarkGroup[]): string {
  const { host } = report;
  const lines = [
    bold("viaduct bench") +
    dim(
      `  deno ${host.deno}  v8 ${host.v8}  ${host.arch}  ${host.cpus} cpus  seed ${report.seed}`,
    ),
    "",
    ...report.ratios.filter((ratio) => ratio.bar !== null).map(ratioLine),
    ...report.ratios.filter((ratio) => ratio.bar === null).map(ratioLine),
    ...unsteadyLines(report.results),
  ];
  for (const { name, peers } of groups) {
    const results = report.results.filter((result) => result.group === name);
    if (results.length === 0) continue;
    lines.push("", bold(name) + dim("  best round, and how far the middle one lies above it"));
    lines.push(...resultLines(results), ...peerLines(peers, results));
  }
  return lines.join("\n") + "\n";
}

/** What has changed since the run of a file. */
export function formatChanges(changes: readonly Change[], file: string): string {
  const lines = [bold(`change since ${file}`) + dim("  * is beyond the spread of both runs")];
  for (const { name, unit, before, after, percent, verdict } of changes) {
    const row = `  ${name.padEnd(46)}${value(before, unit)} -> ${value(after, unit)}`;
    if (percent === null) {
      const word = before === 0 && after === 0
        ? ""
        : before === null || after === null
        ? verdict
        : "from 0";
      lines.push(`${row}  ${dim(word.padStart(9))}`.trimEnd());
      continue;
    }
    const change = `${percent < 0 ? "-" : "+"}${Math.abs(percent).toFixed(1)} %`.padStart(11);
    if (verdict === "better") lines.push(row + green(`${change} * better`));
    else if (verdict === "worse") lines.push(row + red(`${change} * worse`));
    else lines.push(row + dim(change));
  }
  return lines.join("\n") + "\n";
}

/** Every benchmark with what it measures. */
export function formatList(groups: readonly BenchmarkGroup[]): string {
  return groups.flatMap(({ name, benchmarks }) => [
    bold(name),
    ...benchmarks.map((benchmark) =>
      `  ${benchmark.name.padEnd(23)}${benchmark.about}${
        benchmark.slow ? dim(" (not in --quick)") : ""
      }`
    ),
  ]).join("\n") + "\n";
}

function ratioLine({ name, value, bar, sense, ok }: BenchRatio): string {
  const row = `ratio ${name.padEnd(58)} ${
    (value === null ? "none" : value.toFixed(3)).padStart(9)
  }`;
  if (bar === null) return dim(row);
  const limit = `(bar ${sense} ${bar})`.padEnd(19);
  return `${row} ${limit} ${ok ? green("ok") : red("MISSED")}`;
}

/** Names the benchmarks that something else on the machine has disturbed. */
function unsteadyLines(results: readonly BenchResult[]): string[] {
  const unsteady = new Set(
    results
      .filter(({ value, spread, unit }) => unit === "ns" && spread > value * UNSTEADY)
      .map(({ name }) => name.slice(0, name.indexOf("/"))),
  );
  if (unsteady.size === 0) return [];
  const lines = ["", yellow("unsteady") + dim("  a busy machine? do not rely on the ratios of")];
  let line = " ";
  for (const name of unsteady) {
    if (line.length + 1 + name.length > 100) {
      lines.push(line);
      line = " ";
    }
    line += ` ${name}`;
  }
  return [...lines, line];
}

function resultLines(results: readonly BenchResult[]): string[] {
  let before = "";
  return results.map((result) => {
    const slash = result.name.indexOf("/");
    const benchmark = result.name.slice(0, slash);
    const heading = benchmark === before ? "" : benchmark;
    before = benchmark;
    const single = result.samples.length === 1;
    const scatter = single ? "" : `+ ${formatValue(result.spread, result.unit)}`;
    const row = `  ${cyan(heading.padEnd(23))}${result.name.slice(slash + 1).padEnd(22)}` +
      `${formatValue(result.value, result.unit).padStart(12)}  ${dim(scatter.padEnd(13))}`;
    if (result.bytesMoved === undefined) return row.trimEnd();
    return row + `${digits(result.bytesMoved / result.value)} GB/s`.padStart(11);
  });
}

function peerLines(peers: readonly PeerFigure[], results: readonly BenchResult[]): string[] {
  const lines: string[] = [];
  for (const peer of peers) {
    const ours = results.find((result) => result.name === peer.ours);
    if (ours === undefined) continue;
    lines.push(
      `  ${peer.name.padEnd(58)}${formatValue(peer.value, peer.unit).padStart(9)}` +
        `   ours ${formatValue(ours.value, ours.unit).padStart(9)}`,
    );
  }
  if (lines.length === 0) return [];
  return [
    "",
    yellow("peers") + dim("  measured on another machine: for orientation, not for comparison"),
    ...lines,
  ];
}

function value(number: number | null, unit: Unit): string {
  return (number === null ? "-" : formatValue(number, unit)).padStart(11);
}

/** Three significant digits, and never more than two places. */
function digits(number: number): string {
  const size = Math.abs(number);
  return number.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}
