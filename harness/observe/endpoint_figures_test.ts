import { assertEquals } from "@std/assert";
import { EndpointCounters } from "../../core/observe/counters.ts";
import { METRIC_NAMES, type Metrics } from "../run/run_report.ts";
import { type EndpointFigures, storeMetrics, sumFigures } from "./endpoint_figures.ts";

function figures(times: number): EndpointFigures {
  return {
    endpoint: times,
    metrics: Object.fromEntries(
      METRIC_NAMES.map((name, at) => [name, times * (at + 1)]),
    ) as unknown as Metrics,
    latencies: [{ belowNs: 4, count: times }, { belowNs: 8 * times, count: 1 }],
    latencySumNs: 10 * times,
    faultsLost: times,
  };
}

Deno.test("sumFigures() adds up what an endpoint did in several places", () => {
  assertEquals(sumFigures(8, [figures(2), figures(1)]), {
    ...figures(3),
    endpoint: 8,
    latencies: [{ belowNs: 4, count: 3 }, { belowNs: 8, count: 1 }, { belowNs: 16, count: 1 }],
  });
  assertEquals(sumFigures(8, [figures(5)]), { ...figures(5), endpoint: 8 });
});

Deno.test("storeMetrics() writes each counter where EndpointCounters has it", () => {
  const counters = new EndpointCounters();
  const { metrics } = figures(7);
  storeMetrics(counters.values, metrics);
  assertEquals(counters.snapshot(), metrics);
});
