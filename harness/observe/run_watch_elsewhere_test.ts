import { assertEquals, assertGreater } from "@std/assert";
import { Access, Fault, type Gpa, type Iova } from "../../core/address.ts";
import { edu } from "../../devices/edu/mod.ts";
import { METRIC_NAMES } from "../run/run_report.ts";
import { endServerProcesses } from "../via/vfio_user_process.ts";
import { toiler } from "./_test_toiler.ts";
import { type Heard, watched as watchedVia, type WatchedBody } from "./_test_watch.ts";
import { TIMELINE, TIMELINE_KINDS } from "./observation.ts";

const COUNTED = "invalidations";
const sanitizers = { sanitizeOps: false, sanitizeResources: false };

/** With devices in a process of their own, which no other test has. */
async function watched(
  body: WatchedBody,
  options: Omit<Parameters<typeof watchedVia>[1] & object, "via"> = {},
): Promise<Heard> {
  try {
    return await watchedVia(body, { ...options, via: "vfio-user" });
  } finally {
    await endServerProcesses();
  }
}

/** The counters of an endpoint in each sample, from the first that has it on. */
function countersOf(heard: Heard, endpoint: number): number[][] {
  return heard.of("sample").flatMap(({ endpoints }) =>
    endpoints.filter(([id]) => id === endpoint).map(([, ...counters]) => counters)
  );
}

Deno.test({
  ...sanitizers,
  name: "RunWatch tells the counters of devices elsewhere while both threads are kept busy",
  fn: async () => {
    // Two seconds and more: eight samples, of which two are enough.
    const times = 2000;
    const heard = await watched(async (t) => {
      const { driver } = await t.plug(toiler, {});
      // The one call that this is waits for a device that does nothing else.
      await driver.toil(times);
    });
    const faults = countersOf(heard, 8).map((counters) => counters[3]!);
    const midway = faults.filter((count) => count > 0 && count < times);
    assertGreater(midway.length, 1);
    assertEquals(faults, faults.toSorted((a, b) => a - b));
    assertEquals(faults.at(-1), times);
  },
});

Deno.test({
  ...sanitizers,
  name: "RunWatch tells what changed elsewhere as it does here: map, unmap, attach, detach, faults",
  fn: async () => {
    const body: WatchedBody = async (t) => {
      const device = await t.plug(edu, {});
      const domain = device.domain!;
      await t.iommu.map(domain, 0x1000 as Iova, 0x2000 as Gpa, 4096, Access.READ);
      await device.driver.dmaToDevice(0x1000 as Iova, 0, 64);
      await t.clock.advance(100);
      await t.iommu.unmap(domain, 0x1000 as Iova, 4096);
      await device.driver.dmaToDevice(0x1000 as Iova, 0, 64);
      await t.clock.advance(100);
      await t.iommu.detach(device.endpoint);
    };
    const eventsOf = (heard: Heard) => {
      const events = heard.of("sample").flatMap(({ events }) => events);
      const isOne = ([, , kind]: readonly number[]): boolean => kind === TIMELINE.invalidate;
      assertEquals<number | undefined>(
        events.filter(isOne).length,
        heard.metrics[METRIC_NAMES.indexOf(COUNTED)],
      );
      return {
        changes: events.filter((event) => !isOne(event)).map(([, ...fields]) => fields),
        invalidated: events.filter(isOne).map(([, , , endpoint, , , iova, length]) => [
          endpoint,
          iova,
          length,
        ]),
      };
    };
    const { changes: elsewhere, invalidated } = eventsOf(await watched(body));
    const here = eventsOf(await watchedVia(body));
    assertEquals(elsewhere, here.changes);
    assertEquals(here.invalidated, [[8, 0x1000, 4096], [8, 0, 2 ** 52]]);
    // Before it gets a domain's mappings a server is told to forget what it has.
    assertEquals(invalidated, [[8, 0, 2 ** 52], ...here.invalidated]);
    assertEquals(
      elsewhere.map(([, kind]) => TIMELINE_KINDS[kind!]),
      ["attach", "map", "unmap", "fault", "detach"],
    );
  },
});

Deno.test({
  ...sanitizers,
  name:
    "RunWatch tells a fault of a device elsewhere when it happens, beside the mapping nearest to it then",
  fn: async () => {
    const heard = await watched(async (t, heard) => {
      const { driver, domain } = await t.plug(edu, {});
      await t.iommu.map(domain!, 0x10_0000 as Iova, 0x2000 as Gpa, 4096, Access.READ_WRITE);
      await driver.dmaToDevice(0x20_0000 as Iova, 0, 8);
      await t.clock.advance(100);
      // Nobody has asked for it; it is told while the run goes on.
      await heard.until(() => heard.of("report").some(({ faults }) => faults.length > 0));
      await driver.dmaToDevice(0x20_0000 as Iova, 0, 8);
      await t.clock.advance(100);
      await t.iommu.unmap(domain!, 0x10_0000 as Iova, 4096);
      assertEquals((await t.faults()).length, 2);
    });
    const faults = heard.of("report").flatMap(({ faults }) => faults);
    assertEquals(
      faults.map(([number, , endpoint, , iova, access, reason, domain, side, nearest]) => [
        number,
        endpoint,
        iova,
        access,
        reason,
        domain,
        side,
        nearest,
      ]),
      [0, 1].map((
        number,
      ) => [number, 8, 0x20_0000, Access.READ, Fault.UNMAPPED, 1, 2, 0x10_0000]),
    );
    assertEquals(heard.of("report").at(-1)!.faultsLost, 0);
    const events = heard.of("sample").flatMap(({ events }) => events);
    assertEquals(events.filter(([, , kind]) => kind === TIMELINE.fault).length, 2);
  },
});

