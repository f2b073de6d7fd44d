/**
 * Runs of all kinds, for the tests of reporters.
 * @module
 */

import { type Metrics, NO_METRICS, type RunReport } from "../../harness/run/run_report.ts";
import type { Summary } from "../../harness/report/reporter.ts";

function run(
  scenario: string,
  mode: RunReport["mode"],
  durationMs: number,
  metrics: Partial<Metrics>,
  more: Partial<RunReport> = {},
): RunReport {
  return {
    scenario,
    mode,
    via: "direct",
    status: "passed",
    durationMs,
    checks: [{ name: "holds", ok: true }],
    metrics: { ...NO_METRICS, ...metrics },
    seed: 71633,
    ...more,
  };
}

/** One of each: passed, failed with all there is to say, and skipped. */
export const EXAMPLE_RUNS: readonly RunReport[] = [
  run("edu-identify", "identity", 0.8, {}),
  run("edu-identify", "remap", 1.2, {}),
  run("edu-dma-scatter", "identity", 12.4, { translations: 64, dmaReadBytes: 65536 }),
  run("edu-dma-scatter", "remap", 812, {
    translations: 1_900_000,
    iotlbHits: 1_884_800,
    iotlbMisses: 15_200,
    faults: 1,
  }, {
    status: "failed",
    reason: 'Threw Error: <boom> & "more" \u001b[31m',
    checks: [
      { name: "mapped", ok: true },
      {
        name: "copy > contents # equal",
        ok: false,
        detail: "first difference at offset 0x10; 1 of 0x40 bytes differ\n" +
          "actual    00 [01]\nexpected  00 [02]",
      },
    ],
    errors: ['Threw Error: <boom> & "more" \u001b[31m\n    at copy (dma.ts:7:3)'],
    log: Array.from({ length: 12 }, (_, at) => `line ${at}`),
    output: "printed ]]> \ud800 it\nand more\n",
    rerun: "npx -y deno@2.9.6 task scenario edu-dma-scatter --mode remap --via direct --seed 71633",
  }),
  run("a-device-with-sixty-four-thousand-mappings", "remap", 61_000, {
    translations: 65_536,
    iotlbHits: 65_536,
  }),
  run("unmap-in-flight", "identity", 0, {}, {
    status: "skipped",
    reason: "Not started: another run failed (--bail)",
    checks: [],
  }),
];

/** All of them as one invocation. */
export const EXAMPLE_SUMMARY: Summary = {
  runs: EXAMPLE_RUNS,
  seed: 71633,
  durationMs: 4200,
  ended: "complete",
};
