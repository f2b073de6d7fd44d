import { assert, assertEquals } from "@std/assert";
import { edu } from "../../devices/edu/mod.ts";
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
    steps: [{ name: "copy", startNs: 0, endNs: 200e6, ok: true, durationMs: 1.5 }],
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
