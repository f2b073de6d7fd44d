import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Access, Fault, type Gpa, type Iova } from "../../../core/address.ts";
import { Iommu } from "../../../core/iommu/iommu.ts";
import { IommuError } from "../../../core/iommu/iommu_error.ts";
import { GuestRam } from "../../../core/memory/guest_ram.ts";
import { VirtualClock } from "../../../core/observe/virtual_clock.ts";
import { PCI_COMMAND, PCI_COMMAND_MASTER, PCI_COMMAND_MEMORY } from "../../../devices/pci/spec.ts";
import { type Descriptor, liveDescriptors } from "../../linux/descriptor.ts";
import { Errno } from "../../linux/errno.ts";
import { POLLOUT } from "../../linux/libc.ts";
import { createSharedMemory, Mapping } from "../../linux/mapping.ts";
import { UnixStream } from "../../linux/unix_stream.ts";
import { VfioUserCommand as C } from "../spec.ts";
import { Panel } from "./_test_panel.ts";
import { startRemote, withRemote } from "./_test_remote.ts";
import { type AnswerFunction, type Received, TestServer } from "./_test_server.ts";
import { VfioUserClient } from "./client.ts";
import { VfioUserError } from "./client_error.ts";
import { ClientIommu, type SharedRegion } from "./client_iommu.ts";
import { PollGroup } from "./poll_group.ts";
import { RemoteFunction } from "./remote_function.ts";
import type { Ticket } from "./ticket.ts";

const LOW = 0x10_0000;
const HIGH = 2 ** 32;

/** 1 MiB at 0, a hole, 64 KiB at 4 GiB, and a page of ROM below that. */
class TestRam implements Disposable {
  readonly ram: GuestRam;
  readonly regions: readonly SharedRegion[];
  readonly descriptor: Descriptor;
  readonly #mapping: Mapping;

  constructor() {
    this.descriptor = createSharedMemory("ram", LOW + 0x2_0000);
    const mapping = Mapping.map(this.descriptor.fd, 0, LOW + 0x2_0000, "read-write");
    if (typeof mapping === "number") throw new Error("no memory");
    this.#mapping = mapping;
    const places = [
      { name: "high", start: HIGH, length: 0x1_0000, offset: LOW },
      { name: "low", start: 0, length: LOW, offset: 0 },
      { name: "rom", start: HIGH - 0x1000, length: 0x1000, offset: LOW + 0x1_0000, readOnly: true },
    ];
    this.ram = new GuestRam(places.map(({ name, start, length, offset, readOnly }) => ({
      name,
      start: start as Gpa,
      length,
      readOnly: readOnly ?? false,
      bytes: mapping.bytes.subarray(offset, offset + length),
    })));
    this.regions = places.map(({ start, length, offset, readOnly }) => ({
      start: start as Gpa,
      length,
      offset,
      readOnly: readOnly ?? false,
      descriptor: this.descriptor,
    }));
  }

  [Symbol.dispose](): void {
    this.#mapping.close();
    this.descriptor.close();
  }
}

/** Two servers that keep book, and a client of each. */
class Bench implements Disposable {
  readonly memory = new TestRam();
  readonly iommu: Iommu;
  readonly forwarder: ClientIommu;
  readonly group = new PollGroup();
  readonly servers: TestServer[] = [];
  readonly clients: VfioUserClient[] = [];

  constructor(answer: AnswerFunction = repeat, endpoints = 2) {
    this.iommu = new Iommu(this.memory.ram, { clock: new VirtualClock() });
    this.forwarder = new ClientIommu(this.iommu, this.memory.regions);
    for (let endpoint = 1; endpoint <= endpoints; endpoint++) {
      const [near, far] = UnixStream.pair();
      const server = new TestServer(far, answer);
      this.servers.push(server);
      this.group.add(server);
      this.iommu.addEndpoint(endpoint);
      const handlers = this.forwarder.service(endpoint, this.memory.ram, 0x1000);
      const options = { group: this.group, timeoutMs: 2000, handlers };
      this.clients.push(VfioUserClient.over(near, options));
      this.wait(this.forwarder.connect(endpoint, this.clients.at(-1)!));
    }
  }

