import { assertEquals, assertStringIncludes } from "@std/assert";
import { countJunit, countScenarios, runGate, skippedLoudly } from "./gates.ts";

const JUNIT = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="3" failures="1" errors="0" time="0.1">
  <testsuite name="./a_test.ts" tests="3" disabled="0" errors="0" failures="1">
    <testcase name="a" time="0"></testcase>
    <testcase name="b" time="0"><failure message="x">y</failure></testcase>
    <testcase name="c" time="0"><skipped/></testcase>
  </testsuite>
</testsuites>`;

Deno.test("countJunit() counts passed, failed and skipped cases", () => {
  assertEquals(countJunit(1, JUNIT), { passed: 1, failed: 1, skipped: 1 });
});

Deno.test("countJunit() counts a run that broke off without a report as a failure", () => {
  assertEquals(countJunit(1, ""), { passed: 0, failed: 1, skipped: 0 });
});

Deno.test("countScenarios() takes the totals, and never calls a failed command a success", () => {
  const json = JSON.stringify({ totals: { passed: 3, failed: 0, skipped: 1 } });
  assertEquals(countScenarios(0, json), { passed: 3, failed: 0, skipped: 1 });
  assertEquals(countScenarios(3, json), { passed: 3, failed: 1, skipped: 1 });
  assertEquals(countScenarios(0, "{"), { passed: 0, failed: 1, skipped: 0 });
});

Deno.test("runGate() reports a command that fails with all it printed", async () => {
  const result = await runGate({ name: "x", args: ["eval", "console.log('seen'); Deno.exit(4)"] });
  assertEquals([result.passed, result.failed], [0, 1]);
  assertStringIncludes(result.output, "seen");
});

Deno.test("skippedLoudly() finds what a gate could not do, and says it once", () => {
  const output = "running\nSKIPPED: no QEMU\nok\nSKIPPED: no QEMU\n1 SKIPPED\n";
  assertEquals(skippedLoudly(output), ["SKIPPED: no QEMU"]);
});
