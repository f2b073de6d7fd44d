import { assertEquals } from "@std/assert";
import { Access, Fault, type Gpa, type Iova } from "../../core/address.ts";
import { Iommu } from "../../core/iommu/iommu.ts";
import { GuestRam } from "../../core/memory/guest_ram.ts";
import { TraceKind, TraceRing } from "../../core/observe/trace.ts";
import { VirtualClock } from "../../core/observe/virtual_clock.ts";
import type { FaultReport } from "../scenario.ts";
import { ServerEndpoints } from "./vfio_user_endpoints.ts";
import { Takeover } from "./vfio_user_takeover.ts";

const NOTHING = { faults: [], errors: [], dma: [], invalidations: [] };

/** Number 1 of a server is endpoint 8, with the page at 0x1000 mapped to 0x3000. */
function machine() {
  const ram = new GuestRam([{ name: "ram", start: 0 as Gpa, length: 0x1_0000 }]);
  const iommu = new Iommu(ram, { clock: new VirtualClock(), trace: new TraceRing(16) });
  iommu.addEndpoint(8);
  iommu.createDomain(1);
  iommu.attach(8, 1);
  iommu.map(1, 0x1000 as Iova, 0x3000 as Gpa, 0x1000, Access.READ);
  const process = {
    alive: true,
    nextSocket: () => "/0.sock",
    do: () => {},
    ask: () => {
      throw new Error("Nothing is asked");
    },
  };
  const endpoints = new ServerEndpoints(() => {});
  endpoints.join(process);
  endpoints.add(process, 1, 8);
  const errors: [string, unknown, number | undefined][] = [];
  const asked: number[] = [];
  const takeover = new Takeover(
    { iommu, deviceError: (name, error, times) => errors.push([name, error, times]) },
    endpoints,
    (_endpoint, iova, _access, seen) => {
      asked.push(iova);
      return seen === Fault.UNMAPPED ? Fault.NO_DOMAIN : seen;
    },
  );
  return { iommu, process, endpoints, errors, asked, takeover };
}

Deno.test("Takeover.take() gives faults the machine's endpoint and reason, and tells each once", () => {
  const { takeover, endpoints, process, asked } = machine();
  const heard: FaultReport[] = [];
  endpoints.watch({
    fault: (fault) => heard.push(fault),
    invalidated: () => {},
    place: () => {},
  });
  const faults = [
    [1, -1, 0x5000, Access.WRITE, Fault.UNMAPPED, 70],
    [1, 4, 0x6000, Access.READ, Fault.BUS_MASTER_OFF, 80],
  ] as const;
  takeover.take(process, { ...NOTHING, faults });
  const expected = [
    { endpoint: 8, pasid: null, iova: 0x5000, access: 2, reason: "no-domain", timeNs: 70 },
    { endpoint: 8, pasid: 4, iova: 0x6000, access: 1, reason: "bus-master-off", timeNs: 80 },
  ] as FaultReport[];
  assertEquals(heard, expected);
  assertEquals(takeover.takeFaults(), expected);
  assertEquals(takeover.takeFaults(), []);
  // What has nothing to do with mappings the server knows best.
  assertEquals(asked, [0x5000]);
});

Deno.test("Takeover.take() traces DMA by what it reached, while the trace is on", () => {
  const { takeover, process, iommu } = machine();
  const dma = [
    [10, TraceKind.DMA_READ, 1, -1, 0x1010, 8, 0],
    [20, TraceKind.DMA_WRITE, 1, -1, 0x9000, 8, Fault.UNMAPPED],
  ] as const;
  takeover.take(process, { ...NOTHING, dma });
  assertEquals([...iommu.trace.events()], []);
  iommu.trace.on = true;
  takeover.take(process, { ...NOTHING, dma });
  assertEquals(
    [...iommu.trace.events()].map(({ timeNs, endpoint, iova, result }) => [
      timeNs,
      endpoint,
      iova,
      result,
    ]),
    [[10, 8, 0x1010, 0x3010], [20, 8, 0x9000, Fault.NO_DOMAIN]],
  );
});

Deno.test("Takeover.take() hands a model's error on with its stack", () => {
  const { takeover, process, errors } = machine();
  const text = "TypeError: no such register\n    at edu.ts:1:1";
  takeover.take(process, { ...NOTHING, errors: [["edu at 00:01.0", text, 3]] });
  const [name, error, times] = errors[0]!;
  assertEquals(times, 3);
  assertEquals(name, "edu at 00:01.0");
  assertEquals((error as Error).message, "TypeError: no such register");
  assertEquals((error as Error).stack, text);
});

Deno.test("Takeover.take() tells each invalidation of a server once, and traces it in place of the machine's own", () => {
  const { takeover, endpoints, process, iommu } = machine();
  const heard: unknown[] = [];
  endpoints.watch({
    fault: () => {},
    invalidated: ({ endpoint, iova, length }) => heard.push([endpoint, iova, length]),
    place: () => {},
  });
  const invalidations = [[10, TraceKind.INVALIDATE, 1, -1, 0x1000, 0x1000, 0]] as const;
  takeover.take(process, { ...NOTHING, invalidations });
  assertEquals(heard, [[8, 0x1000, 0x1000]]);
  assertEquals(iommu.trace.recorded, 0);
  iommu.trace.on = true;
  iommu.unmap(1, 0x1000 as Iova, 0x1000);
  takeover.take(process, { ...NOTHING, invalidations });
  assertEquals(
    [...iommu.trace.events()].map(({ timeNs, kind, endpoint, length }) => [
      timeNs,
      kind,
      endpoint,
      length,
    ]),
    [[0, TraceKind.UNMAP, 1, 0x1000], [10, TraceKind.INVALIDATE, 8, 0x1000]],
  );
});

Deno.test("Takeover.take() traces how many are in flight as the server counted them", () => {
  const { takeover, process, iommu } = machine();
  iommu.trace.on = true;
  const dma = [
    [10, TraceKind.PIN, 1, -1, 0x1000, 64, 1],
    [20, TraceKind.UNPIN, 1, -1, 0x1000, 64, 0],
  ] as const;
  takeover.take(process, { ...NOTHING, dma });
  assertEquals(
    [...iommu.trace.events()].map(({ kind, endpoint, result }) => [kind, endpoint, result]),
    [[TraceKind.PIN, 8, 1], [TraceKind.UNPIN, 8, 0]],
  );
});
