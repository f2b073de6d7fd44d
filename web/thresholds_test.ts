import { assertEquals } from "@std/assert";
import { NO_METRICS } from "../harness/run/run_report.ts";
import { checkThresholds } from "../harness/run/threshold.ts";
import { latenciesOf } from "../harness/machine/latencies.ts";
import { splitThresholds } from "./thresholds.ts";

const METRICS = { ...NO_METRICS, translations: 640, faults: 1 };
const LATENCIES = [{ endpoint: 8, buckets: [[128, 90], [256, 10]] as const, sumNs: 12_000 }];
const TIMES = latenciesOf([{ belowNs: 128, count: 90 }, { belowNs: 256, count: 10 }]);

/** What the runner makes of thresholds. */
const held = (thresholds: Readonly<Record<string, readonly string[]>>) =>
  checkThresholds(thresholds, { metrics: METRICS, translationSeconds: TIMES, seconds: 2 });

Deno.test("splitThresholds() puts thresholds apart from checks, with what was wanted and what was", () => {
  const { thresholds, checks } = splitThresholds({
    checks: [
      { name: "copy > the bytes are there", ok: true },
      ...held({
        faults: ["value==1", "count<1"],
        translationSeconds: ["p(50)<1e-6", "count>=100"],
      }),
    ],
    metrics: METRICS,
    latencies: LATENCIES,
  });
  assertEquals(checks, [{ name: "copy > the bytes are there", ok: true }]);
  assertEquals(thresholds, [
    { metric: "faults", wanted: "count<1", met: false, actual: 1, problem: null },
    { metric: "faults", wanted: "value==1", met: true, actual: 1, problem: null },
    {
      metric: "translationSeconds",
      wanted: "p(50)<1e-6",
      met: true,
      actual: TIMES.percentile(50) / 1e9,
      problem: null,
    },
    { metric: "translationSeconds", wanted: "count>=100", met: true, actual: 100, problem: null },
  ]);
});

Deno.test("splitThresholds() says why a threshold could not be held", () => {
  const { thresholds } = splitThresholds({
    checks: held({ faults: ["p(99)<1", "many"], fautls: ["value==1"] }),
    metrics: METRICS,
    latencies: LATENCIES,
  });
  assertEquals(thresholds.map(({ metric, met, actual }) => [metric, met, actual]), [
    ["faults", false, null],
    ["faults", false, null],
    ["fautls", false, null],
  ]);
  assertEquals(thresholds.every(({ problem }) => problem !== null && problem.length > 10), true);
});

Deno.test("splitThresholds() tells no number that may not be the one that was held", async (t) => {
  const cases: readonly (readonly [string, readonly string[], typeof LATENCIES])[] = [
    // Seconds of the run are not known to the report.
    ["translations", ["rate>1"], LATENCIES],
    ["translationSeconds", ["p(99)<1"], []],
    // Of a machine that was watched in part.
    [
      "translationSeconds",
      ["count>=100"],
      [{ endpoint: 8, buckets: [[128, 90]], sumNs: 1 }] as never,
    ],
  ];
  for (const [metric, expressions, latencies] of cases) {
    await t.step(`${metric} ${expressions[0]}`, () => {
      const { thresholds } = splitThresholds({
        checks: held({ [metric]: expressions }),
        metrics: METRICS,
        latencies,
      });
      assertEquals(thresholds.map(({ met, actual }) => [met, actual]), [[true, null]]);
    });
  }
});
