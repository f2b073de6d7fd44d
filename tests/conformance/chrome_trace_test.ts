/**
 * `--trace` of the real program with devices in another process: what is in the file, and what every
 * reader of the format may rely on.
 * @module
 */

import { assert, assertEquals, assertGreater } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import type { ChromeEvent } from "../../harness/export/chrome_event.ts";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));

/** The events of one command's trace, with its run's numbers. */
async function traced(
  ...args: string[]
): Promise<{ events: ChromeEvent[]; invalidations: number }> {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-trace-" });
  try {
    const [trace, json] = [join(folder, "t.json"), join(folder, "r.json")];
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--allow-all",
        "--quiet",
        "harness/cli/scenario.ts",
        ...args,
        ...["--mode", "remap", "--seed", "5", "--trace", trace, "--json", json],
      ],
      cwd: ROOT,
      stdin: "null",
    }).output();
    assertEquals(code, 0, new TextDecoder().decode(stderr));
    const file = JSON.parse(await Deno.readTextFile(trace));
    const { runs } = JSON.parse(await Deno.readTextFile(json));
    assertEquals(file.displayTimeUnit, "ns");
    return { events: file.traceEvents, invalidations: runs[0].metrics.invalidations };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function isPhase(phase: ChromeEvent["ph"], cat?: string) {
  return (event: ChromeEvent) => event.ph === phase && (cat === undefined || event.cat === cat);
}

/** What a reader of the format relies on, thread by thread. */
function assertSound(events: readonly ChromeEvent[]): void {
  const named = new Set(
    events.filter(({ name }) => name === "thread_name").map(({ pid, tid }) => `${pid}/${tid}`),
  );
  const threads = new Map<string, { ts: number; open: number[] }>();
  for (const { ph, name, pid, tid, ts, dur, args } of events) {
    assert(Number.isFinite(ts) && ts >= 0, name);
    if (ph === "M") continue;
    const thread = `${pid}/${tid}`;
    assert(named.has(thread), thread);
    const at = threads.get(thread) ?? { ts: 0, open: [] };
    threads.set(thread, at);
    assert(at.ts <= ts, `${name} on ${thread} comes ${at.ts - ts} us too late`);
    at.ts = ts;
    if (ph === "C") assert(Object.values(args!).every((value) => Number(value) >= 0), name);
    if (ph !== "X") continue;
    assert(dur !== undefined && dur >= 0, `${name} ends before it begins`);
    // Microseconds have a fraction, whose last digit is rounded.
    while (at.open.length > 0 && at.open.at(-1)! <= ts + 1e-3) at.open.pop();
    assert(at.open.length === 0 || ts + dur <= at.open.at(-1)! + 1e-3, `${name} crosses another`);
    at.open.push(ts + dur);
  }
}

Deno.test("--trace via vfio-user has steps, DMA, commands, faults, counters and names, in order", async () => {
  const { events, invalidations } = await traced(
    "streamer-copy",
    ...["--via", "vfio-user", "--variant", "none"],
  );
  assertSound(events);
  assertGreater(events.filter(isPhase("X", "step")).length, 2);
  assertGreater(events.filter(isPhase("X", "dma")).length, 2);
  assertGreater(events.filter(isPhase("i", "fault")).length, 0);
  assertGreater(events.filter(isPhase("M")).length, 4);
  const counters = new Set(events.filter(isPhase("C")).map(({ name }) => name));
  assertEquals([...counters].sort(), ["DMA in flight", "IOTLB hit ratio"]);
  for (const { name, args } of events.filter(isPhase("C"))) {
    if (name === "IOTLB hit ratio") assert(Number(args!.ratio) <= 1);
  }
  const inFlight = events.filter(({ name }) => name === "in flight");
  assert(inFlight.some(({ dur }) => dur! > 0) && inFlight.every(({ args }) => args!.ended));
  assert(events.filter(({ name }) => name.startsWith("dma-")).every(({ dur }) => dur === 0));
  const commands = events.filter(isPhase("X", "vfio-user"));
  const names = new Set(commands.map(({ name }) => name));
  for (const name of ["VERSION", "REGION_READ", "REGION_WRITE", "DMA_MAP"]) assert(names.has(name));
  assert(commands.every(({ dur, args }) => dur! > 0 && args!.result === "ok"));
  // They are of the device's process, as its DMA is.
  const pids = new Set(
    events.filter(({ cat }) => cat === "dma" || cat === "vfio-user")
      .map(({ pid }) => pid),
  );
  assertEquals(pids.size, 1);
  // What servers invalidate is what is counted.
  assertEquals(events.filter(({ name }) => name === "invalidate").length, invalidations);
});

Deno.test("--trace via vfio-user has the commands that a device's server sends on threads of their own", async () => {
  const { events } = await traced(
    "edu-dma-both-ways",
    ...["--via", "vfio-user", "--variant", "messages"],
  );
  assertSound(events);
  const servers = events.filter(({ cat, tid }) => cat === "vfio-user" && tid >= 300);
  assertEquals([...new Set(servers.map(({ name }) => name))].sort(), ["DMA_READ", "DMA_WRITE"]);
  const threads = events.filter(({ name, tid }) => name === "thread_name" && tid >= 300);
  assertEquals(threads[0]!.args!.name, "vfio-user commands of the server, wall clock");
});

Deno.test("--trace via direct has an invalidate event for each invalidation that is counted", async () => {
  const { events, invalidations } = await traced("remap-same-iova", "--via", "direct");
  assertSound(events);
  assertEquals(events.filter(({ name }) => name === "invalidate").length, invalidations);
  assertEquals(events.filter(({ name }) => name === "unmap").length, invalidations);
  assertEquals(events.filter(({ cat }) => cat === "vfio-user"), []);
});
