import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { createHash } from "node:crypto";
import fc from "fast-check";
import { NO_METRICS, type RunReport } from "../../run/run_report.ts";
import type { Summary } from "../reporter.ts";
import { htmlReport } from "./html_report.ts";

const HOSTILE = `"'></pre></script></style></title><script>alert(1)</script>` +
  `<img src=x onerror=alert(1)><svg onload=alert(1)>\u0000\u001b[2J\u202e\ud800<!--`;

function run(more: Partial<RunReport> = {}): RunReport {
  return {
    scenario: "edu-dma-scatter",
    mode: "remap",
    via: "direct",
    status: "passed",
    durationMs: 12,
    checks: [{ name: "holds", ok: true }],
    metrics: { ...NO_METRICS, translations: 64, iotlbHits: 60, iotlbMisses: 4, faults: 1 },
    seed: 7,
    ...more,
  };
}

function summary(runs: readonly RunReport[], more: Partial<Summary> = {}): Summary {
  return { runs, seed: 7, durationMs: 100, ended: "complete", ...more };
}

/** A run all of whose texts are `text`. */
function runOf(text: string): RunReport {
  return run({
    scenario: text,
    status: "failed",
    reason: text,
    checks: [
      { name: text, ok: false, detail: text },
      { name: `threshold ${text}`, ok: false, detail: text },
    ],
    errors: [text],
    log: [text, text],
    output: text,
    rerun: text,
    steps: [{ name: text, depth: 0, ok: false, durationMs: 1 }],
  });
}

const EMPTY_ELEMENTS = new Set(["meta", "input"]);

interface Element {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
}