  wait<T>(ticket: { readonly done: boolean; readonly value: T }): T {
    this.group.wait(ticket, 2000);
    return ticket.value;
  }

  /** What server `index` reads at `iova` by message: the byte, or an errno. */
  fetch(iova: number, index = 0): number {
    const server = this.servers[index]!;
    const body = new Uint8Array(16);
    const view = new DataView(body.buffer);
    view.setBigUint64(0, BigInt(iova), true);
    view.setUint32(8, 1, true);
    server.command(C.VFIO_USER_DMA_READ, 1, body);
    while (server.replies.length === 0) this.group.turn(1000);
    const reply = server.replies.pop()!;
    return reply.header.error > 0 ? -reply.header.error : reply.body[16]!;
  }

  /** What server `index` got since the last call: `map 0x1000+0x1000 rw @0x2000`, `unmap …`, `unmap all`. */
  log(index = 0): string[] {
    const { received } = this.servers[index]!;
    return received.splice(0).map(line);
  }

  [Symbol.dispose](): void {
    for (const client of this.clients) client.close();
    for (const server of this.servers) server.close();
    this.group.close();
    this.memory[Symbol.dispose]();
  }
}

/** How many descriptors came with each message, by message. */
const came = new WeakMap<Received, number>();

const repeat: AnswerFunction = (message) => {
  came.set(message, message.descriptors.length);
  return message.header.command === C.VFIO_USER_DMA_UNMAP ? message.body : new Uint8Array(0);
};

function line(message: Received): string {
  const { header, view } = message;
  const hex = (at: number): string => "0x" + view.getBigUint64(at, true).toString(16);
  if (header.command === C.VFIO_USER_DMA_UNMAP) {
    return view.getUint32(4, true) === 2 ? "unmap all" : `unmap ${hex(8)}+${hex(16)}`;
  }
  const rights = ["-", "r", "w", "rw"][view.getUint32(4, true)];
  const file = came.get(message) === 1 ? ` @${hex(8)}` : "";
  return `map ${hex(16)}+${hex(24)} ${rights}${file}`;
}

const RW = Access.READ_WRITE;

Deno.test("ClientIommu.map() is a DMA_MAP with descriptor and offset at every endpoint of the domain", () => {
  using bench = new Bench();
  const { forwarder } = bench;
  forwarder.createDomain(7);
  bench.wait(forwarder.attach(1, 7));
  bench.wait(forwarder.attach(2, 7));
  assertEquals(bench.log(), ["unmap all"]);
  bench.log(1);
  bench.wait(forwarder.map(7, 0x5000 as Iova, 0x3000 as Gpa, 0x2000, Access.READ));
  bench.wait(forwarder.map(7, 0x9000 as Iova, (HIGH + 0x1000) as Gpa, 0x1000, Access.WRITE));
  for (const server of [0, 1]) {
    assertEquals(bench.log(server), [
      "map 0x5000+0x2000 r @0x3000",
      "map 0x9000+0x1000 w @0x101000",
    ]);
  }
  assertEquals(bench.wait(forwarder.unmap(7, 0x4000 as Iova, 0x4000)), 0x2000);
  assertEquals(bench.log(1), ["unmap 0x5000+0x2000"]);
});

Deno.test("ClientIommu forwards a mapping in its RAM parts, and not what no device may do", () => {
  using bench = new Bench(repeat, 1);
  const { forwarder } = bench;
  forwarder.createDomain(1);
  bench.wait(forwarder.attach(1, 1));
  bench.log();
  // Ends in the hole; starts in the hole and goes over ROM into RAM; all hole; nothing allowed.
  bench.wait(forwarder.map(1, 0 as Iova, (LOW - 0x1000) as Gpa, 0x8000, RW));
  bench.wait(forwarder.map(1, 0x10_0000 as Iova, (HIGH - 0x3000) as Gpa, 0x5000, RW));
  bench.wait(forwarder.map(1, 0x20_0000 as Iova, 0x8000_0000 as Gpa, 0x1000, RW));
  bench.wait(forwarder.map(1, 0x30_0000 as Iova, 0x1000 as Gpa, 0x1000, 0));
  bench.wait(forwarder.map(1, 0x40_0000 as Iova, (HIGH - 0x1000) as Gpa, 0x1000, Access.WRITE));
  assertEquals(bench.log(), [
    "map 0x0+0x1000 rw @0xff000",
    "map 0x102000+0x1000 r @0x110000",
    "map 0x103000+0x2000 rw @0x100000",
  ]);
  assertEquals(bench.wait(forwarder.unmap(1, 0x10_0000 as Iova, 0x5000)), 0x5000);
  assertEquals(bench.log(), ["unmap 0x102000+0x1000", "unmap 0x103000+0x2000"]);
});

