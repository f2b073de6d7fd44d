import { assert, assertEquals } from "@std/assert";
import { join } from "@std/path";
import { Access, Fault, type Gpa, type Iova } from "../../core/address.ts";
import { edu } from "../../devices/edu/mod.ts";
import type { PciDevice } from "../../devices/pci/pci_device.ts";
import { Reactor } from "../../protocols/linux/reactor.ts";
import type { FrameObserver } from "../../protocols/vfio_user/connection.ts";
import { ServerMachine, VfioUserServer } from "../../protocols/vfio_user/server/mod.ts";
import { type Observed, TIMELINE_KINDS } from "./observation.ts";
import { ServerObservation } from "./server_observation.ts";
import { connectionOf, ServerWatch } from "./server_watch.ts";
import type { ServerTold } from "./server_thread_protocol.ts";

const ENDPOINT = 0x20;

type Report = Extract<Observed, { readonly kind: "report" }>;

/** One served device, watched, with both sides on this thread: time and turns are the test's. */
class Watched implements Disposable {
  nowMs = 1_000_000;
  readonly reports: Report[] = [];
  readonly lines: string[] = [];
  readonly observation: ServerObservation;
  readonly machine: ServerMachine;
  readonly server: VfioUserServer;
  readonly watch: ServerWatch;
  readonly frames: FrameObserver;
  readonly #reactor = new Reactor({ spin: "off" });
  readonly #folder = Deno.makeTempDirSync({ prefix: "viaduct-" });

