import { assert, assertEquals, assertGreater, assertLess } from "@std/assert";
import { Access, Fault, type Gpa, type Iova, MAX_ADDRESS } from "../../core/address.ts";
import { edu } from "../../devices/edu/mod.ts";
import { METRIC_NAMES } from "../run/run_report.ts";
import { watched } from "./_test_watch.ts";
import { TIMELINE_KINDS } from "./observation.ts";

const kindOf = (event: readonly number[]) => TIMELINE_KINDS[event[2]!];

Deno.test("RunWatch tells the counters while the scenario keeps its thread busy", async () => {
  const heard = await watched(async (t, heard, _observation, iommu) => {
    const { endpoint } = await t.plug(edu, {});
    await heard.until(() => heard.of("sample").length > 0);
    const { memory } = iommu.endpoint(endpoint);
    const pause = new Int32Array(new SharedArrayBuffer(4));
    // In here nothing of this thread runs but the loop: what is told, the other thread tells.
    for (let at = 0; at < 700; at++) {
      memory.readU8(0x1000 as Iova);
      Atomics.wait(pause, 0, 0, 1);
    }
  });
  const faults = heard.of("sample").map(({ endpoints }) => endpoints[0]![4]!);
  const midway = faults.filter((count) => count > 0 && count < 700);
  assertGreater(midway.length, 0);
  assertEquals(faults, faults.toSorted((a, b) => a - b));
  assertEquals(faults.at(-1), 700);
});

Deno.test("RunWatch tells what changed: map, unmap, attach, detach and faults, each with its numbers", async () => {
  const heard = await watched(async (t) => {
    const device = await t.plug(edu, {});
    const domain = device.domain!;
    await t.iommu.map(domain, 0x1000 as Iova, 0x2000 as Gpa, 4096, Access.READ);
    await device.driver.dmaToDevice(0x1000 as Iova, 0, 64);
    await t.clock.advance(100);
    await t.iommu.unmap(domain, 0x1000 as Iova, 4096);
    await device.driver.dmaToDevice(0x1000 as Iova, 0, 64);
    await t.clock.advance(100);
    await t.iommu.detach(device.endpoint);
  });
  const events = heard.of("sample").flatMap(({ events }) => events);
  const find = (kind: string) => events.filter((event) => kindOf(event) === kind);
  assertEquals(find("attach").map((event) => event.slice(3, 5)), [[8, 1]]);
  assertEquals(find("map").map((event) => event.slice(4)), [[1, -1, 0x1000, 4096, 0x2000, 1]]);
  assertEquals(find("unmap").map((event) => event.slice(4, 9)), [[1, -1, 0x1000, 4096, 4096]]);
  assertEquals(find("detach").map((event) => event.slice(3, 5)), [[8, 1]]);
  assertEquals(find("invalidate").map((event) => event.slice(3, 8)), [
    [8, 1, -1, 0x1000, 4096],
    [8, 1, -1, 0, 2 ** 52],
  ]);
  assertEquals(heard.metrics[METRIC_NAMES.indexOf("invalidations")], 2);
  assertEquals(find("fault").map((event) => [event[3], event[6], event[8], event[9]]), [
    [8, 0x1000, Fault.UNMAPPED, Access.READ],
  ]);
  assertEquals(events.map(([sequence]) => sequence), events.map((_, at) => at));
});

Deno.test("RunWatch tells faults at what is no address, and all that comes after them", async () => {
  const last = MAX_ADDRESS - 0xfff;
  const heard = await watched(async (t, _heard, _observation, iommu) => {
    const device = await t.plug(edu, {});
    const { memory } = iommu.endpoint(device.endpoint);
    await t.iommu.map(device.domain!, last as Iova, 0x2000 as Gpa, 4096, Access.READ_WRITE);
    // The second page is behind the last address.
    memory.write((MAX_ADDRESS - 63) as Iova, new Uint8Array(128));
    for (const wrong of [2 ** 60, Infinity, NaN, -1, 0.5]) memory.readU8(wrong as Iova);
  });
  const told = heard.of("report").flatMap(({ faults }) => faults);
  assertEquals(told.map((row) => row[4]), [MAX_ADDRESS, MAX_ADDRESS, MAX_ADDRESS, 0, 0, 0]);
  assertEquals(told.map((row) => row.slice(8, 10)), [
    [1, last],
    [1, last],
    [1, last],
    [3, last],
    [3, last],
    [3, last],
  ]);
  assertEquals(heard.messages.at(-1)?.kind, "left");
});

Deno.test("RunWatch tells each fault once, with the mapping nearest to it, also more than a log holds", async () => {
  const count = 3000;
  const heard = await watched(async (t) => {
    const { driver, domain } = await t.plug(edu, {});
    await t.iommu.map(domain!, 0x10_0000 as Iova, 0x2000 as Gpa, 4096, Access.READ_WRITE);
    for (let at = 0; at < count; at++) {
      await driver.dmaToDevice(0x20_0000 as Iova, 0, 8);
      await t.clock.advance(100);
    }
  });
  const faults = heard.of("report").flatMap(({ faults }) => faults);
  assertEquals(heard.of("report").at(-1)!.faultsLost, 0);
  assertEquals(faults.map(([number]) => number), Array.from({ length: count }, (_, at) => at));
  const [, , endpoint, , iova, access, reason, , side, nearest] = faults[0]!;
  assertEquals([endpoint, iova, access, reason, side, nearest], [
    8,
    0x20_0000,
    Access.READ,
    Fault.UNMAPPED,
    2,
    0x10_0000,
  ]);
});