Deno.test("ClientIommu withholds the descriptor of a byte-granular mapping, and where it is told to", () => {
  using bench = new Bench();
  const { forwarder } = bench;
  bench.wait(forwarder.connect(2, bench.clients[1]!, { descriptors: "withhold" }));
  forwarder.createDomain(1);
  bench.wait(forwarder.attach(1, 1));
  bench.wait(forwarder.attach(2, 1));
  for (const server of [0, 1]) bench.log(server);
  bench.wait(forwarder.map(1, 0x1001 as Iova, 0x2001 as Gpa, 0x10, RW));
  bench.wait(forwarder.map(1, 0x3000 as Iova, 0x2800 as Gpa, 0x1000, RW));
  bench.wait(forwarder.map(1, 0x5800 as Iova, 0x3000 as Gpa, 0x1000, RW));
  bench.wait(forwarder.map(1, 0x8000 as Iova, 0x8000 as Gpa, 0x1000, RW));
  assertEquals(bench.log(0), [
    "map 0x1001+0x10 rw",
    "map 0x3000+0x1000 rw",
    "map 0x5800+0x1000 rw",
    "map 0x8000+0x1000 rw @0x8000",
  ]);
  assertEquals(bench.log(1), [
    "map 0x1001+0x10 rw",
    "map 0x3000+0x1000 rw",
    "map 0x5800+0x1000 rw",
    "map 0x8000+0x1000 rw",
  ]);
});

Deno.test("ClientIommu in bypass maps RAM at its own addresses", () => {
  using bench = new Bench();
  const { forwarder } = bench;
  forwarder.createDomain(1);
  bench.wait(forwarder.attach(2, 1));
  bench.log(1);
  bench.wait(forwarder.setBypass("on"));
  const all = [
    "map 0x0+0x100000 rw @0x0",
    "map 0xfffff000+0x1000 r @0x110000",
    "map 0x100000000+0x10000 rw @0x100000",
  ];
  assertEquals(bench.log(0), all);
  assertEquals(bench.log(1), []);
  bench.wait(forwarder.detach(2));
  assertEquals(bench.log(1), ["unmap all", ...all]);
  bench.wait(forwarder.setBypass("on"));
  bench.wait(forwarder.setBypass("off"));
  assertEquals(bench.log(0), ["unmap all"]);
  forwarder.createDomain(2, "bypass");
  bench.wait(forwarder.attach(1, 2));
  assertEquals(bench.log(0), ["unmap all", ...all]);
});

Deno.test("ClientIommu.attach() replaces what the server had; detach() takes it away", () => {
  using bench = new Bench(repeat, 1);
  const { forwarder } = bench;
  for (const domain of [1, 2]) {
    forwarder.createDomain(domain);
    bench.wait(forwarder.map(domain, 0x1000 as Iova, (domain * 0x1000) as Gpa, 0x1000, RW));
  }
  bench.wait(forwarder.attach(1, 1));
  assertEquals(bench.log(), ["unmap all", "map 0x1000+0x1000 rw @0x1000"]);
  bench.wait(forwarder.attach(1, 1));
  assertEquals(bench.log(), []);
  bench.wait(forwarder.attach(1, 2));
  assertEquals(bench.log(), ["unmap all", "map 0x1000+0x1000 rw @0x2000"]);
  bench.wait(forwarder.detach(1));
  bench.wait(forwarder.detach(1));
  assertEquals(bench.log(), ["unmap all"]);
  assertEquals(bench.wait(forwarder.destroyDomain(1)), 0x1000);
});

