import { assertEquals } from "@std/assert";
import { type PlannedRun, planRuns } from "./plan.ts";
import { Runner } from "./runner.ts";

function runs(repeat: number): PlannedRun[] {
  return planRuns([{
    name: "passes",
    title: "passes",
    tags: [],
    modes: ["remap"],
    vias: ["direct"],
    timeoutMs: 60_000,
    file: import.meta.resolve("../../tests/conformance/cli_scenarios/passes.ts"),
    argument: "passes",
  }], { modes: ["remap"], vias: ["direct"], variants: null, seed: 1, repeat });
}

function runner(
  told: string[] = [],
  options: { readonly skip?: (run: PlannedRun) => string | null } = {},
): Runner {
  return new Runner({
    ...options,
    jobs: 2,
    timeoutMs: null,
    afterFailure: "continue",
    trace: "off",
    listener: {
      started: ({ index }) => told.push(`start ${index}`),
      progress: () => {},
      finished: ({ status }, { index }) => told.push(`${status} ${index}`),
      trace: () => {},
    },
  });
}

Deno.test("Runner.run() gives reports in the order of the plan, and tells of each run once", async () => {
  const told: string[] = [];
  const plan = runs(6);
  const reports = await runner(told).run(plan);
  assertEquals(reports.map(({ seed }) => seed), plan.map(({ seed }) => seed));
  assertEquals(
    told.sort(),
    plan.flatMap(({ index }) => [`passed ${index}`, `start ${index}`]).sort(),
  );
});

Deno.test("Runner.interrupt() while its processes start skips all runs, and is no error", async () => {
  const started = runner();
  const reports = started.run(runs(5));
  started.interrupt();
  assertEquals((await reports).map(({ status }) => status), Array(5).fill("skipped"));
});

Deno.test("Runner.run() of no run starts nothing", async () => {
  assertEquals(await runner().run([]), []);
});

Deno.test("Runner.run() skips runs that cannot be made here, and says why", async () => {
  const skip = ({ index }: PlannedRun) => index === 1 ? "no QEMU" : null;
  const reports = await runner([], { skip }).run(runs(3));
  assertEquals(
    reports.map(({ status, reason }) => [status, reason]),
    [["passed", undefined], ["skipped", "no QEMU"], ["passed", undefined]],
  );
});