  constructor(device: PciDevice = edu.create({})) {
    this.observation = new ServerObservation(() => this.nowMs);
    const post = (told: ServerTold): void => this.observation.take(structuredClone(told));
    this.watch = new ServerWatch(this.observation.request, this.#reactor, post, () => this.nowMs);
    this.machine = new ServerMachine({ reactor: this.#reactor, ...this.watch.machineOptions });
    this.watch.begin(this.machine);
    this.frames = this.watch.observer(0, () => this.server);
    this.server = new VfioUserServer(this.machine, {
      path: join(this.#folder, "s.sock"),
      endpoint: ENDPOINT,
      device,
    });
    this.watch.add(0, device.type, this.server);
    this.watch.ready();
    this.observation.listen({
      reported: (report) => this.reports.push(report),
      logged: (line) => this.lines.push(line),
    });
    this.observation.begin(this.#reactor.handle);
  }

  /** The next wake, and what the serving thread does about it. */
  tick(): void {
    this.nowMs += 250;
    this.observation.sample();
    this.wake();
  }

  /** A wake that nobody's look has a part in. */
  wake(): void {
    // Any question wakes the reactor; this one is answered with nothing.
    this.observation.ask({ kind: "mappings", domain: 999, from: 0, limit: 1 });
    this.#reactor.turn(0);
  }

  map(iova: number, gpa: number, length: number): void {
    this.machine.iommu.map(ENDPOINT, iova as Iova, gpa as Gpa, length, Access.READ);
    this.machine.mappings!.mapped(ENDPOINT, iova, gpa, length, Access.READ);
  }

  unmap(iova: number, length: number): void {
    const { bytes } = this.machine.iommu.unmap(ENDPOINT, iova as Iova, length);
    this.machine.mappings!.unmapped(ENDPOINT, iova, length, bytes);
  }

  get memory() {
    return this.machine.iommu.endpoint(ENDPOINT).memory;
  }

  [Symbol.dispose](): void {
    this.observation.end();
    this.server[Symbol.dispose]();
    this.#reactor[Symbol.dispose]();
    Deno.removeSync(this.#folder, { recursive: true });
  }
}

Deno.test("ServerWatch shares counters, sizes and the timeline as they are, without a turn of the reactor", () => {
  using watched = new Watched();
  watched.observation.sample();
  watched.map(0x1000, 0x8000, 0x1000);
  watched.map(0x4000, 0x9000, 0x2000);
  watched.memory.readU8(0x2000 as Iova);
  watched.unmap(0x4000, 0x2000);
  const { endpoints, domains, events, recorded } = watched.observation.sample();
  assertEquals(endpoints.length, 1);
  const [id, translations, , , faults] = endpoints[0]!;
  assertEquals([id, translations, faults], [ENDPOINT, 1, 1]);
  assertEquals(domains, [[ENDPOINT, 1, 0x1000]]);
  assertEquals(recorded, 4);
  assertEquals(endpoints[0]![6], 1);
  assertEquals(
    events.map(([sequence, , kind, , domain, , iova, length, result, access]) => [
      sequence,
      TIMELINE_KINDS[kind!],
      domain,
      iova,
      length,
      result,
      access,
    ]),
    [
      [0, "map", ENDPOINT, 0x1000, 0x1000, 0x8000, Access.READ],
      [1, "map", ENDPOINT, 0x4000, 0x2000, 0x9000, Access.READ],
      [2, "invalidate", ENDPOINT, 0x4000, 0x2000, 0, 0],
      [3, "unmap", ENDPOINT, 0x4000, 0x2000, 0x2000, 0],
    ],
  );
  assertEquals(watched.observation.sample().events, []);
});

Deno.test("ServerWatch reports a fault with the mapping nearest to it, and puts it on the timeline", () => {
  using watched = new Watched();
  watched.map(0x1000, 0x8000, 0x1000);
  watched.observation.sample();
  watched.memory.readU8(0x2003 as Iova);
  watched.memory.writeU8(0x1000 as Iova, 1);
  watched.tick();
  const [unmapped, permission] = watched.reports.flatMap(({ faults }) => faults);
  assertEquals(unmapped!.slice(2, 13), [
    ...[ENDPOINT, -1, 0x2003, Access.READ, Fault.UNMAPPED, ENDPOINT],
    ...[2, 0x1000, 0x8000, 0x1000, Access.READ],
  ]);
  assertEquals([permission![4], permission![6], permission![8]], [0x1000, Fault.PERMISSION, 1]);
  const faults = watched.observation.sample().events
    .filter(([, , kind]) => TIMELINE_KINDS[kind!] === "fault");
  assertEquals(faults.map((event) => [event[3], event[6], event[8]]), [
    [ENDPOINT, 0x2003, Fault.UNMAPPED],
    [ENDPOINT, 0x1000, Fault.PERMISSION],
  ]);
  watched.tick();
  assertEquals(watched.reports.flatMap(({ faults }) => faults).length, 2);
});

Deno.test("ServerWatch loses no fault of a burst that comes with messages, and counts those it does", () => {
  using watched = new Watched();
  const message = new Uint8Array(16);
  for (let at = 0; at < 3000; at++) {
    watched.memory.readU8(0x1000 as Iova);
    watched.frames.frame(">", message, 0);
  }
  watched.tick();
  const told = () => watched.reports.flatMap(({ faults }) => faults).length;
  assertEquals([told(), watched.reports.at(-1)!.faultsLost], [3000, 0]);
  for (let at = 0; at < 3000; at++) watched.memory.readU8(0x1000 as Iova);
  watched.tick();
  assertEquals(told() + watched.reports.at(-1)!.faultsLost, 6000);
  assert(watched.reports.at(-1)!.faultsLost > 0);
});

Deno.test("ServerWatch samples DMA while somebody looks, for the heat and the hits of mappings", async () => {
  using watched = new Watched();
  const start = watched.machine.memory.showMapped("ram", new Uint8Array(0x1_0000));
  watched.map(0x1000, start, 0x1_0000);
  watched.tick();
  for (let at = 0; at < 10_000; at++) watched.memory.readU8(0x3000 as Iova);
  watched.tick();
  const { heat, latency, device } = watched.reports.at(-1)!.endpoints[0]!;
  assertEquals([heat?.start, heat?.buckets], [0x3000, [256]]);
  assertEquals(device, "edu");
  assert(latency !== null && latency.samples > 0);
  const asked = watched.observation.ask({
    kind: "mappings",
    domain: ENDPOINT,
    from: 0,
    limit: 10,
  });
  watched.wake();
  const answer = await asked;
  assert(answer?.kind === "mappings");
  assertEquals(answer.mappings.map(([iova, , , , , hits]) => [iova, hits]), [[0x1000, 256]]);
  // Nobody looks any more: once that look has seen enough, there is no other.
  const before = watched.machine.iommu.trace.recorded;
  for (let at = 0; at < 3; at++) {
    watched.nowMs += 250;
    watched.wake();
    for (let at = 0; at < 1000; at++) watched.memory.readU8(0x3000 as Iova);
  }
  assertEquals(watched.machine.iommu.trace.recorded - before, 256);
});

Deno.test("ServerWatch tells nothing while nothing changes and nobody looks", () => {
  using watched = new Watched();
  assertEquals(watched.reports.map(({ endpoints }) => endpoints[0]!.device), ["edu"]);
  watched.tick();
  const before = watched.reports.length;
  assertEquals(before, 2);
  for (let at = 0; at < 5; at++) {
    watched.nowMs += 250;
    watched.wake();
  }
  assertEquals(watched.reports.length, before);
  watched.memory.readU8(0x1000 as Iova);
  watched.nowMs += 250;
  watched.wake();
  assertEquals(watched.reports.length, before + 1);
});

Deno.test("ServerWatch keeps messages for a minute after the last look, and counts the others", () => {
  using watched = new Watched();
  const bytes = new Uint8Array([1, 2, 3]);
  watched.frames.frame(">", bytes, 2);
  const first = watched.observation.frames();
  assertEquals([first.missed, first.frames.length], [0, 1]);
  const { connection, direction, descriptors, bytes: kept } = first.frames[0]!;
  assertEquals([direction, descriptors, kept], [">", 2, bytes]);
  assertEquals(connectionOf(connection), { device: 0, client: 0 });
  watched.nowMs += 61_000;
  watched.wake();
  for (let at = 0; at < 7; at++) watched.frames.frame(">", bytes, 0);
  // The look wakes the reactor: from its next turn on messages are kept.
  assertEquals(watched.observation.frames().frames.length, 0);
  watched.wake();
  watched.frames.frame("<", bytes, 0);
  const last = watched.observation.frames();
  assertEquals([last.missed, last.frames.length, last.frames[0]!.direction], [7, 1, "<"]);
});

Deno.test("ServerWatch.log() tells lines, but not all of a flood", () => {
  using watched = new Watched();
  watched.watch.log("edu: A client has connected");
  assertEquals(watched.lines, ["edu: A client has connected"]);
  for (let at = 0; at < 1000; at++) watched.watch.log("edu: again");
  watched.tick();
  assertEquals(watched.lines.length, 51);
  assertEquals(watched.lines.at(-1), "951 more lines are on the terminal alone");
});

Deno.test("ServerObservation.ask() has a device's detail, or null for what is not there", async () => {
  using watched = new Watched();
  const ask = (endpoint: number) => {
    const asked = watched.observation.ask({ kind: "detail", endpoint });
    watched.wake();
    return asked;
  };
  const answer = await ask(ENDPOINT);
  assert(answer?.kind === "detail");
  const { detail } = answer;
  assertEquals(detail.endpoint, ENDPOINT);
  assertEquals(detail.config.slice(0, 8), "3412e811");
  assertEquals(detail.bars.map(({ index, size }) => [index, size]), [[0, 0x10_0000]]);
  assertEquals(Object.keys(detail.inspect!), ["device", "function", "server"]);
  assertEquals(await ask(ENDPOINT + 8), null);
});

Deno.test("ServerObservation.ask() gives null when the server ends before it has answered", async () => {
  using watched = new Watched();
  const asked = watched.observation.ask({ kind: "detail", endpoint: ENDPOINT });
  watched.observation.end();
  assertEquals(await asked, null);
  assertEquals(await watched.observation.ask({ kind: "detail", endpoint: ENDPOINT }), null);
});

Deno.test("a detail has the MSI-X table, and none of what a broken model throws", async () => {
  const device: PciDevice = {
    type: "broken",
    ident: { vendorId: 0x1234, deviceId: 1, revisionId: 0, classCode: 0xff0000 },
    bars: [{ index: 1, size: 0x2000, kind: "mmio64" }],
    interrupts: { msix: { vectors: 40, bar: 1, tableOffset: 0, pendingOffset: 0x1000 } },
    attach() {},
    barRead: () => 0,
    barWrite() {},
    reset() {},
    inspect: () => ({ big: 1n, loop: null }),
  };
  using watched = new Watched(device);
  const { hosted } = watched.server;
  hosted.configWrite(4, 2, 6);
  hosted.barWrite(1, 0x10, 4, 0xfee0_0000);
  hosted.barWrite(1, 0x18, 4, 0x4041);
  const asked = watched.observation.ask({ kind: "detail", endpoint: ENDPOINT });
  watched.wake();
  const answer = await asked;
  assert(answer?.kind === "detail");
  const { msix, inspect } = answer.detail;
  assertEquals([msix?.vectors, msix?.rows.length], [40, 40]);
  assertEquals(msix?.rows[1], {
    vector: 1,
    address: 0xfee0_0000,
    data: 0x4041,
    masked: true,
    pending: false,
  });
  assertEquals(inspect?.["device"], { big: "0x1", loop: null });
});
