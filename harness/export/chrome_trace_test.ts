import { assert, assertEquals } from "@std/assert";
import { edu } from "../../devices/edu/mod.ts";
import { streamer } from "../../devices/streamer/mod.ts";
import { HitSamples } from "../run/hit_samples.ts";
import { buildMachine } from "../via/registry.ts";
import type { ChromeEvent } from "./chrome_event.ts";
import { traceRun } from "./chrome_trace.ts";
import { ChromeTraceFile } from "./chrome_trace_file.ts";

async function traced(): Promise<ChromeEvent[]> {
  const machine = await buildMachine("direct", {
    mode: "remap",
    memoryMib: 16,
    seed: 1,
    trace: "on",
  });
  const { driver, endpoint } = await machine.plug(edu, {});
  const buffer = await machine.dmaBuffer(endpoint, 4096, { iova: 0x1000 as never });
  await driver.dmaToDevice(buffer.iova, 0, 64);
  await machine.clock.advance(100);
  await buffer.unmap();
  await driver.dmaToDevice(buffer.iova, 0, 64);
  await machine.clock.advance(100);
  return traceRun({
    run: 2,
    label: "a remap direct",
    devices: machine.devices,
    steps: [{ step: 0, name: "copy", startNs: 0, endNs: 200e6, ok: true, durationMs: 1.5 }],
    events: machine.trace.events(),
    dropped: 3,
  });
}

Deno.test("traceRun() gives steps and DMA as slices, faults and mappings as instants", async () => {
  const events = await traced();
  const find = (name: string) => events.filter((event) => event.name === name);
  assertEquals(find("copy"), [{
    ph: "X",
    name: "copy",
    cat: "step",
    pid: 2001,
    tid: 1,
    ts: 0,
    dur: 200_000,
    args: { ok: true, wallMs: 1.5 },
  }]);
  const [read] = find("dma-read");
  assertEquals([read!.ph, read!.ts, read!.pid, read!.args!["iova"], read!.args!["length"]], [
    "X",
    100_000,
    2002,
    "0x1000",
    64,
  ]);
  const [fault] = find("fault");
  assertEquals([fault!.ph, fault!.ts, fault!.args!["reason"], fault!.args!["access"]], [
    "i",
    200_000,
    "unmapped",
    "r",
  ]);
  assertEquals(find("map").map(({ ph, ts }) => [ph, ts]), [["i", 0]]);
  assertEquals(find("unmap").map(({ ph, ts }) => [ph, ts]), [["i", 100_000]]);
  assertEquals(find("attach").map(({ args }) => args!["endpoint"]), ["00:01.0"]);
  assert(find("3 earlier events dropped").length === 1);
});

Deno.test("traceRun() names each process and thread it uses", async () => {
  const events = await traced();
  const named = new Set(
    events.filter(({ name }) => name === "thread_name").map(({ pid, tid }) => `${pid}/${tid}`),
  );
  for (const { pid, tid } of events) assert(named.has(`${pid}/${tid}`), `${pid}/${tid}`);
});

Deno.test("traceRun() has each thread's events by time, and steps that cross on threads of their own", () => {
  const step = (step: number, startMs: number, endMs: number) => {
    const startNs = startMs * 1e6, endNs = endMs * 1e6;
    return { step, name: `step ${step}`, startNs, endNs, ok: true, durationMs: 1 };
  };
  const events = traceRun({
    run: 0,
    label: "steps",
    devices: [],
    // By their ends, as a run has them: 2 is in 1, 4 goes on while 3 does.
    steps: [step(0, 0, 0), step(2, 1, 2), step(1, 0, 2), step(3, 2, 5), step(4, 3, 6)],
    events: [],
    dropped: 0,
  });
  assertEquals(
    events.filter(({ ph }) => ph === "X").map(({ name, tid, ts, dur }) => [name, tid, ts, dur]),
    [
      ["step 0", 1, 0, 0],
      ["step 1", 1, 0, 2000],
      ["step 2", 1, 1000, 1000],
      ["step 3", 1, 2000, 3000],
      ["step 4", 2, 3000, 3000],
    ],
  );
});

Deno.test("traceRun() counts DMA in flight and the hit ratio of each device", async () => {
  const machine = await buildMachine("direct", {
    mode: "remap",
    memoryMib: 16,
    seed: 1,
    trace: "on",
  });
  const { driver, endpoint } = await machine.plug(streamer, {});
  const [source, destination] = [
    await machine.dmaBuffer(endpoint, 4096),
    await machine.dmaBuffer(endpoint, 4096),
  ];
  const samples = new HitSamples(machine);
  samples.take();
  const length = 4096;
  await driver.start({ source: source.iova, destination: destination.iova, length });
  await machine.clock.advance(100);
  samples.takeLast();
  const events = traceRun({
    run: 0,
    label: "a",
    devices: machine.devices,
    steps: [],
    events: machine.trace.events(),
    dropped: 0,
    samples: samples.samples,
  });
  const counters = (name: string) =>
    events.filter((event) => event.ph === "C" && event.name === name);
  assertEquals(counters("DMA in flight").map(({ pid, args }) => [pid, args!.accesses]), [
    [2, 1],
    [2, 2],
    [2, 1],
    [2, 0],
  ]);
  const [ratio] = counters("IOTLB hit ratio");
  const { iotlbHits, iotlbMisses } = machine.metrics();
  assertEquals(ratio!.args!.ratio, iotlbHits / (iotlbHits + iotlbMisses));
  assertEquals([ratio!.pid, ratio!.ts], [2, 100_000]);
  // Accesses take no scenario time; those in flight last as long as they are.
  const lasting = events.filter(({ name }) => name === "in flight").map(({ dur }) => dur! > 0);
  assertEquals(lasting, [true, true]);
  assert(events.filter(({ name }) => name.startsWith("dma-")).every(({ dur }) => dur === 0));
});

Deno.test("ChromeTraceFile writes JSON that parses, also of no event, over what the file held", async () => {
  const path = await Deno.makeTempFile();
  try {
    for (const chunks of [[], [await traced(), [], await traced()]]) {
      await Deno.writeTextFile(path, "x".repeat(100_000));
      const file = new ChromeTraceFile(await Deno.open(path, { write: true }));
      for (const chunk of chunks) file.add(chunk);
      file.close();
      const trace = JSON.parse(await Deno.readTextFile(path));
      assertEquals(trace.displayTimeUnit, "ns");
      assertEquals(trace.traceEvents, chunks.flat());
    }
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("traceRun() takes more steps than a call has room for arguments", () => {
  const count = 200_000;
  const steps = Array.from({ length: count }, (_, step) => ({
    step,
    name: "s",
    startNs: step,
    endNs: step,
    ok: true,
    durationMs: 0,
  }));
  const events = traceRun({ run: 0, label: "many", devices: [], steps, events: [], dropped: 0 });
  assertEquals(events.filter(({ cat }) => cat === "step").length, count);
});