Deno.test("an unmap of all that a domain has is one message", () => {
  using bench = new Bench(repeat, 1);
  const { forwarder } = bench;
  forwarder.createDomain(1);
  bench.wait(forwarder.attach(1, 1));
  for (let page = 0; page < 100; page++) {
    bench.wait(
      forwarder.map(1, (page * 0x2000) as Iova, (page * 0x1000) as Gpa, 0x1000, RW),
    );
  }
  bench.log();
  assertEquals(bench.wait(forwarder.unmap(1, 0 as Iova, 2 ** 40)), 100 * 0x1000);
  assertEquals(bench.log(), ["unmap all"]);
});

Deno.test("when one server refuses a mapping, the others give it up, and the tables too", () => {
  const refuse: AnswerFunction = (message) => {
    repeat(message);
    return message.header.command === C.VFIO_USER_DMA_MAP ? -Errno.ENOSPC : message.body;
  };
  using bench = new Bench();
  const { forwarder, iommu } = bench;
  forwarder.createDomain(1);
  bench.wait(forwarder.attach(1, 1));
  bench.wait(forwarder.attach(2, 1));
  for (const server of [0, 1]) bench.log(server);
  bench.servers[1]!.answer = refuse;
  const error = assertThrows(
    () => bench.wait(forwarder.map(1, 0x1000 as Iova, 0x1000 as Gpa, 0x1000, RW)),
    VfioUserError,
  );
  assertEquals([error.code, error.errno], ["refused", Errno.ENOSPC]);
  assertEquals(bench.log(0), ["map 0x1000+0x1000 rw @0x1000", "unmap 0x1000+0x1000"]);
  assertEquals(bench.log(1), ["map 0x1000+0x1000 rw @0x1000"]);
  assertEquals(iommu.domain(1).space.size, 0);
  bench.servers[1]!.answer = repeat;
  bench.wait(forwarder.map(1, 0x1000 as Iova, 0x1000 as Gpa, 0x1000, RW));
});

Deno.test("when a server refuses a mapping of the domain, attach() goes back to where it was", () => {
  using bench = new Bench(repeat, 1);
  const { forwarder, iommu } = bench;
  for (const domain of [1, 2]) {
    forwarder.createDomain(domain);
    bench.wait(forwarder.map(domain, 0x1000 as Iova, (domain * 0x1000) as Gpa, 0x1000, RW));
    bench.wait(forwarder.map(domain, 0x3000 as Iova, (domain * 0x1000) as Gpa, 0x1000, RW));
  }
  bench.wait(forwarder.attach(1, 1));
  bench.log();
  // Domain 2's second mapping is one too many.
  bench.servers[0]!.answer = (message) =>
    message.header.command === C.VFIO_USER_DMA_MAP && message.view.getUint32(16, true) === 0x3000 &&
      message.view.getUint32(8, true) === 0x2000
      ? (repeat(message), -Errno.ENOMEM)
      : repeat(message);
  assertThrows(() => bench.wait(forwarder.attach(1, 2)), VfioUserError, "ENOMEM");
  assertEquals(iommu.endpoint(1).domain?.id, 1);
  assertEquals(bench.log(), [
    "unmap all",
    "map 0x1000+0x1000 rw @0x2000",
    "map 0x3000+0x1000 rw @0x2000",
    "unmap all",
    "map 0x1000+0x1000 rw @0x1000",
    "map 0x3000+0x1000 rw @0x1000",
  ]);
});

Deno.test("when a server refuses a mapping late, attach() leaves an endpoint that has moved on where it is", () => {
  using bench = new Bench(repeat, 1);
  const { forwarder, iommu } = bench;
  for (const domain of [1, 2, 3]) {
    forwarder.createDomain(domain);
    bench.wait(forwarder.map(domain, 0x1000 as Iova, (domain * 0x1000) as Gpa, 0x1000, RW));
  }
  bench.wait(forwarder.attach(1, 1));
  const server = bench.servers[0]!;
  let held: Received | null = null;
  server.answer = (message) => {
    const answer = repeat(message);
    if (message.header.command !== C.VFIO_USER_DMA_MAP || held !== null) return answer;
    held = message;
    return null;
  };
  const refused = forwarder.attach(1, 2);
  bench.wait(forwarder.attach(1, 3));
  bench.log();
  assert(held !== null);
  server.reply(held, -Errno.ENOMEM);
  assertThrows(() => bench.wait(refused), VfioUserError, "ENOMEM");
  assertEquals(iommu.endpoint(1).domain?.id, 3);
  assertEquals(bench.log(), []);
});

