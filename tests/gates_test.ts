import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  countJunit,
  countScenarios,
  failedNames,
  failuresFirst,
  runGate,
  skippedLoudly,
  STATIC_GATES,
  testGate,
} from "./gates.ts";

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

/** What `deno test` prints, as far as this reads it. */
const FAILED = `running 2 tests from ./a_test.ts
a ... FAILED (1ms)
b ... ok (1ms)

 ERRORS

a => ./a_test.ts:1:6
error: Error: no

 FAILURES

a => ./a_test.ts:1:6
a ... step => ./a_test.ts:2:3

FAILED | 1 passed | 1 failed (2ms)

error: Test failed
`.replace(" ERRORS\n", " ERRORS \n").replace(" FAILURES\n", " FAILURES \n");

Deno.test("failuresFirst() puts what failed before all that was run, and loses neither", () => {
  const shown = failuresFirst(FAILED);
  assert(shown.startsWith("ERRORS \n\na => ./a_test.ts:1:6\nerror: Error: no\n"), shown);
  assert(shown.endsWith("b ... ok (1ms)"), shown);
  assertEquals(failuresFirst("no such output\n"), "no such output");
});

Deno.test("failedNames() has the names of what failed, and none of another output", () => {
  assertEquals(failedNames(FAILED), ["a => ./a_test.ts:1:6", "a ... step => ./a_test.ts:2:3"]);
  assertEquals(failedNames("no such output\n"), []);
});

Deno.test("failedNames() reads what the deno of this project prints", async () => {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-test-" });
  try {
    const file = `${folder}/fails_test.ts`;
    await Deno.writeTextFile(file, `Deno.test("it fails", () => { throw new Error("as told"); });`);
    const { output, failed } = await runGate(testGate("x", [file]));
    assertEquals(failed, 1);
    const names = failedNames(output);
    assertEquals(names.length, 1, output);
    assertStringIncludes(names[0]!, "it fails => ");
    assertStringIncludes(failuresFirst(output).slice(0, 200), "it fails => ");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("runGates() ends with `N passed, N failed`, whatever was skipped", async () => {
  const program = `
    import { runGates } from ${JSON.stringify(import.meta.resolve("./gates.ts"))};
    const gate = (code, passed, failed, skipped) => ({
      name: "x",
      args: ["eval", \`Deno.exit(\${code})\`],
      count: () => ({ passed, failed, skipped }),
    });
    Deno.exit(await runGates([gate(0, 3, 0, 2), [gate(1, 4, 1, 0), gate(0, 5, 0, 1)]]));`;
  const { code, stdout } = await new Deno.Command(Deno.execPath(), { args: ["eval", program] })
    .output();
  const lines = new TextDecoder().decode(stdout).trimEnd().split("\n");
  assertEquals([code, lines.at(-1), lines.at(-2)], [1, "12 passed, 1 failed", "3 skipped"]);
});

Deno.test("testGate() leaves types to the gate check, but for those of examples", () => {
  assert(testGate("x", ["core"]).args.includes("--no-check"));
  assert(!testGate("x", ["mod.ts"], "--doc").args.includes("--no-check"));
  const check = STATIC_GATES.flat().find(({ name }) => name === "check");
  assertEquals(check?.args, ["check", "."]);
});
