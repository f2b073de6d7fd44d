import { assertEquals, assertStringIncludes } from "@std/assert";
import { NO_METRICS } from "./run_report.ts";
import { checkThresholds, type ThresholdSubject } from "./threshold.ts";

const SUBJECT: ThresholdSubject = {
  metrics: { ...NO_METRICS, faults: 1, translations: 200 },
  translationSeconds: { count: 40, percentile: (p) => p * 1000 },
  seconds: 2,
};

function hold(metric: string, expression: string, subject = SUBJECT) {
  return checkThresholds({ [metric]: [expression] }, subject)[0]!;
}

Deno.test("checkThresholds() compares counters by value, count and rate", () => {
  const cases: [string, string, boolean][] = [
    ["faults", "value==1", true],
    ["faults", "value==2", false],
    ["faults", "value!=1", false],
    ["faults", "count<=1", true],
    ["faults", "value<1", false],
    ["faults", " value >= 1 ", true],
    ["translations", "value>199", true],
    ["translations", "rate==100", true],
    ["translations", "value==2e2", true],
  ];
  for (const [metric, expression, ok] of cases) {
    assertEquals(hold(metric, expression).ok, ok, `${metric}: ${expression}`);
  }
});

Deno.test("checkThresholds() compares percentiles of the histogram in seconds", () => {
  assertEquals(hold("translationSeconds", "p(99)<100e-6").ok, true);
  assertEquals(hold("translationSeconds", "p(99)<99e-6").ok, false);
  assertEquals(hold("translationSeconds", "p(99.9)>=99.9e-6").ok, true);
  assertEquals(hold("translationSeconds", "count==40").ok, true);
  assertEquals(hold("translationSeconds", "rate==20").ok, true);
});

Deno.test("checkThresholds() says what was measured, whether one is missed or met", () => {
  assertEquals(hold("faults", "value==0").detail, "was 1");
  assertEquals(hold("faults", "value==1").detail, "was 1");
  assertEquals(hold("translationSeconds", "p(99)<100e-6").detail, "was 0.000099");
});

Deno.test("checkThresholds() fails what it cannot read, and says what would be right", () => {
  for (const wrong of ["", "value", "value=1", "1==value", "value==x", "p(a)<1", "max<1"]) {
    const check = hold("faults", wrong);
    assertEquals(check.ok, false, wrong);
    assertStringIncludes(check.detail!, "it must be value, count, rate or p(N)");
  }
});

Deno.test("checkThresholds() fails an unknown metric with the nearest name", () => {
  const check = hold("fault", "value==1");
  assertEquals(check.ok, false);
  assertStringIncludes(check.detail!, "did you mean faults?");
  assertEquals(hold("constructor", "value==1").ok, false);
});

Deno.test("checkThresholds() fails percentiles of counters, values and past p(100) of histograms", () => {
  assertStringIncludes(hold("faults", "p(50)<1").detail!, "is a counter");
  assertStringIncludes(hold("translationSeconds", "value<1").detail!, "no single value");
  assertStringIncludes(hold("translationSeconds", "p(101)<1").detail!, "past p(100)");
});

Deno.test("checkThresholds() fails a percentile of nothing", () => {
  const subject = { ...SUBJECT, translationSeconds: { count: 0, percentile: () => NaN } };
  const check = hold("translationSeconds", "p(50)<1", subject);
  assertEquals(check.ok, false);
  assertStringIncludes(check.detail!, "counted nothing");
});