Deno.test("an unmap is done when every server has answered, and blocks nobody meanwhile", () => {
  using bench = new Bench();
  const { forwarder, iommu } = bench;
  forwarder.createDomain(1);
  bench.wait(forwarder.attach(1, 1));
  bench.wait(forwarder.attach(2, 1));
  bench.wait(forwarder.map(1, 0x1000 as Iova, 0x1000 as Gpa, 0x1000, RW));
  bench.wait(forwarder.map(1, 0x5000 as Iova, 0x1000 as Gpa, 0x1000, RW));
  const [, slow] = bench.servers;
  slow!.answer = (message) =>
    message.header.command === C.VFIO_USER_DMA_UNMAP ? null : repeat(message);
  const unmap = forwarder.unmap(1, 0x1000 as Iova, 0x1000);
  bench.wait(forwarder.map(1, 0x9000 as Iova, 0x1000 as Gpa, 0x1000, RW));
  assertEquals(unmap.done, false);
  // For the client's own memory the mapping is gone at once.
  assertEquals(iommu.endpoint(2).memory.readU8(0x1000 as Iova), Fault.UNMAPPED);
  const held = slow!.received.findLast(({ header }) => header.command === C.VFIO_USER_DMA_UNMAP)!;
  slow!.reply(held, held.body);
  assertEquals(bench.wait(unmap), 0x1000);
});

Deno.test("a server that is gone is in nobody's way, and learns of everything by replay()", () => {
  using bench = new Bench();
  const { forwarder } = bench;
  forwarder.createDomain(1);
  bench.wait(forwarder.attach(1, 1));
  bench.wait(forwarder.attach(2, 1));
  bench.wait(forwarder.map(1, 0x1000 as Iova, 0x1000 as Gpa, 0x1000, RW));
  bench.clients[1]!.close();
  bench.wait(forwarder.map(1, 0x5000 as Iova, 0x1000 as Gpa, 0x1000, RW));
  bench.wait(forwarder.unmap(1, 0x1000 as Iova, 0x1000));
  assertThrows(() => bench.wait(forwarder.replay(2)), VfioUserError);
  bench.wait(forwarder.detach(2));
  forwarder.disconnect(2);
  bench.log();
  bench.wait(forwarder.replay(1));
  assertEquals(bench.log(), ["map 0x5000+0x1000 rw @0x1000"]);
});

Deno.test("misuse is the core's error, and no message leaves", () => {
  using bench = new Bench(repeat, 1);
  const { forwarder } = bench;
  forwarder.createDomain(1);
  bench.wait(forwarder.attach(1, 1));
  bench.wait(forwarder.map(1, 0x1000 as Iova, 0x1000 as Gpa, 0x2000, RW));
  bench.log();
  for (
    const [code, call] of [
      ["exists", () => forwarder.map(1, 0x2000 as Iova, 0 as Gpa, 0x1000, RW)],
      ["range", () => forwarder.unmap(1, 0x1000 as Iova, 0x1000)],
      ["no-domain", () => forwarder.map(9, 0 as Iova, 0 as Gpa, 1, RW)],
      ["no-domain", () => forwarder.unmap(9, 0 as Iova, 1)],
      ["no-endpoint", () => forwarder.attach(9, 1)],
      ["no-domain", () => forwarder.attach(1, 9)],
      ["no-endpoint", () => forwarder.connect(9, bench.clients[0]!)],
      ["busy", () => forwarder.destroyDomain(1)],
    ] as const
  ) {
    assertEquals(assertThrows(() => void call(), IommuError).code, code);
  }
  assertEquals(bench.log(), []);
});

const GONE = -Errno.EFAULT;

/** How an endpoint may lose the page at 0x5000, which leads to 0x3000. */
const LOSSES: readonly [string, (forwarder: ClientIommu) => Ticket<unknown>][] = [
  ["unmap()", (forwarder) => forwarder.unmap(1, 0x5000 as Iova, 0x1000)],
  ["unmap() of all there is", (forwarder) => forwarder.unmap(1, 0 as Iova, 2 ** 40)],
  ["detach()", (forwarder) => forwarder.detach(1)],
  ["attach() to another domain", (forwarder) => forwarder.attach(1, 2)],
];

