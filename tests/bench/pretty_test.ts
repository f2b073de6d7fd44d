import { assert, assertEquals } from "@std/assert";
import { setColorEnabled } from "@std/fmt/colors";
import type { BenchmarkGroup } from "./benchmark.ts";
import type { Change } from "./compare.ts";
import { groups } from "./groups.ts";
import { formatChanges, formatList, formatRun, formatValue } from "./pretty.ts";
import type { BenchReport } from "./report.ts";

/** With colours off and back, whatever the terminal. */
function plain(format: () => string): string {
  setColorEnabled(false);
  return format();
}

const report: BenchReport = {
  version: 1,
  started: "2026-01-02T03:04:05.678Z",
  host: { cpus: 2, deno: "2.9.6", v8: "15.0", arch: "x86_64" },
  seed: 1,
  results: [
    {
      group: "core",
      name: "thing/ours",
      unit: "ns",
      value: 15.25,
      spread: 0.5,
      samples: [15.25, 15.75],
    },
    {
      group: "core",
      name: "thing/set",
      unit: "ns",
      value: 16_500,
      spread: 63,
      samples: [16_500, 16_563],
      bytesMoved: 2 ** 20,
    },
    { group: "core", name: "other/rss", unit: "bytes", value: 96, spread: 0, samples: [96] },
  ],
  ratios: [
    { name: "other for information", value: 7, bar: null, sense: null, ok: true },
    { name: "thing ours / set", value: 0.25, bar: 0.25, sense: "at most", ok: true },
    { name: "thing set / ours", value: null, bar: 0.9, sense: "at least", ok: false },
  ],
};

const withPeers: BenchmarkGroup = {
  name: "core",
  benchmarks: [],
  peers: [
    { name: "somebody else's thing", value: 217, unit: "ns", ours: "thing/ours" },
    { name: "a thing that did not run", value: 1, unit: "ns", ours: "missing/ours" },
  ],
};

Deno.test("formatRun() prints bars first, then figures, then peers", () => {
  assertEquals(
    plain(() => formatRun(report, [withPeers])),
    `viaduct bench  deno 2.9.6  v8 15.0  x86_64  2 cpus  seed 1

ratio thing ours / set                                               0.250 (bar at most 0.25)  ok
ratio thing set / ours                                                none (bar at least 0.9)  MISSED
ratio other for information                                          7.000

core  best round, and how far the middle one lies above it
  thing                  ours                       15.3 ns  + 0.50 ns
                         set                        16.5 us  + 63.0 ns      63.6 GB/s
  other                  rss                         96.0 B

peers  measured on another machine: for orientation, not for comparison
  somebody else's thing                                        217 ns   ours   15.3 ns
`,
  );
});

Deno.test("formatRun() names benchmarks whose rounds differ widely, once each", () => {
  const [steady, ...others] = report.results;
  const disturbed = { ...steady!, spread: 10 };
  const results = Array.from({ length: 20 }, (_, i) => ({ ...disturbed, name: `busy-${i}/ours` }));
  const text = plain(() =>
    formatRun({ ...report, results: [steady!, ...others, ...results, ...results] }, [])
  );
  const from = text.split("\n").findIndex((line) => line.startsWith("unsteady"));
  const lines = text.split("\n").slice(from + 1).filter((line) => line !== "");
  assertEquals(
    lines.join(" ").split(/ +/).filter((name) => name !== ""),
    results.map(({ name }) => name.replace("/ours", "")),
  );
  for (const line of lines) assert(line.length <= 100);
});

const changes: readonly Change[] = [
  { name: "a/faster", unit: "ns", before: 20, after: 15, percent: -25, verdict: "better" },
  { name: "a/slower", unit: "ns", before: 20, after: 30, percent: 50, verdict: "worse" },
  { name: "a/alike", unit: "ns", before: 20, after: 20.5, percent: 2.5, verdict: "same" },
  { name: "a/once", unit: "bytes", before: 96, after: 48, percent: -50, verdict: "unjudged" },
  { name: "a/new", unit: "ns", before: null, after: 16_500, percent: null, verdict: "new" },
  { name: "a/gone", unit: "ns", before: 5, after: null, percent: null, verdict: "gone" },
  { name: "a/from-nothing", unit: "bytes", before: 0, after: 16, percent: null, verdict: "worse" },
  { name: "a/nothing", unit: "bytes", before: 0, after: 0, percent: null, verdict: "same" },
];

Deno.test("formatChanges() marks what is beyond the spread, and nothing else", () => {
  assertEquals(
    plain(() => formatChanges(changes, "old.json")),
    `change since old.json  * is beyond the spread of both runs
  a/faster                                          20.0 ns ->     15.0 ns    -25.0 % * better
  a/slower                                          20.0 ns ->     30.0 ns    +50.0 % * worse
  a/alike                                           20.0 ns ->     20.5 ns     +2.5 %
  a/once                                             96.0 B ->      48.0 B    -50.0 %
  a/new                                                   - ->     16.5 us        new
  a/gone                                            5.00 ns ->           -       gone
  a/from-nothing                                     0.00 B ->      16.0 B     from 0
  a/nothing                                          0.00 B ->      0.00 B
`,
  );
});

Deno.test("formatValue() chooses the unit by size", () => {
  assertEquals(formatValue(0, "ns"), "0.00 ns");
  assertEquals(formatValue(9999, "ns"), "9999 ns");
  assertEquals(formatValue(10_000, "ns"), "10.0 us");
  assertEquals(formatValue(12_340_000, "ns"), "12.3 ms");
  assertEquals(formatValue(0.0039, "bytes"), "0.0039 B");
  assertEquals(formatValue(1, "entries"), "1 entry");
  assertEquals(formatValue(2, "entries"), "2 entries");
});

Deno.test("formatList() names every benchmark once, at most 100 columns wide", () => {
  const lines = plain(() => formatList(groups)).trimEnd().split("\n");
  const names = groups.flatMap(({ benchmarks }) => benchmarks.map(({ name }) => name));
  assertEquals(new Set(names).size, names.length);
  for (const name of names) {
    assertEquals(lines.filter((line) => line.startsWith(`  ${name} `)).length, 1, name);
  }
  for (const line of lines) assert(line.length <= 100, `${line.length} columns: ${line}`);
});
