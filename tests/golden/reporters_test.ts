/**
 * What reporters print, against texts that were read by a person once. Run with
 * UPDATE_GOLDEN=1 to write them anew, and read them again.
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { stripAnsiCode } from "@std/fmt/colors";
import * as v from "valibot";
import { dot } from "../../harness/report/dot.ts";
import { htmlReport } from "../../harness/report/html/html_report.ts";
import { jsonReport } from "../../harness/report/json.ts";
import { jsonl } from "../../harness/report/jsonl.ts";
import { junitReport } from "../../harness/report/junit.ts";
import { pretty } from "../../harness/report/pretty.ts";
import type { MakeReporter, Style } from "../../harness/report/reporter.ts";
import { PLAIN } from "../../harness/report/style.ts";
import { tap } from "../../harness/report/tap.ts";
import { ReportSchema, type RunReport, RunSchema } from "../../harness/run/run_report.ts";
import { EXAMPLE_RUNS, EXAMPLE_SUMMARY } from "./example_runs.ts";

/** Escape sequences whatever the environment says: `@std/fmt/colors` writes none where NO_COLOR is set. */
const ESCAPED: Style = {
  good: (text) => `\x1b[32m${text}\x1b[39m`,
  bad: (text) => `\x1b[1m\x1b[31m${text}\x1b[39m\x1b[22m`,
  faint: (text) => `\x1b[2m${text}\x1b[22m`,
  strong: (text) => `\x1b[1m${text}\x1b[22m`,
};

function printed(make: MakeReporter, style: Style = PLAIN, columns = 100): string {
  let text = "";
  const reporter = make({ write: (part) => text += part, style, columns });
  reporter.begin(EXAMPLE_RUNS.length);
  for (const run of EXAMPLE_RUNS) reporter.finished(run);
  reporter.end(EXAMPLE_SUMMARY);
  return text;
}

async function assertGolden(name: string, text: string): Promise<void> {
  const file = new URL(`./${name}`, import.meta.url);
  // Half a surrogate pair is no UTF-8: files, as terminals, get U+FFFD for it.
  const written = text.toWellFormed();
  if (Deno.env.get("UPDATE_GOLDEN") === "1") await Deno.writeTextFile(file, written);
  assertEquals(written, await Deno.readTextFile(file));
}

for (
  const [name, make] of Object.entries(
    { pretty, dot, tap, jsonl } satisfies Record<
      string,
      MakeReporter
    >,
  )
) {
  Deno.test(`${name}() prints what its golden file holds`, async () => {
    await assertGolden(`${name}.txt`, printed(make));
  });
}

Deno.test("junitReport() writes what its golden file holds", async () => {
  await assertGolden("junit.xml", junitReport(EXAMPLE_SUMMARY));
});

Deno.test("htmlReport() writes what its golden file holds", async () => {
  const files = [{ flag: "--trace", path: "out/trace.json" }];
  await assertGolden("report.html", htmlReport(EXAMPLE_SUMMARY, files));
});

Deno.test("pretty() says the same with colours, and keeps the matrix within 100 columns", () => {
  const coloured = printed(pretty, ESCAPED);
  const plain = printed(pretty);
  assert(coloured !== plain);
  assertEquals(
    stripAnsiCode(coloured).replace(/ +$/gm, ""),
    plain.replace(/ +$/gm, ""),
  );
  const matrix = plain.split("\n\n")[0]!;
  for (const line of matrix.split("\n")) assert(line.length <= 100, line);
});

Deno.test("COLOURED gives each style colours of its own, once they are switched on", async () => {
  const source = `
    import { setColorEnabled } from "@std/fmt/colors";
    import { COLOURED } from "./harness/report/style.ts";
    setColorEnabled(true);
    console.log(JSON.stringify(Object.values(COLOURED).map((style) => style("text"))));
  `;
  const { stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--quiet", source],
    cwd: fromFileUrl(new URL("../..", import.meta.url)),
    // An empty one counts as none.
    env: { NO_COLOR: "" },
  }).output();
  const styled = JSON.parse(new TextDecoder().decode(stdout)) as string[];
  assertEquals(styled.map(stripAnsiCode), ["text", "text", "text", "text"]);
  assertEquals(new Set([...styled, "text"]).size, 5);
});

Deno.test("pretty() lays columns under each other where the line is too short for them", () => {
  const narrow = printed(pretty, PLAIN, 60);
  assertStringIncludes(narrow, "identity via direct\n");
  assertStringIncludes(narrow, "remap via direct\n");
  for (const line of narrow.split("\n  FAIL")[0]!.split("\n")) assert(line.length <= 60, line);
});

Deno.test("pretty() shows repeats as a share, and the mean of their times", () => {
  let text = "";
  const reporter = pretty({ write: (part) => text += part, style: PLAIN, columns: 100 });
  const [first] = EXAMPLE_RUNS;
  const runs = [
    { ...first!, durationMs: 10 },
    { ...first!, durationMs: 30 },
    { ...first!, durationMs: 20, status: "failed" as const },
  ];
  reporter.end({ ...EXAMPLE_SUMMARY, runs });
  assertStringIncludes(text, "2/3    20 ms");
});