for (const [how, lose] of LOSSES) {
  Deno.test(`ClientIommu.service() serves what ${how} takes away until the server has answered`, () => {
    for (const descriptors of ["withhold", "pass"] as const) {
      using bench = new Bench();
      const { forwarder, memory: { ram }, servers } = bench;
      const [server] = servers as [TestServer];
      forwarder.createDomain(1);
      forwarder.createDomain(2);
      bench.wait(forwarder.connect(1, bench.clients[0]!, { descriptors }));
      bench.wait(forwarder.attach(1, 1));
      // With descriptors a server asks for what is no whole page, and for nothing else.
      const length = descriptors === "pass" ? 0x800 : 0x1000;
      bench.wait(forwarder.map(1, 0x5000 as Iova, 0x3000 as Gpa, length, RW));
      bench.wait(forwarder.map(1, 0x9000 as Iova, 0x4000 as Gpa, 0x1000, RW));
      ram.writeU8(0x3000 as Gpa, 33);
      ram.writeU8(0x6000 as Gpa, 66);
      assertEquals(bench.fetch(0x5000), 33);

      server.received.length = 0;
      server.answer = () => null;
      const ticket = lose(forwarder);
      while (server.received.length === 0) bench.group.turn(1000);
      assertEquals([bench.fetch(0x5000), bench.fetch(0x57ff)], [33, 0]);
      assertEquals(bench.fetch(0x5000 + length), GONE);
      assertEquals(bench.fetch(0x5000, 1), GONE, "it is the other endpoint's alone");
      assertEquals(bench.iommu.drainFaults().filter(({ endpoint }) => endpoint === 1).length, 1);
      // A later mapping is not seen before the unmap is answered.
      if (how === "unmap()") forwarder.map(1, 0x5000 as Iova, 0x6000 as Gpa, 0x1000, RW);
      assertEquals(bench.fetch(0x5000), 33);

      server.answer = repeat;
      for (const command of server.received.splice(0)) server.reply(command, command.body);
      bench.wait(ticket);
      assertEquals(bench.fetch(0x5000), how === "unmap()" ? 66 : GONE);
    }
  });
}

Deno.test("ClientIommu.service() serves what leaves also while the unmap waits for room to be sent", () => {
  for (const [how, lose] of LOSSES) {
    using bench = new Bench();
    const { forwarder, group, memory: { ram }, servers, clients } = bench;
    const [server] = servers as [TestServer];
    const [client] = clients as [VfioUserClient];
    forwarder.createDomain(1);
    forwarder.createDomain(2);
    bench.wait(forwarder.connect(1, client, { descriptors: "withhold" }));
    bench.wait(forwarder.attach(1, 1));
    bench.wait(forwarder.map(1, 0x5000 as Iova, 0x3000 as Gpa, 0x1000, RW));
    bench.wait(forwarder.map(1, 0x9000 as Iova, 0x4000 as Gpa, 0x1000, RW));
    ram.writeU8(0x3000 as Gpa, 33);
    // More than a socket holds: no command leaves before the server reads this.
    group.remove(server);
    while (client.readyFds().every(({ events }) => (events & POLLOUT) === 0)) {
      client.regions.post(0, 0, new Uint8Array(0x10_0000));
    }
    const fetch = new Uint8Array(16);
    fetch.set([0, 0x50, 0, 0, 0, 0, 0, 0, 1]);
    let asked = false;
    server.answer = (message) => {
      if (message.header.command !== C.VFIO_USER_REGION_WRITE) return repeat(message);
      if (!asked) server.command(C.VFIO_USER_DMA_READ, 1, fetch);
      asked = true;
      return null;
    };
    group.add(server);
    bench.wait(lose(forwarder));
    const [reply] = server.replies;
    assertEquals([reply!.header.error, reply!.body[16]], [0, 33], how);
    server.replies.length = 0;
    assertEquals(bench.fetch(0x5000), GONE, how);
  }
});

