import { assertEquals } from "@std/assert";
import { compareReports } from "./compare.ts";
import type { BenchReport, BenchResult } from "./report.ts";

function report(...results: readonly Partial<BenchResult>[]): BenchReport {
  return {
    version: 1,
    started: "2026-01-02T03:04:05.678Z",
    host: { cpus: 2, deno: "2.9.6", v8: "15", arch: "x86_64" },
    seed: 1,
    ratios: [],
    results: results.map((result) => ({
      group: "core",
      name: "a/b",
      unit: "ns",
      value: 100,
      spread: 5,
      samples: [100, 105],
      ...result,
    })),
  };
}

function verdict(before: Partial<BenchResult>, after: Partial<BenchResult>) {
  const [change] = compareReports(report(before), report(after));
  return { verdict: change!.verdict, percent: change!.percent };
}

Deno.test("compareReports() calls less better, and more worse", () => {
  assertEquals(verdict({}, { value: 80 }), { verdict: "better", percent: -20 });
  assertEquals(verdict({}, { value: 150 }), { verdict: "worse", percent: 50 });
});

Deno.test("compareReports() calls a change within the spreads of both runs the same", () => {
  assertEquals(verdict({ spread: 5 }, { value: 110, spread: 5 }).verdict, "same");
  assertEquals(verdict({ spread: 5 }, { value: 111, spread: 5 }).verdict, "worse");
  assertEquals(verdict({ spread: 0 }, { value: 89, spread: 11 }).verdict, "same");
});

Deno.test("compareReports() does not judge what was measured once", () => {
  assertEquals(verdict({ samples: [100] }, { value: 50 }), { verdict: "unjudged", percent: -50 });
  assertEquals(verdict({}, { value: 50, samples: [50] }).verdict, "unjudged");
});

Deno.test("compareReports() has no percentage of 0", () => {
  assertEquals(verdict({ value: 0, spread: 0 }, { value: 3, spread: 0 }), {
    verdict: "worse",
    percent: null,
  });
});

Deno.test("compareReports() lists what is new in its place, and what is gone last", () => {
  const changes = compareReports(
    report({ name: "a/gone" }, { name: "a/b" }),
    report({ name: "a/new" }, { name: "a/b" }),
  );
  assertEquals(changes.map(({ name, verdict }) => [name, verdict]), [
    ["a/new", "new"],
    ["a/b", "same"],
    ["a/gone", "gone"],
  ]);
});

Deno.test("compareReports() passes over benchmarks that did not run this time", () => {
  const changes = compareReports(
    report({ name: "a/b" }, { name: "other/b" }),
    report({ name: "a/b" }),
  );
  assertEquals(changes.map(({ name }) => name), ["a/b"]);
});

Deno.test("compareReports() keeps apart what counts different things under one name", () => {
  const changes = compareReports(report({ unit: "ns" }), report({ unit: "bytes" }));
  assertEquals(changes.map(({ verdict }) => verdict), ["new", "gone"]);
});