Deno.test("RunWatch answers questions while the run goes on", async () => {
  await watched(async (t, heard, observation) => {
    const device = await t.plug(edu, {});
    for (let at = 0; at < 5; at++) {
      const iova = 0x1000 + at * 0x2000;
      await t.iommu.map(device.domain!, iova as Iova, 0x4000 as Gpa, 4096, Access.READ);
    }
    await heard.until(() => heard.of("sample").length > 0);
    const page = await observation.ask({ kind: "mappings", domain: 1, from: 0x3000, limit: 2 });
    assertEquals(page, {
      kind: "mappings",
      mappings: [[0x3000, 0x4000, 4096, 1, 0, 0], [0x5000, 0x4000, 4096, 1, 0, 0]],
    });
    const around = await observation.ask({ kind: "around", domain: 1, iova: 0x2fff });
    assertEquals(around, {
      kind: "around",
      around: {
        over: null,
        below: [0x1000, 0x4000, 4096, 1, 0, 0],
        above: [0x3000, 0x4000, 4096, 1, 0, 0],
      },
    });
    const over = await observation.ask({ kind: "around", domain: 1, iova: 0x1010 });
    assert(over?.kind === "around");
    assertEquals(over.around.answerer, "tree");
    const detail = await observation.ask({ kind: "detail", endpoint: 8 });
    assert(detail?.kind === "detail");
    assertEquals(detail.detail.config.slice(0, 8), "3412e811");
    assertEquals(detail.detail.bars.map(({ index, size }) => [index, size]), [[0, 0x10_0000]]);
    assertEquals(await observation.ask({ kind: "detail", endpoint: 9 }), null);
    assertEquals(await observation.ask({ kind: "around", domain: 77, iova: 0 }), null);
  });
});

Deno.test("RunWatch tells what a run left: counters as its report, mappings, devices", async () => {
  const heard = await watched(async (t) => {
    const device = await t.plug(edu, {});
    const buffer = await t.dmaBuffer(device, 3 * 4096);
    await device.driver.dmaToDevice(buffer.iova, 0, 4096);
    await t.clock.advance(100);
  });
  const last = heard.of("sample").at(-1)!;
  const [endpoint, translations, , , , , , read] = last.endpoints[0]!;
  assertEquals([endpoint, translations, read], [8, 1, 4096]);
  assertEquals(heard.of("report").at(-1)!.totals, last.endpoints[0]!.slice(1));
  assertEquals(heard.metrics, last.endpoints[0]!.slice(1));
  assertEquals(heard.of("left-mappings").flatMap(({ mappings }) => mappings).length, 3);
  assertEquals(heard.of("left-detail").map(({ detail }) => detail.endpoint), [8]);
  assertEquals(heard.messages.at(-1), { kind: "left" });
});

Deno.test("RunWatch does not hold a run up when its watcher is gone", async () => {
  await watched(async (t, heard, observation) => {
    await t.plug(edu, {});
    await heard.until(() => heard.of("sample").length > 0);
    observation.close();
    await t.plug(edu, {});
  });
});

Deno.test("RunWatch looks at a few accesses, tells where they fell, and lets a long call alone", async () => {
  const heard = await watched(async (t, heard, _observation, iommu) => {
    const { endpoint, domain } = await t.plug(edu, {});
    await t.iommu.map(domain!, 0x10_0000 as Iova, 0 as Gpa, 0x10_0000, Access.READ);
    await heard.until(() => heard.of("sample").length > 0);
    await t.clock.advance(1);
    const { memory } = iommu.endpoint(endpoint);
    const before = iommu.trace.recorded;
    // One call of the scenario, as far as the watch can see.
    for (let at = 0; at < 100_000; at++) {
      memory.readU32((0x10_0000 + at * 4096 % 0x10_0000) as Iova);
    }
    assertLess(iommu.trace.recorded - before, 300);
    assertEquals(iommu.trace.on, false);
  });
  const heats = heard.of("report").flatMap(({ endpoints }) => endpoints[0]?.heat ?? []);
  const [heat] = heats;
  assertEquals([heat?.start, heat?.width], [0x10_0000, 0x4000]);
  const sampled = heats.flatMap(({ buckets }) => buckets).reduce((sum, count) => sum + count, 0);
  assertGreater(sampled, 100);
  // They all went through the one mapping, whose hits are of the same sample.
  assertEquals(heard.of("left-mappings")[0]!.mappings.map(([iova, , , , , hits]) => [iova, hits]), [
    [0x10_0000, sampled],
  ]);
});
