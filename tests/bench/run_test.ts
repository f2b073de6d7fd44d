import { assertEquals, assertRejects } from "@std/assert";
import { atMost } from "./bar.ts";
import type { BenchContext, Benchmark } from "./benchmark.ts";
import type { BenchCommand } from "./command.ts";
import { exitCode, runBenchmarks } from "./run.ts";

function benchmark(name: string, value: number, seen: BenchContext[] = []): Benchmark {
  return {
    name,
    group: "core",
    unit: "ns",
    about: name,
    run(context) {
      seen.push(context);
      context.progress("works");
      return Promise.resolve({
        measurements: [{ name: "ours", samples: [value] }],
        comparisons: [{ name: "ours / 1", value, bar: atMost(1) }],
      });
    },
  };
}

function command(...benchmarks: readonly Benchmark[]): BenchCommand {
  return {
    kind: "run",
    benchmarks,
    pace: "quick",
    seed: 7,
    bars: "check",
    json: null,
    compare: null,
  };
}

const started = new Date(0);

Deno.test("runBenchmarks() runs each with the seed, and says how far it is", async () => {
  const seen: BenchContext[] = [];
  const lines: string[] = [];
  const both = command(benchmark("one", 1, seen), benchmark("two", 2, seen));
  const report = await runBenchmarks(both, started, (text) => lines.push(text));
  assertEquals(seen.map(({ seed }) => seed), [7, 7]);
  assertEquals(lines, ["1 of 2  one: works", "2 of 2  two: works"]);
  assertEquals(report.started, "1970-01-01T00:00:00.000Z");
  assertEquals(report.results.map(({ name, value }) => [name, value]), [
    ["one/ours", 1],
    ["two/ours", 2],
  ]);
});

Deno.test("exitCode() is 1 for a missed bar, and only when bars are checked", async () => {
  const missed = await runBenchmarks(command(benchmark("two", 2)), started, () => {});
  assertEquals(exitCode(missed, "check"), 1);
  assertEquals(exitCode(missed, "report"), 0);
  const kept = await runBenchmarks(command(benchmark("one", 1)), started, () => {});
  assertEquals(exitCode(kept, "check"), 0);
});

Deno.test("runBenchmarks() passes on that a benchmark failed", async () => {
  const failing = { ...benchmark("one", 1), run: () => Promise.reject(new Error("no lane")) };
  await assertRejects(() => runBenchmarks(command(failing), started, () => {}), Error, "no lane");
});
