import { assertEquals } from "@std/assert";
import { NO_METRICS, type RunReport } from "../../run/run_report.ts";
import { gridOf, rowLabel } from "./grid.ts";

function run(scenario: string, more: Partial<RunReport> = {}): RunReport {
  return {
    scenario,
    mode: "remap",
    via: "direct",
    status: "passed",
    durationMs: 10,
    checks: [],
    metrics: { ...NO_METRICS, faults: 1 },
    seed: 1,
    ...more,
  };
}

function grid(...reports: RunReport[]) {
  return gridOf(reports.map((report, at) => ({ number: at + 1, report })));
}

Deno.test("gridOf() has a column for each mode and via that ran, vias first, and no other", () => {
  const { columns } = grid(
    run("a", { via: "vfio-user" }),
    run("a", { via: "vfio-user", mode: "identity" }),
    run("b"),
  );
  assertEquals(columns.map(({ name }) => name), [
    "remap via direct",
    "identity via vfio-user",
    "remap via vfio-user",
  ]);
});

Deno.test("gridOf() puts variants below their scenario, in the order of first runs", () => {
  const { rows } = grid(
    run("b", { via: "vfio-user", variant: "twin-socket" }),
    run("a"),
    run("b", { via: "vfio-user", variant: "messages" }),
    run("b"),
  );
  assertEquals(rows.map(rowLabel), ["b", "b (messages)", "b (twin-socket)", "a"]);
  assertEquals(rows[1]!.cells.map((cell) => cell?.runs.map(({ number }) => number) ?? null), [
    null,
    [3],
  ]);
});

Deno.test("gridOf() sums up repeats: mean, least and greatest time, and the counters of all", () => {
  const { rows } = grid(
    run("a", { durationMs: 10 }),
    run("a", { durationMs: 30, status: "failed" }),
    run("a", { durationMs: 0, status: "skipped", metrics: NO_METRICS }),
  );
  const cell = rows[0]!.cells[0]!;
  assertEquals(cell.totals, { passed: 1, failed: 1, skipped: 1 });
  assertEquals(cell.time, { min: 10, mean: 20, max: 30 });
  assertEquals(cell.metrics.faults, 2);
});

Deno.test("gridOf() has no time where all runs were skipped", () => {
  assertEquals(grid(run("a", { status: "skipped" })).rows[0]!.cells[0]!.time, null);
});