Deno.test("ClientIommu.service() serves bypass until the server has answered its end", () => {
  using bench = new Bench();
  const { forwarder, memory: { ram }, servers } = bench;
  const [server, other] = servers as [TestServer, TestServer];
  bench.wait(forwarder.connect(1, bench.clients[0]!, { descriptors: "withhold" }));
  ram.writeU8(0x3000 as Gpa, 33);
  bench.wait(forwarder.setBypass("on"));
  server.received.length = other.received.length = 0;
  server.answer = () => null;
  const ticket = forwarder.setBypass("off");
  while (server.received.length === 0) bench.group.turn(1000);
  assertEquals([bench.fetch(0x3000), bench.fetch(LOW)], [33, GONE]);
  assertEquals(bench.fetch(0x3000, 1), GONE, "what came with a descriptor is not asked for");
  server.reply(server.received[0]!, server.received[0]!.body);
  bench.wait(ticket);
  assertEquals(bench.fetch(0x3000), GONE);
});

Deno.test("ClientIommu.service() forgets what leaves when the connection ends, or the endpoint's server goes", () => {
  using bench = new Bench();
  const { forwarder, memory: { ram }, servers, clients } = bench;
  const [client] = clients as [VfioUserClient];
  forwarder.createDomain(1);
  bench.wait(forwarder.connect(1, client, { descriptors: "withhold" }));
  bench.wait(forwarder.attach(1, 1));
  bench.wait(forwarder.map(1, 0x5000 as Iova, 0x3000 as Gpa, 0x1000, RW));
  servers[0]!.answer = () => null;
  const ticket = forwarder.unmap(1, 0x5000 as Iova, 0x1000);
  const [, read] = [...forwarder.service(1, ram, 0x1000)].find(([command]) =>
    command === C.VFIO_USER_DMA_READ
  )!;
  const reads = () => {
    const view = new DataView(new ArrayBuffer(64));
    view.setBigUint64(0, 0x5000n, true);
    view.setUint32(8, 1, true);
    const bytes = new Uint8Array(view.buffer);
    const command = C.VFIO_USER_DMA_READ;
    return read({ command, view, bytes, at: 0, length: 16, reply: view, replyAt: 32, data: null });
  };
  assert(reads() > 0);
  client.close();
  assertEquals([ticket.done, reads()], [true, GONE]);
});

