/**
 * `--junit`: the XML that CI services read. A test suite is a scenario, a test
 * case one of its runs.
 * @module
 */

import { type RunReport, totalsOf } from "../run/run_report.ts";
import { viaLabel } from "../via/variant.ts";
import type { Summary } from "./reporter.ts";

/**
 * Text for XML 1.0, in elements and attributes. What no XML document may hold
 * (XML 1.0, 2.2: control characters, halves of surrogate pairs) is spelled out.
 */
function xmlText(text: string): string {
  let escaped = "";
  for (const character of text) {
    const code = character.codePointAt(0)!;
    const allowed = code === 0x9 || code === 0xa || code === 0xd ||
      (code >= 0x20 && code <= 0xd7ff) || (code >= 0xe000 && code <= 0xfffd) || code >= 0x1_0000;
    if (!allowed) escaped += `\\u${code.toString(16).padStart(4, "0")}`;
    else if (character === "&") escaped += "&amp;";
    else if (character === "<") escaped += "&lt;";
    else if (character === ">") escaped += "&gt;";
    else if (character === '"') escaped += "&quot;";
    // As they are, a parser would turn these into blanks and line feeds.
    else if (code < 0x20 && code !== 0xa) escaped += `&#${code};`;
    else escaped += character;
  }
  return escaped;
}

/** An attribute's value: line breaks survive in it only as references. */
function attribute(text: string): string {
  return xmlText(text).replaceAll("\n", "&#10;");
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(6);
}

function counts(runs: readonly RunReport[]): string {
  const { failed, skipped } = totalsOf(runs);
  const ms = runs.reduce((sum, run) => sum + run.durationMs, 0);
  return `tests="${runs.length}" failures="${failed}" errors="0" skipped="${skipped}" time="${
    seconds(ms)
  }"`;
}

function failureText(run: RunReport): string {
  const parts = run.checks.filter(({ ok }) => !ok).map(({ name, detail }) =>
    detail === undefined ? `check failed: ${name}` : `check failed: ${name}\n${detail}`
  );
  parts.push(...run.errors ?? [], `seed: ${run.seed}`, `rerun: ${run.rerun ?? ""}`);
  return parts.join("\n");
}

function testCase(run: RunReport): string {
  const lines = [
    `    <testcase name="${
      attribute(`${run.mode} via ${viaLabel(run.via, run.variant)} seed ${run.seed}`)
    }" classname="${attribute(run.scenario)}" time="${seconds(run.durationMs)}">`,
    "      <properties>",
    ...[
      ["seed", run.seed],
      ["mode", run.mode],
      ["via", run.via],
      ...run.variant === undefined ? [] : [["variant", run.variant]],
    ].map(([name, value]) => `        <property name="${name}" value="${value}"/>`),
    "      </properties>",
  ];
  if (run.status === "failed") {
    lines.push(
      `      <failure type="failed" message="${attribute(run.reason ?? "")}">${
        xmlText(failureText(run))
      }</failure>`,
    );
  }
  if (run.status === "skipped") {
    lines.push(`      <skipped message="${attribute(run.reason ?? "")}"/>`);
  }
  if (run.log !== undefined) {
    lines.push(`      <system-out>${xmlText(run.log.join("\n"))}</system-out>`);
  }
  if (run.output !== undefined) {
    lines.push(`      <system-err>${xmlText(run.output)}</system-err>`);
  }
  lines.push("    </testcase>");
  return lines.join("\n");
}

/** The file's text. */
export function junitReport({ runs }: Summary): string {
  const names = [...new Set(runs.map(({ scenario }) => scenario))];
  const suites = names.map((name) => {
    const own = runs.filter(({ scenario }) => scenario === name);
    return `  <testsuite name="${attribute(name)}" ${counts(own)}>\n${
      own.map(testCase).join("\n")
    }\n  </testsuite>\n`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="viaduct" ${counts(runs)}>\n${
    suites.join("")
  }</testsuites>\n`;
}
