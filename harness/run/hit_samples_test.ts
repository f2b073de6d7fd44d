import { assert, assertEquals } from "@std/assert";
import { HitSamples } from "./hit_samples.ts";
import { NO_METRICS } from "./run_report.ts";

function machine() {
  const state = { nowNs: 0, iotlbHits: 0, gone: false };
  const samples = new HitSamples({
    clock: {
      get nowNs() {
        return state.nowNs;
      },
      advance: () => Promise.resolve(),
    },
    endpointMetrics() {
      if (state.gone) throw new Error("gone");
      return [{ endpoint: 8, metrics: { ...NO_METRICS, iotlbHits: state.iotlbHits } }];
    },
  });
  return { state, samples };
}

Deno.test("HitSamples.take() has one sample a moment, the last of it", () => {
  const { state, samples } = machine();
  samples.take();
  state.iotlbHits = 3;
  samples.take();
  state.nowNs = 5;
  samples.take();
  assertEquals(samples.samples.map(({ timeNs, endpoints }) => [timeNs, endpoints[0]!.hits]), [
    [0, 3],
    [5, 3],
  ]);
});

Deno.test("HitSamples keeps a bounded number, spread over the run, and always the last", () => {
  const { state, samples } = machine();
  const steps = 100_000;
  for (; state.nowNs < steps; state.nowNs++) samples.take();
  samples.takeLast();
  const times = samples.samples.map(({ timeNs }) => timeNs);
  assert(times.length < 4096 && times.length > 1000, String(times.length));
  assertEquals(times, times.toSorted((a, b) => a - b));
  assertEquals(times.at(-1), steps);
  assert(times.filter((time) => time < steps / 2).length > 400);
});

Deno.test("HitSamples.take() leaves it to the run to say that the devices are gone", () => {
  const { state, samples } = machine();
  samples.take();
  state.gone = true;
  state.nowNs = 1;
  samples.take();
  assertEquals(samples.samples.length, 1);
});
