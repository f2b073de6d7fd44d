import { assert, assertEquals } from "@std/assert";
import type { EndpointMetrics, EndpointState, RunInfo, Snapshot } from "../../api.ts";
import { Grid } from "./history.ts";
import { ALL, Column, DomainColumn, domainSource, Recorder } from "./recorder.ts";

function metrics(translations: number): EndpointMetrics {
  return {
    translations,
    iotlbHits: translations,
    iotlbMisses: 0,
    faults: 0,
    pageRequests: 0,
    invalidations: 0,
    dmaReadBytes: 0,
    dmaWriteBytes: 0,
  };
}

function endpoint(bdf: string, translations: number): EndpointState {
  return {
    id: 8,
    bdf,
    device: "edu",
    domain: 1,
    bypass: false,
    counters: metrics(translations),
    latency: { samples: 1, p50Ns: 10, p99Ns: 20 },
    faultsByReason: {},
    heat: null,
  };
}

function run(id: number, startedMs: number): RunInfo {
  return {
    id,
    scenario: "edu-dma-scatter",
    title: "",
    mode: "remap",
    via: "direct",
    variant: null,
    seed: 1,
    state: "running",
    reason: null,
    startedMs,
    durationMs: 0,
    progress: null,
    checks: { passed: 0, failed: 0 },
    kept: true,
  };
}

function snapshot(
  sequence: number,
  timeMs: number,
  translations: number,
  more: Partial<Snapshot> = {},
): Snapshot {
  return {
    instance: "a",
    sequence,
    timeMs,
    state: "live",
    run: run(1, 0),
    scenarioNs: 0,
    endpoints: [endpoint("00:01.0", translations)],
    endpointsLeftOut: 0,
    domains: [],
    domainsLeftOut: 0,
    totals: metrics(translations),
    timeline: { events: [], dropped: 0 },
    droppedSnapshots: 0,
    ...more,
  };
}

function growth(recorder: Recorder, fromMs: number, toMs: number, source = ALL) {
  return new Grid(recorder.history, fromMs, toMs, (toMs - fromMs) / 1000)
    .growth(source, Column.TRANSLATIONS);
}

Deno.test("Recorder.snapshot() counts a run from its start, and goes on counting over runs", () => {
  const recorder = new Recorder();
  recorder.snapshot(snapshot(1, 2000, 10, { run: run(1, 1000) }));
  recorder.heartbeat({ instance: "a", sequence: 1, timeMs: 3000, state: "ended" });
  recorder.snapshot(snapshot(2, 5000, 7, { run: run(2, 4000) }));
  assertEquals(growth(recorder, 1000, 5000), [10, 0, 0, 7]);
  assertEquals(growth(recorder, 1000, 5000, "00:01.0"), [10, 0, 0, 7]);
});

Deno.test("Recorder.snapshot() makes a gap of missing sequence numbers, and counts them", () => {
  const recorder = new Recorder();
  recorder.snapshot(snapshot(1, 1000, 1));
  recorder.snapshot(snapshot(2, 2000, 2));
  recorder.snapshot(snapshot(5, 3000, 5));
  recorder.snapshot(snapshot(6, 4000, 6));
  assertEquals(growth(recorder, 1000, 4000), [1, null, 1]);
  assertEquals(recorder.missed, 2);
});

Deno.test("Recorder.snapshot() passes over what was here before", () => {
  const recorder = new Recorder();
  recorder.snapshot(snapshot(2, 1000, 1));
  assertEquals(recorder.snapshot(snapshot(2, 2000, 1)), false);
  assertEquals(recorder.snapshot(snapshot(1, 2000, 1)), false);
  assertEquals(recorder.history.count, 1);
});

Deno.test("Recorder.broken() leaves a gap that replayed snapshots fill but for one", () => {
  const recorder = new Recorder();
  recorder.snapshot(snapshot(1, 1000, 1));
  recorder.broken();
  recorder.snapshot(snapshot(2, 2000, 2));
  recorder.snapshot(snapshot(3, 3000, 3));
  assertEquals(growth(recorder, 1000, 3000), [null, 1]);
  assertEquals(recorder.missed, 0);
});

Deno.test("Recorder.snapshot() takes another server's numbers afresh", () => {
  const recorder = new Recorder();
  recorder.snapshot(snapshot(9, 1000, 50));
  recorder.snapshot(snapshot(1, 2000, 3, { instance: "b" }));
  recorder.snapshot(snapshot(2, 3000, 4, { instance: "b" }));
  assertEquals(growth(recorder, 1000, 3000), [null, 1]);
  assertEquals(recorder.missed, 0);
});

Deno.test("Recorder.snapshot() does not spread a run over the time before the page came", () => {
  const recorder = new Recorder();
  recorder.snapshot(snapshot(80, 21_000, 1000, { run: run(1, 1000) }));
  recorder.snapshot(snapshot(84, 22_000, 1004, { run: run(1, 1000) }));
  assertEquals(growth(recorder, 19_000, 22_000), [null, null, null]);
});

Deno.test("Recorder.snapshot() counts an endpoint that comes in the middle of a run from 0", () => {
  const recorder = new Recorder();
  recorder.snapshot(snapshot(1, 1000, 5));
  const endpoints = [endpoint("00:01.0", 6), endpoint("00:02.0", 9)];
  recorder.snapshot(snapshot(2, 2000, 15, { endpoints }));
  assertEquals(growth(recorder, 1000, 2000, "00:02.0"), [9]);
  assertEquals(growth(recorder, 1000, 2000), [10]);
});

Deno.test("Recorder.snapshot() counts the changes of each domain's mappings, over runs too", () => {
  const recorder = new Recorder();
  const domains = (maps: number, unmaps: number): Partial<Snapshot> => ({
    domains: [{
      id: 1,
      kind: "mapped",
      mappings: maps - unmaps,
      mappedBytes: 0,
      maps,
      unmaps,
      members: [],
      membersLeftOut: 0,
    }],
  });
  recorder.snapshot(snapshot(1, 1000, 1));
  recorder.snapshot(snapshot(2, 2000, 1, domains(5, 2)));
  recorder.snapshot(snapshot(3, 3000, 1, domains(9, 2)));
  recorder.snapshot(snapshot(4, 4000, 1, { ...domains(3, 1), run: run(2, 3500) }));
  const changes = (column: number) =>
    new Grid(recorder.history, 1000, 4000, 3).growth(domainSource(1), column);
  assertEquals(changes(DomainColumn.MAPS), [5, 4, 3]);
  assertEquals(changes(DomainColumn.UNMAPS), [2, 0, 1]);
});

Deno.test("Recorder keeps latencies of live snapshots alone", () => {
  const recorder = new Recorder();
  recorder.snapshot(snapshot(1, 1000, 1));
  recorder.snapshot(snapshot(2, 2000, 2));
  recorder.snapshot(snapshot(3, 3000, 2, { state: "ended" }));
  assertEquals(new Grid(recorder.history, 1000, 3000, 2).gauge(ALL, Column.P99), [20, null]);
});

Deno.test("Recorder keeps one sample a second of more than 128 endpoints", () => {
  const recorder = new Recorder();
  for (let i = 1; i <= 41; i++) {
    const endpoints = Array.from({ length: 200 }, (_, e) => endpoint(`00:${e}.0`, i));
    recorder.snapshot(snapshot(i, i * 250, i * 200, { endpoints }));
  }
  assert(recorder.history.count <= 13, `${recorder.history.count} samples`);
  assertEquals(growth(recorder, 1000, 9000).reduce<number>((a, b) => a + (b ?? 0), 0), 6400);
});
