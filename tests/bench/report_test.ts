import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../../harness/cli/usage_error.ts";
import { atLeast, atMost } from "./bar.ts";
import type { Benchmark, Outcome } from "./benchmark.ts";
import {
  type BenchReport,
  formatReport,
  parseReport,
  ratiosOf,
  resultsOf,
  thisHost,
} from "./report.ts";

const outcome: Outcome = {
  measurements: [
    { name: "ours", samples: [12, 10, 11], bytesMoved: 64 },
    { name: "size", unit: "bytes", samples: [96] },
  ],
  comparisons: [
    { name: "kept", value: 0.2, bar: atMost(0.25) },
    { name: "missed", value: 0.8, bar: atLeast(0.9) },
    { name: "for information", value: 7, bar: null },
    { name: "broken", value: NaN, bar: atMost(1) },
  ],
};

const benchmark: Benchmark = {
  name: "thing",
  group: "core",
  unit: "ns",
  about: "",
  run: () => Promise.resolve(outcome),
};

function report(): BenchReport {
  return {
    version: 1,
    started: "2026-01-02T03:04:05.678Z",
    host: thisHost(),
    seed: 1,
    results: resultsOf(benchmark, outcome),
    ratios: ratiosOf(benchmark, outcome),
  };
}

Deno.test("resultsOf() names results after benchmark and subject, and keeps the samples in order", () => {
  assertEquals(resultsOf(benchmark, outcome), [
    {
      group: "core",
      name: "thing/ours",
      unit: "ns",
      value: 10,
      spread: 1,
      samples: [12, 10, 11],
      bytesMoved: 64,
    },
    { group: "core", name: "thing/size", unit: "bytes", value: 96, spread: 0, samples: [96] },
  ]);
});

Deno.test("ratiosOf() judges each bar by its sense, and what is no number as missed", () => {
  assertEquals(ratiosOf(benchmark, outcome), [
    { name: "thing kept", value: 0.2, bar: 0.25, sense: "at most", ok: true },
    { name: "thing missed", value: 0.8, bar: 0.9, sense: "at least", ok: false },
    { name: "thing for information", value: 7, bar: null, sense: null, ok: true },
    { name: "thing broken", value: null, bar: 1, sense: "at most", ok: false },
  ]);
});

Deno.test("parseReport() reads what formatReport() writes", () => {
  assertEquals(parseReport(formatReport(report()), "f.json"), report());
});

Deno.test("parseReport() lets later versions of us add fields", () => {
  const extended = { ...report(), added: true, host: { ...thisHost(), kernel: "6.1" } };
  assertEquals(parseReport(JSON.stringify(extended), "f.json"), report());
});

const bad: readonly [string, (good: BenchReport) => string, string][] = [
  ["no JSON", () => "{", "f.json: it is not JSON"],
  ["an empty file", () => "", "f.json: it is not JSON"],
  ["JSON of another kind", () => "[]", "at version"],
  ["null", () => "null", "as a whole"],
  ["another version", (good) => JSON.stringify({ ...good, version: 2 }), "at version"],
  ["no results", (good) => JSON.stringify({ ...good, results: undefined }), "at results"],
  ["a date of no kind", (good) => JSON.stringify({ ...good, started: "today" }), "at started"],
  [
    "a value that is text",
    (good) => JSON.stringify({ ...good, results: [{ ...good.results[0], value: "10" }] }),
    "at results.0.value",
  ],
  [
    "a value beyond all numbers",
    (good) => formatReport(good).replace(`"value": 10,`, `"value": 1e999,`),
    "at results.0.value",
  ],
  [
    "a result without samples",
    (good) => JSON.stringify({ ...good, results: [{ ...good.results[0], samples: [] }] }),
    "at results.0.samples",
  ],
  [
    "a negative spread",
    (good) => JSON.stringify({ ...good, results: [{ ...good.results[0], spread: -1 }] }),
    "at results.0.spread",
  ],
  [
    "an unknown unit",
    (good) => JSON.stringify({ ...good, results: [{ ...good.results[0], unit: "furlong" }] }),
    "at results.0.unit",
  ],
];

for (const [name, text, expected] of bad) {
  Deno.test(`parseReport() refuses ${name}, and says where`, () => {
    const read = () => parseReport(text(report()), "f.json");
    assertThrows(read, UsageError, "Cannot compare with f.json");
    assertThrows(read, UsageError, expected);
  });
}