/** A panel behind a real server, with memory in front of it. */
async function withPanel(
  body: (
    parts: {
      fn: RemoteFunction;
      client: VfioUserClient;
      forwarder: ClientIommu;
      ram: GuestRam;
      iommu: Iommu;
    },
  ) => Promise<void>,
): Promise<void> {
  const before = liveDescriptors();
  await withRemote(async ({ path }) => {
    using memory = new TestRam();
    const { ram } = memory;
    const iommu = new Iommu(ram, { clock: new VirtualClock() });
    const forwarder = new ClientIommu(iommu, memory.regions);
    iommu.addEndpoint(1);
    using client = VfioUserClient.connect(path, {
      handlers: forwarder.service(1, ram, 0x10_0000),
    });
    using fn = RemoteFunction.open(client, { endpoint: 1 });
    client.wait(forwarder.connect(1, client));
    await fn.configWrite(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    await body({ fn, client, forwarder, ram, iommu });
  });
  assertEquals(liveDescriptors(), before);
}

async function fetch32(fn: RemoteFunction, iova: number): Promise<number> {
  await fn.barWrite(0, Panel.ADDRESS, 4, iova);
  return await fn.barRead(0, Panel.FETCH, 4);
}

for (const descriptors of ["pass", "withhold"] as const) {
  Deno.test(`a device reaches the very bytes of guest RAM, descriptors ${descriptors}`, async () => {
    await withPanel(async ({ fn, client, forwarder, ram, iommu }) => {
      client.wait(forwarder.connect(1, client, { descriptors }));
      forwarder.createDomain(1);
      client.wait(forwarder.attach(1, 1));
      client.wait(forwarder.map(1, 0x5000 as Iova, 0x3000 as Gpa, 0x1000, RW));
      client.wait(forwarder.map(1, 0x8000 as Iova, 0x4000 as Gpa, 0x1000, Access.READ));
      ram.writeU32(0x3010 as Gpa, 0x1234_5678);
      assertEquals(await fetch32(fn, 0x5010), 0x1234_5678);
      await fn.barWrite(0, Panel.ADDRESS, 4, 0x5020);
      await fn.barWrite(0, Panel.STORE, 4, 0xabcd_ef01);
      assertEquals(await fn.barRead(0, Panel.STORED, 4), 0);
      assertEquals(ram.readU32(0x3020 as Gpa), 0xabcd_ef01);
      // What may not be written stays, and what is not mapped is not there.
      await fn.barWrite(0, Panel.ADDRESS, 4, 0x8000);
      await fn.barWrite(0, Panel.STORE, 4, 1);
      assert(await fn.barRead(0, Panel.STORED, 4) !== 0);
      assertEquals(ram.readU32(0x4000 as Gpa), 0);
      client.wait(forwarder.unmap(1, 0x5000 as Iova, 0x1000));
      assertEquals(await fetch32(fn, 0x5010), 0xffff_ffff);
      const reads = iommu.endpoint(1).counters.snapshot().dmaReadBytes;
      assertEquals(reads, descriptors === "pass" ? 0 : 4);
    });
  });
}

Deno.test("a byte-granular mapping next to a page with a descriptor: both are right to the byte", async () => {
  await withPanel(async ({ fn, client, forwarder, ram }) => {
    forwarder.createDomain(1);
    client.wait(forwarder.attach(1, 1));
    client.wait(forwarder.map(1, 0x5000 as Iova, 0x3000 as Gpa, 0x1000, RW));
    client.wait(forwarder.map(1, 0x6000 as Iova, 0x7004 as Gpa, 2, RW));
    ram.writeU32(0x3ffc as Gpa, 0x1122_3344);
    ram.writeU32(0x7004 as Gpa, 0x5566_7788);
    assertEquals(await fetch32(fn, 0x5ffe), 0x7788_1122);
    assertEquals(await fetch32(fn, 0x5fff), 0xffff_ffff);
  });
});

Deno.test("64 k mappings are forwarded by attach(), pipelined, and gone after detach()", async () => {
  await withPanel(async ({ fn, client, forwarder, ram }) => {
    const count = 65_000;
    forwarder.createDomain(1);
    for (let page = 0; page < count; page++) {
      const gpa = (page % 200) * 0x1000;
      client.wait(forwarder.map(1, (page * 0x2000) as Iova, gpa as Gpa, 0x1000, RW));
    }
    client.wait(forwarder.attach(1, 1), 60_000);
    ram.writeU32(0x7008 as Gpa, 77);
    const page = 200 * 300 + 7;
    assertEquals(await fetch32(fn, page * 0x2000 + 8), 77);
    client.wait(forwarder.detach(1), 60_000);
    assertEquals(await fetch32(fn, page * 0x2000 + 8), 0xffff_ffff);
  });
});

Deno.test("after a restart of the server, replay() brings the mappings back", async () => {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-" });
  let remote = await startRemote(`${folder}/it.sock`);
  try {
    using memory = new TestRam();
    const iommu = new Iommu(memory.ram, { clock: new VirtualClock() });
    const forwarder = new ClientIommu(iommu, memory.regions);
    iommu.addEndpoint(1);
    using client = VfioUserClient.connect(remote.path);
    using fn = RemoteFunction.open(client, { endpoint: 1 });
    client.wait(forwarder.connect(1, client));
    forwarder.createDomain(1);
    client.wait(forwarder.attach(1, 1));
    client.wait(forwarder.map(1, 0x5000 as Iova, 0x3000 as Gpa, 0x1000, RW));
    await remote.stop();
    await assertRejects(() => fn.configRead(0, 4), VfioUserError);
    client.wait(forwarder.map(1, 0x8000 as Iova, 0x4000 as Gpa, 0x1000, RW));
    remote = await startRemote(remote.path);
    client.reconnect();
    client.wait(forwarder.replay(1));
    fn.replay();
    await fn.configWrite(PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    memory.ram.writeU32(0x3000 as Gpa, 3);
    memory.ram.writeU32(0x4000 as Gpa, 4);
    assertEquals(await fetch32(fn, 0x5000), 3);
    assertEquals(await fetch32(fn, 0x8000), 4);
  } finally {
    await remote.stop();
    await Deno.remove(folder, { recursive: true });
  }
});