Deno.test("pretty() keeps its columns under their headings, however many repeats there are", () => {
  let text = "";
  const reporter = pretty({ write: (part) => text += part, style: PLAIN, columns: 100 });
  const [first, other] = EXAMPLE_RUNS;
  const runs = [...Array(120).fill(first!), ...Array(3).fill(other!)] as RunReport[];
  reporter.end({ ...EXAMPLE_SUMMARY, runs });
  const [heads, row] = text.split("\n").slice(2);
  assertStringIncludes(row!, " 120/120  0.8 ms");
  const ends = (line: string, words: RegExp) =>
    [...line.matchAll(words)].map((match) => match.index + match[0].length);
  assertEquals(ends(row!, /[\d.]+ ms/g), ends(heads!, /time/g));
  assertEquals(ends(row!, /–/g), ends(heads!, /hits/g));
});

Deno.test("jsonReport() and jsonl() write what the contract's schema takes", () => {
  const report = v.parse(ReportSchema, JSON.parse(jsonReport(EXAMPLE_SUMMARY)));
  assertEquals(report.totals, { passed: 4, failed: 1, skipped: 1 });
  for (const line of printed(jsonl).trimEnd().split("\n")) v.parse(RunSchema, JSON.parse(line));
});

/** What XML 1.0 allows nowhere. */
// deno-lint-ignore no-control-regex -- these are the ones to find
const FORBIDDEN = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/;

/** Throws unless `xml` is well-formed, as far as we write it: tags nest, and text and attributes are escaped. */
function checkXml(xml: string): string[] {
  const open: string[] = [];
  const seen: string[] = [];
  const piece = /<\?xml [^?]*\?>|<(\/?)([a-z-]+)((?: [a-z]+="[^"<]*")*)(\/?)>|([^<]+)/y;
  let at = 0;
  while (at < xml.length) {
    piece.lastIndex = at;
    const match = piece.exec(xml);
    if (match === null) throw new Error(`Not well-formed at ${xml.slice(at, at + 40)}`);
    at = piece.lastIndex;
    const [whole, closes, name, , empty] = match;
    if (FORBIDDEN.test(whole) || /&(?!(?:amp|lt|gt|quot|#\d+);)/.test(whole)) {
      throw new Error(`Not escaped: ${whole}`);
    }
    if (!whole.isWellFormed()) throw new Error(`Half of a surrogate pair: ${whole}`);
    if (name === undefined) continue;
    if (closes !== "") assertEquals(open.pop(), name);
    else {
      seen.push(name);
      if (empty === "") open.push(name);
    }
  }
  assertEquals(open, []);
  return seen;
}

Deno.test("junitReport() is well-formed whatever a scenario said", () => {
  const seen = checkXml(junitReport(EXAMPLE_SUMMARY));
  assertEquals(seen.filter((name) => name === "testcase").length, EXAMPLE_RUNS.length);
  assertEquals(seen.filter((name) => name === "failure").length, 1);
  assertEquals(seen.filter((name) => name === "skipped").length, 1);
  const nasty = Array.from({ length: 0x300 }, (_, code) => String.fromCharCode(code)).join("") +
    "\ud800\udfff\udc00 \ud83d\ude00 \ufffe\uffff ]]>";
  const [first] = EXAMPLE_RUNS;
  const run = {
    ...first!,
    status: "failed" as const,
    reason: nasty,
    log: [nasty],
    output: nasty,
    errors: [nasty],
    checks: [{ name: nasty, ok: false, detail: nasty }],
    rerun: nasty,
  };
  checkXml(junitReport({ ...EXAMPLE_SUMMARY, runs: [run] }));
});

Deno.test("tap() keeps each test point on one line, with directives escaped", () => {
  const lines = printed(tap).split("\n");
  assertEquals(lines.slice(0, 2), ["TAP version 14", `1..${EXAMPLE_RUNS.length}`]);
  const points = lines.filter((line) => /^(not )?ok /.test(line));
  assertEquals(points.length, EXAMPLE_RUNS.length);
  assertEquals(points.filter((line) => line.includes(" # SKIP ")).length, 1);
  for (const line of lines.slice(2, -1)) {
    assert(/^((not )?ok \d+ - | {2}---$| {2}\.\.\.$| {2}\w+: )/.test(line), line);
    const value = /^ {2}\w+: (.*)$/.exec(line)?.[1];
    if (value !== undefined) JSON.parse(value);
  }
});

Deno.test("tap() bails out when it was interrupted", () => {
  let text = "";
  const reporter = tap({ write: (part) => text += part, style: PLAIN, columns: 100 });
  reporter.end({ ...EXAMPLE_SUMMARY, ended: "interrupted" });
  assertEquals(text, "Bail out! Interrupted\n");
});