/** Its elements. Throws unless tags nest and everything in them is written as our templates write it. */
function elementsOf(page: string): Element[] {
  const open: string[] = [];
  const seen: Element[] = [];
  const piece =
    /<!DOCTYPE html>|<(script|style)>([^]*?)<\/\1>|<(\/?)([a-z][a-z0-9]*)((?:\s+[a-zA-Z][\w-]*(?:="[^"<>]*")?)*)\s*(\/?)>|([^<>]+)/y;
  for (let at = 0; at < page.length; at = piece.lastIndex) {
    piece.lastIndex = at;
    const match = piece.exec(page);
    if (match === null) throw new Error(`Not well-formed at ${page.slice(at, at + 120)}`);
    const [whole, asset, , closes, name, attributes = "", empty] = match;
    if (asset !== undefined) {
      seen.push({ name: asset, attributes: new Map() });
      continue;
    }
    if (/&(?!(?:amp|lt|gt|quot|#39);)/.test(whole)) throw new Error(`Not escaped: ${whole}`);
    if (name === undefined) continue;
    if (closes !== "") {
      assertEquals(open.pop(), name, page.slice(Math.max(0, at - 200), at + 40));
      continue;
    }
    const pairs = [...attributes.matchAll(/([a-zA-Z][\w-]*)(?:="([^"]*)")?/g)];
    seen.push({ name, attributes: new Map(pairs.map(([, key, value]) => [key!, value ?? ""])) });
    if (empty !== "/" && !EMPTY_ELEMENTS.has(name)) open.push(name);
  }
  assertEquals(open, []);
  return seen;
}

/** Holds whatever the runs said. */
function assertHarmless(page: string): void {
  const elements = elementsOf(page);
  const names = new Set(elements.map(({ name }) => name));
  for (const name of ["img", "iframe", "object", "embed", "link", "base", "form"]) {
    assert(!names.has(name), name);
  }
  assertEquals(elements.filter(({ name }) => name === "script").length, 1);
  assertEquals(elements.filter(({ name }) => name === "style").length, 1);
  const ids = new Set<string>();
  for (const { name, attributes } of elements) {
    for (const [key, value] of attributes) {
      assert(!/^(?:on|style$|src|srcdoc|action|formaction|xlink)/.test(key), `${name} ${key}`);
      if (key === "id") {
        assert(!ids.has(value), `two elements have the id ${value}`);
        ids.add(value);
      }
      if (key === "href") assertMatch(value, /^#[\w-]+$/);
    }
  }
  for (const { attributes } of elements) {
    for (const key of ["href", "aria-labelledby", "for"]) {
      for (const id of attributes.get(key)?.split(" ") ?? []) {
        assert(ids.has(id.replace("#", "")), `there is no ${id}`);
      }
    }
  }
  // deno-lint-ignore no-control-regex -- these are the ones to find
  assert(!/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/.test(page));
  assert(page.isWellFormed());
}

Deno.test("htmlReport() holds hostile text as text, in every field of a run", () => {
  const files = [{ flag: "--trace", path: HOSTILE }];
  const skipped = { ...runOf(HOSTILE), status: "skipped" as const };
  const page = htmlReport(summary([runOf(HOSTILE), run(), skipped]), files);
  assertHarmless(page);
  assertStringIncludes(page, "&lt;img src=x onerror=alert(1)&gt;");
  assertStringIncludes(page, "\\u0000\\u001b[2J\\u202e\\ud800&lt;!--");
});

Deno.test("htmlReport() is well-formed whatever a scenario said", () => {
  const nasty = fc.oneof(
    fc.string({ unit: "binary", maxLength: 60 }),
    fc.stringMatching(/^[<>"'&/!\-a-z =]{0,40}$/),
  );
  fc.assert(
    fc.property(nasty, (text) => assertHarmless(htmlReport(summary([runOf(text)])))),
    { numRuns: 60 },
  );
});

Deno.test("htmlReport() lets no script and no style run but its own, by their hashes", () => {
  const page = htmlReport(summary([run()]));
  const policy = /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(page)![1]!;
  const directives = new Map(
    policy.replaceAll("&#39;", "'").split("; ").map((directive) => {
      const [name, ...values] = directive.split(" ");
      return [name!, values];
    }),
  );
  assertEquals(directives.get("default-src"), ["'none'"]);
  assertEquals(directives.get("base-uri"), ["'none'"]);
  assertEquals(directives.get("form-action"), ["'none'"]);
  for (const element of ["script", "style"]) {
    const text = new RegExp(`<${element}>([^]*?)</${element}>`).exec(page)![1]!;
    const hash = createHash("sha256").update(text).digest("base64");
    assertEquals(directives.get(`${element}-src`), [`'sha256-${hash}'`]);
  }
  // A policy binds what comes after it.
  assert(page.indexOf("Content-Security-Policy") < page.indexOf("<title>"));
});

Deno.test("htmlReport() names nothing outside of itself", () => {
  const page = htmlReport(summary([runOf("text")]));
  assert(!/\b(?:https?:)?\/\/[a-z]/i.test(page.replaceAll(/\/\/ .*$/gm, "")), page);
  assert(!/url\((?!#)|@import/.test(page));
});

Deno.test("htmlReport() tells of a failed run in full, before anything else", () => {
  const page = htmlReport(summary([
    run(),
    run({
      status: "failed",
      via: "vfio-user",
      variant: "messages",
      reason: "1 of 3 checks failed: contents",
      checks: [
        { name: "mapped", ok: true },
        { name: "copy > contents", ok: false, detail: "actual    00\nexpected  01" },
        { name: "threshold faults: value==0", ok: false, detail: "was 1" },
      ],
      errors: ["Threw Error: boom\n    at copy (dma.ts:7:3)"],
      log: ["first", "second"],
      output: "printed\n",
      steps: [
        { name: "copy", depth: 0, ok: false, durationMs: 3 },
        { name: "inner", depth: 1, ok: true, durationMs: 2 },
      ],
      rerun: "deno task scenario edu-dma-scatter --seed 7",
    }),
  ]));
  const article = /<article id="run-2"[^]*?<\/article>/.exec(page)![0];
  for (
    const text of [
      "remap via vfio-user (messages)",
      "seed 7",
      "<code>deno task scenario edu-dma-scatter --seed 7</code>",
      "Failed checks, 2 of 3",
      "copy &gt; contents<pre>actual    00\nexpected  01</pre>",
      "Threw Error: boom\n    at copy (dma.ts:7:3)",
      "first\nsecond",
      "printed\n",
      "Steps, 2",
      'class="depth-1"',
    ]
  ) {
    assertStringIncludes(article, text);
  }
  assert(page.indexOf("<article") < page.indexOf('id="matrix"'));
  assertStringIncludes(page, '<a href="#run-2">failed</a>');
  assertMatch(page, /faults: value==0<\/code>[^]*?missed[^]*?<a href="#run-2">run 2<\/a>/);
});

Deno.test("htmlReport() writes a command on one line: pasting must not run the half of it", () => {
  const page = htmlReport(summary([run({ status: "failed", rerun: "deno task 'a\nreboot\n'" })]));
  assertStringIncludes(page, "<code>deno task &#39;a\\u000areboot\\u000a&#39;</code>");
});

Deno.test("htmlReport() tells of interruption, of reasons to skip, and of no runs at all", () => {
  const skipped = run({ status: "skipped", reason: "Interrupted", durationMs: 0 });
  const page = htmlReport(summary([skipped, skipped], { ended: "interrupted" }));
  assertStringIncludes(page, "<title>interrupted: 0 passed, 0 failed, 2 skipped");
  assertStringIncludes(page, "2 runs skipped: Interrupted");
  assertStringIncludes(page, "No run was made");
  assertHarmless(page);
  const empty = htmlReport(summary([]));
  assertHarmless(empty);
  assertStringIncludes(empty, "No run was made");
});

Deno.test("htmlReport() says where there is nothing to draw", () => {
  const page = htmlReport(summary([run({ metrics: NO_METRICS })]));
  for (
    const text of ["No run translated", "No run looked into", "No access was", "No device moved"]
  ) {
    assertStringIncludes(page, text);
  }
});

Deno.test("htmlReport() lists 10 000 runs in at most 8 MiB", () => {
  const runs = Array.from(
    { length: 10_000 },
    (_, at) => run({ scenario: `scenario-with-a-name-of-some-length-${at}`, durationMs: at / 10 }),
  );
  const page = htmlReport(summary(runs));
  assertEquals(page.match(/<tr class="item"/g)!.length, 10_000);
  assert(page.length < 8 * 2 ** 20, String(page.length));
});

Deno.test("htmlReport() stays below 32 MiB when 10 000 runs fail with all that they can say", () => {
  const long = "<&".repeat(40_000);
  const checks = Array.from({ length: 300 }, () => ({ name: long, ok: false, detail: long }));
  const loud = {
    ...runOf(long),
    checks,
    steps: Array.from({ length: 1000 }, () => ({ name: long, depth: 99, ok: true, durationMs: 1 })),
    log: Array.from({ length: 1000 }, () => long),
    errors: Array.from({ length: 100 }, () => long),
  };
  const page = htmlReport(summary(Array.from({ length: 10_000 }, () => loud)));
  assert(page.length < 32 * 2 ** 20, String(page.length));
  assertStringIncludes(page, "100 failed checks more left out");
  assertStringIncludes(page, "800 steps more left out");
  assertStringIncludes(page, "This page has no room for more");
  assertEquals(page.match(/<tr class="item"/g)!.length, 10_000);
});

Deno.test("htmlReport() leaves out runs that passed before any that failed", () => {
  const runs = Array.from(
    { length: 10_001 },
    (_, at) => run({ status: at === 10_000 ? "failed" : "passed" }),
  );
  const page = htmlReport(summary(runs));
  assertStringIncludes(page, '<a href="#run-10001">10001</a>');
  assertStringIncludes(page, "1 run more left out");
});
