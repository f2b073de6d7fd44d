import { assertEquals } from "@std/assert";
import { NO_METRICS } from "../harness/run/run_report.ts";
import { checkThresholds } from "../harness/run/threshold.ts";
import { latenciesOf } from "../harness/machine/latencies.ts";
import { splitThresholds } from "./thresholds.ts";

const METRICS = { ...NO_METRICS, translations: 640, faults: 1 };
const TIMES = latenciesOf([{ belowNs: 128, count: 90 }, { belowNs: 256, count: 10 }]);

/** What the runner makes of thresholds. */
const held = (thresholds: Readonly<Record<string, readonly string[]>>) =>
  checkThresholds(thresholds, { metrics: METRICS, translationSeconds: TIMES, seconds: 2 });

Deno.test("splitThresholds() puts thresholds apart from checks, with what was wanted and what was", () => {
  const { thresholds, checks } = splitThresholds([
    { name: "copy > the bytes are there", ok: true },
    ...held({
      faults: ["value==1", "count<1"],
      translations: ["rate>1"],
      translationSeconds: ["p(50)<1e-6", "count>=100"],
    }),
  ]);
  assertEquals(checks, [{ name: "copy > the bytes are there", ok: true }]);
  const met = { met: true, problem: null };
  assertEquals(thresholds, [
    { metric: "faults", wanted: "count<1", met: false, actual: 1, problem: null },
    { ...met, metric: "faults", wanted: "value==1", actual: 1 },
    { ...met, metric: "translations", wanted: "rate>1", actual: 320 },
    {
      ...met,
      metric: "translationSeconds",
      wanted: "p(50)<1e-6",
      actual: TIMES.percentile(50) / 1e9,
    },
    { ...met, metric: "translationSeconds", wanted: "count>=100", actual: 100 },
  ]);
});

Deno.test("splitThresholds() says why a threshold could not be held", () => {
  const { thresholds } = splitThresholds(
    held({ faults: ["p(99)<1", "many"], fautls: ["value==1"] }),
  );
  assertEquals(thresholds.map(({ metric, met, actual }) => [metric, met, actual]), [
    ["faults", false, null],
    ["faults", false, null],
    ["fautls", false, null],
  ]);
  assertEquals(thresholds.every(({ problem }) => problem !== null && problem.length > 10), true);
});

Deno.test("splitThresholds() tells no number of what says none", () => {
  const name = "threshold faults: value==1";
  assertEquals(splitThresholds([{ name, ok: true }]).thresholds, [
    { metric: "faults", wanted: "value==1", met: true, actual: null, problem: null },
  ]);
});
