import { assertEquals, assertMatch } from "@std/assert";
import { type PlannedRun, planRuns } from "./plan.ts";
import { Runner } from "./runner.ts";

function runs(repeat: number, file = "passes"): PlannedRun[] {
  return planRuns([{
    name: "passes",
    title: "passes",
    tags: [],
    modes: ["remap"],
    vias: ["direct"],
    timeoutMs: 60_000,
    file: import.meta.resolve(`../../tests/conformance/cli_scenarios/${file}.ts`),
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

Deno.test("Runner.run() cuts what a scenario says at once beyond all measure, and takes it for no print", async () => {
  const [report] = await runner().run(runs(1, "says_much"));
  assertEquals([report!.status, report!.reason, report!.output], ["passed", undefined, undefined]);
  const texts = [report!.log![0]!, report!.steps![0]!.name, report!.checks[0]!.detail!];
  for (const text of texts) {
    assertMatch(text, /^much much .*… \(20971520 characters\)$/);
    assertEquals(text.length <= 65_536, true);
  }
  assertEquals(report!.checks.length, 2);
});

Deno.test("Runner.run() of no run starts nothing", async () => {
  assertEquals(await runner().run([]), []);
});

Deno.test("Runner.run() takes no time from a run while this process is held up", async () => {
  const limitMs = 1000;
  const heldUp = new Int32Array(new SharedArrayBuffer(4));
  const reports = await new Runner({
    jobs: 1,
    timeoutMs: limitMs,
    afterFailure: "continue",
    trace: "off",
    listener: {
      started: () => {},
      progress: () => {},
      finished: () => {},
      trace: () => {},
      // As a full pipe at stdout does; the run ends meanwhile.
      event: (_run, { kind }) => void (kind === "begin" && Atomics.wait(heldUp, 0, 0, 2 * limitMs)),
    },
  }).run(runs(1));
  assertEquals(reports.map(({ status, reason }) => [status, reason]), [["passed", undefined]]);
});

Deno.test("Runner.run() starts no run until there is room for what it tells", async () => {
  const told: string[] = [];
  const room = Promise.withResolvers<void>();
  let asked = 0;
  const running = new Runner({
    jobs: 1,
    timeoutMs: null,
    afterFailure: "continue",
    trace: "off",
    room: () => asked++ === 0 ? Promise.resolve() : room.promise,
    listener: {
      started: ({ index }) => told.push(`start ${index}`),
      progress: () => {},
      finished: ({ status }, { index }) => {
        told.push(`${status} ${index}`);
        if (index > 0) return;
        queueMicrotask(() => {
          told.push("room");
          room.resolve();
        });
      },
      trace: () => {},
    },
  }).run(runs(2));
  await running;
  assertEquals(told, ["start 0", "passed 0", "room", "start 1", "passed 1"]);
});

Deno.test("Runner.run() skips runs that cannot be made here, and says why", async () => {
  const skip = ({ index }: PlannedRun) => index === 1 ? "no QEMU" : null;
  const reports = await runner([], { skip }).run(runs(3));
  assertEquals(
    reports.map(({ status, reason }) => [status, reason]),
    [["passed", undefined], ["skipped", "no QEMU"], ["passed", undefined]],
  );
});