Deno.test({
  ...sanitizers,
  name: "RunWatch tells how long translations elsewhere took",
  fn: async () => {
    const heard = await watched(async (t) => {
      const { driver, domain } = await t.plug(toiler, {});
      await t.iommu.map(domain!, 0x1000 as Iova, 0 as Gpa, 4096, Access.READ);
      // One in some thousands is timed.
      await driver.haste(50_000);
    });
    const { latency, latencyBuckets, latencySumNs } = heard.of("report").at(-1)!.endpoints[0]!;
    assertGreater(latency!.samples, 1);
    assertEquals(latency!.samples, latencyBuckets.reduce((sum, [, count]) => sum + count, 0));
    assertEquals(0 < latency!.p50Ns && latency!.p50Ns <= latency!.p99Ns, true);
    assertGreater(latencySumNs, 0);
  },
});

for (const variant of [undefined, "messages"] as const) {
  Deno.test({
    ...sanitizers,
    name: `RunWatch ends with the report's numbers, by endpoint, of devices elsewhere (${
      variant ?? "plain"
    })`,
    fn: async () => {
      const heard = await watched(
        async (t) => {
          for (let at = 0; at < 3; at++) {
            const device = await t.plug(edu, {});
            const buffer = await t.dmaBuffer(device, 3 * 4096);
            for (let times = 0; times <= at; times++) {
              await device.driver.dmaToDevice(buffer.iova, 0, 4096);
              await t.clock.advance(100);
            }
          }
        },
        variant === undefined ? {} : { variant },
      );
      const last = heard.of("sample").at(-1)!;
      assertEquals(last.endpoints.map(([id, , , , , , , read]) => [id, read]), [
        [8, 4096],
        [16, 2 * 4096],
        [24, 3 * 4096],
      ]);
      const sum = heard.metrics.map((_, at) =>
        last.endpoints.reduce((total, counters) => total + counters[at + 1]!, 0)
      );
      assertEquals<readonly number[]>(sum, heard.metrics);
      const report = heard.of("report").at(-1)!;
      assertEquals(report.totals, heard.metrics);
      assertEquals(heard.of("left-mappings").flatMap(({ mappings }) => mappings).length, 9);
    },
  });
}

Deno.test({
  ...sanitizers,
  name: "RunWatch counts a device that has moved from one process to another as one",
  fn: async () => {
    const heard = await watched(async (t, heard) => {
      const device = await t.plug(edu, {});
      const buffer = await t.dmaBuffer(device, 4096);
      const read = async (): Promise<void> => {
        await device.driver.dmaToDevice(buffer.iova, 0, 4096);
        await t.clock.advance(100);
      };
      await read();
      await t.migrate(device);
      await read();
      await device.driver.dmaToDevice(0 as Iova, 0, 64);
      await t.clock.advance(100);
      await heard.until(() => heard.of("report").some(({ faults }) => faults.length > 0));
    });
    const counters = countersOf(heard, 8);
    assertEquals<readonly number[] | undefined>(counters.at(-1), heard.metrics);
    assertEquals(counters.at(-1)![6], 2 * 4096);
    const [fault] = heard.of("report").flatMap(({ faults }) => faults);
    assertEquals(fault!.slice(2, 5), [8, -1, 0]);
  },
});

Deno.test({
  ...sanitizers,
  name: "RunWatch looks at a sample of DMA elsewhere: where it fell, and which mappings it hit",
  fn: async () => {
    const heard = await watched(async (t, heard) => {
      const device = await t.plug(edu, {});
      await t.iommu.map(device.domain!, 0x1000 as Iova, 0 as Gpa, 4096, Access.READ);
      await t.iommu.map(device.domain!, 0x5000 as Iova, 0 as Gpa, 4096, Access.READ);
      const read = async (iova: number): Promise<void> => {
        await device.driver.dmaToDevice(iova as Iova, 0, 8);
        await t.clock.advance(100);
      };
      // A look has begun with the first report.
      await heard.until(() => heard.of("report").length > 0);
      for (let at = 0; at < 60; at++) await read(0x1010);
      for (let at = 0; at < 5; at++) await read(0x5ff0);
    });
    const heats = heard.of("report").flatMap(({ endpoints }) => endpoints[0]?.heat ?? []);
    const sampled = heats.flatMap(({ buckets }) => buckets).reduce((sum, count) => sum + count, 0);
    const mappings = heard.of("left-mappings").flatMap(({ mappings }) => mappings);
    assertEquals(mappings.map(([iova, , , , , hits]) => [iova, hits]), [[0x1000, 60], [0x5000, 5]]);
    assertEquals(sampled, 65);
  },
});

Deno.test({
  ...sanitizers,
  name: "RunWatch tells the same of a run elsewhere of which every DMA is traced",
  fn: async () => {
    const heard = await watched(async (t) => {
      const device = await t.plug(edu, {});
      await t.iommu.map(device.domain!, 0x1000 as Iova, 0 as Gpa, 4096, Access.READ);
      for (let at = 0; at < 9; at++) {
        await device.driver.dmaToDevice(0x1000 as Iova, 0, 8);
        await t.clock.advance(100);
      }
    }, { trace: "on" });
    const mappings = heard.of("left-mappings").flatMap(({ mappings }) => mappings);
    assertEquals(mappings.map(([iova, , , , , hits]) => [iova, hits]), [[0x1000, 9]]);
  },
});
