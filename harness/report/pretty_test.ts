import { assert, assertEquals } from "@std/assert";
import { NO_METRICS, type RunReport } from "../run/run_report.ts";
import type { Variant } from "../via/variant.ts";
import { pretty } from "./pretty.ts";
import { PLAIN } from "./style.ts";

function run(scenario: string, via: "direct" | "vfio-user", variant?: Variant): RunReport {
  return {
    scenario,
    mode: "remap",
    via,
    ...(variant === undefined ? {} : { variant }),
    status: "passed",
    durationMs: 10,
    checks: [],
    metrics: NO_METRICS,
    seed: 1,
  };
}

/** What stands before the first cell of each row of the matrix. */
function names(runs: readonly RunReport[], columns: number): string[] {
  let text = "";
  const reporter = pretty({ write: (part) => text += part, style: PLAIN, columns });
  reporter.end({ runs, seed: 1, durationMs: 10, ended: "complete" });
  return text.split("\n").filter((line) =>
    / (ok|–)( |$)/.test(line) && !/ failed | translations /.test(line)
  )
    .map((line) => line.slice(2).replace(/ {2,}(ok|–).*$/, ""));
}

const RUNS = [
  run("alpha", "direct"),
  run("alpha", "vfio-user"),
  run("alpha", "vfio-user", "messages"),
  run("beta", "direct"),
  run("beta", "vfio-user"),
  run("gamma", "vfio-user", "twin-socket"),
];

Deno.test("pretty() puts variants below their scenario, in the order of scenarios", () => {
  assertEquals(names(RUNS, 200), ["alpha", "  messages", "beta", "gamma twin-socket"]);
});

Deno.test("pretty() leaves variants out of a block that shows other vias alone", () => {
  // One column a block.
  assertEquals(names(RUNS, 60), [
    "alpha",
    "beta",
    "alpha",
    "  messages",
    "beta",
    "gamma twin-socket",
  ]);
});

Deno.test("pretty() names the variant of a run that failed", () => {
  let text = "";
  const reporter = pretty({ write: (part) => text += part, style: PLAIN, columns: 100 });
  const failed: RunReport = { ...run("alpha", "vfio-user", "messages"), status: "failed" };
  reporter.end({ runs: [failed], seed: 1, durationMs: 10, ended: "complete" });
  assert(text.includes("FAIL  alpha  remap via vfio-user (messages)"), text);
});

Deno.test("pretty() puts all lines of why runs were skipped below its other lines", () => {
  let text = "";
  const reporter = pretty({ write: (part) => text += part, style: PLAIN, columns: 100 });
  const skipped: RunReport = { ...run("alpha", "direct"), status: "skipped", reason: "one\ntwo" };
  reporter.end({ runs: [skipped], seed: 1, durationMs: 10, ended: "complete" });
  assert(text.includes("\n  1 skipped: one\n  two\n"), text);
});
