import { assert, assertEquals } from "@std/assert";
import * as v from "valibot";
import { type PlannedRun, planRuns } from "./plan.ts";
import { type RunOutcome, RunRecord, skippedReport } from "./run_record.ts";
import { NO_METRICS, RunSchema } from "./run_report.ts";

const RUN: PlannedRun = planRuns([{
  name: "a",
  title: "a",
  tags: [],
  modes: ["remap"],
  vias: ["direct"],
  timeoutMs: 1000,
  file: "file:///a.ts",
  argument: "a",
}], { modes: ["remap"], vias: ["direct"], variants: null, seed: 1, repeat: 1 })[0]!;

const END = { kind: "end", durationMs: 1.23456, metrics: NO_METRICS, errors: [] } as const;
const ENDED: RunOutcome = { kind: "ended" };

function record(): { record: RunRecord; wait: (ms: number) => void } {
  let now = 100;
  return { record: new RunRecord(RUN, () => now), wait: (ms) => now += ms };
}

Deno.test("RunRecord.report() passes a run that ended with nothing wrong", () => {
  const { record: r } = record();
  r.event({ kind: "check", name: "c", ok: true });
  r.event(END);
  assertEquals(r.report(ENDED, null), {
    scenario: "a",
    mode: "remap",
    via: "direct",
    status: "passed",
    durationMs: 1.235,
    checks: [{ name: "c", ok: true }],
    metrics: NO_METRICS,
    seed: 1,
  });
});

Deno.test("RunRecord.report() of a run that does not come to its end has the errors it told, and its guest's console", () => {
  const { record: r } = record();
  r.event({ kind: "console", path: "/tmp/x/console.log" });
  assertEquals(r.consoleLog, "/tmp/x/console.log");
  const console = "Kernel panic";
  const late = r.report({ kind: "timed-out", timeoutMs: 5, console }, null);
  assertEquals(late.reason, "Timed out after 5 ms");
  assertEquals(late.errors, ["The end of the guest's console:\nKernel panic"]);
  const empty = r.report({ kind: "timed-out", timeoutMs: 5, console: "" }, null);
  assertEquals(empty.errors, ["The guest's console is empty"]);
  assertEquals(r.report({ kind: "timed-out", timeoutMs: 5 }, null).errors, undefined);

  r.event({ kind: "error", text: "Threw Error: lost\n  at x" });
  const both = r.report({ kind: "timed-out", timeoutMs: 5, console }, null);
  assertEquals(both.reason, "Threw Error: lost; then timed out after 5 ms");
  assertEquals(both.errors, ["Threw Error: lost\n  at x", ...late.errors!]);
  assertEquals(r.report({ kind: "died", how: "exit code 1" }, null).errors, [both.errors![0]!]);

  r.event({ ...END, errors: ["Gone", "Threw Error: lost\n  at x"] });
  assertEquals(r.report(ENDED, null).errors, ["Gone", "Threw Error: lost\n  at x"]);
});

Deno.test("RunRecord.report() leads with an error, then with checks, then with stray output", () => {
  const { record: r } = record();
  r.print("stdout", "x");
  r.event(END);
  assert(r.report(ENDED, null).reason!.startsWith("Printed on stdout"));

  const { record: checks } = record();
  checks.event({ kind: "check", name: "c", ok: false, detail: "d" });
  checks.print("stdout", "x");
  checks.event(END);
  assertEquals(checks.report(ENDED, null).reason, "1 of 1 checks failed: c");

  const { record: errors } = record();
  errors.event({ kind: "check", name: "c", ok: false });
  errors.event({ ...END, errors: ["first\nstack", "second"] });
  const report = errors.report(ENDED, null);
  assertEquals(report.reason, "first");
  assertEquals(report.errors, ["first\nstack", "second"]);
});

Deno.test("RunRecord.report() of a run that was cut off says in which step, and keeps what it told", () => {
  const { record: r, wait } = record();
  r.event({ kind: "step", step: 0, name: "outer", depth: 0 });
  r.event({ kind: "step", step: 1, name: "done", depth: 1 });
  r.event({ kind: "step-end", step: 1, ok: true, durationMs: 3 });
  wait(10);
  r.event({ kind: "step", step: 2, name: "inner", depth: 1 });
  r.event({ kind: "log", message: "still here" });
  wait(5);
  const report = r.report({ kind: "timed-out", timeoutMs: 15 }, null);
  assertEquals(report.reason, 'Timed out after 15 ms in step "outer > inner"');
  assertEquals(report.durationMs, 15);
  assertEquals(report.log, ["still here"]);
  assertEquals(report.steps, [
    { name: "outer", depth: 0, ok: false, durationMs: 15 },
    { name: "done", depth: 1, ok: true, durationMs: 3 },
    { name: "inner", depth: 1, ok: false, durationMs: 5 },
  ]);
});

Deno.test("RunRecord.report() skips an interrupted run, and gives it no rerun command", () => {
  const { record: r } = record();
  const report = r.report({ kind: "interrupted" }, null);
  assertEquals([report.status, report.reason, report.rerun], ["skipped", "Interrupted", undefined]);
  assertEquals(skippedReport(RUN, "why").reason, "why");
});

Deno.test("RunRecord keeps a bounded report of a run that tells things for ever, and misses no failure", () => {
  const { record: r } = record();
  for (let at = 0; at < 50_000; at++) {
    r.event({ kind: "check", name: `c${at}`, ok: at !== 49_999 });
    r.event({ kind: "log", message: `l${at}` });
    r.event({ kind: "step", step: at, name: "s", depth: 0 });
    r.event({ kind: "step-end", step: at, ok: true, durationMs: 0 });
    r.print("stderr", "0123456789\n");
  }
  r.event(END);
  const report = v.parse(RunSchema, r.report(ENDED, null));
  assertEquals(report.status, "failed");
  assertEquals(report.reason, "1 of 50000 checks failed");
  assert(report.checks.length <= 10_000 && report.steps!.length <= 10_000);
  assertEquals(report.log!.length, 1002);
  assertEquals(report.log![0], "(49000 earlier lines left out)");
  assertEquals(report.log![1000], "l49999");
  assert(report.output!.length <= 65536 && report.output!.endsWith("0123456789\n"));
});

Deno.test("RunRecord.report() keeps the first hundred errors, and says how many there were beyond", () => {
  const texts = Array.from({ length: 250 }, (_, at) => `Left an unhandled rejection: ${at}`);
  const wanted = [...texts.slice(0, 100), "(150 further errors left out)"];
  const { record: ended } = record();
  ended.event({ ...END, errors: texts });
  assertEquals(ended.report(ENDED, null).errors, wanted);
  const { record: cut } = record();
  for (const text of texts) cut.event({ kind: "error", text });
  assertEquals(cut.report({ kind: "died", how: "exit code 1" }, null).errors, wanted);
  const { record: few } = record();
  few.event({ ...END, errors: texts.slice(0, 100) });
  assertEquals(few.report(ENDED, null).errors, texts.slice(0, 100));
});
