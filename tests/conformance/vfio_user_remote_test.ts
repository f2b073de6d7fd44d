/**
 * VFIO_USER_DMA_READ and VFIO_USER_DMA_WRITE: memory without a descriptor (spec/08 rule 21, spec/09
 * rule 14), over real sockets, with the server in another thread.
 * @module
 */

import { EventFd } from "../../protocols/linux/eventfd.ts";
import { POLLIN } from "../../protocols/linux/libc.ts";
import { assert, assertEquals } from "@std/assert";
import { dirname, join } from "@std/path";
import { Fault, type Iova } from "../../core/address.ts";
import { connectUnix } from "../../protocols/linux/unix_socket.ts";
import { UnixStream } from "../../protocols/linux/unix_stream.ts";
import { SERVER_CAPABILITIES, VfioUserServer } from "../../protocols/vfio_user/server/server.ts";
import { StreamerCommand, StreamerRegister, StreamerStatus } from "../../devices/streamer/spec.ts";
import { VfioIrqSetFlags } from "../../protocols/vfio_user/vfio_spec.ts";
import { ClientMemory, type Host, withProbe } from "./vfio_user/host.ts";
import { Probe, ProbeCommand as Do, ProbeRegister as Register } from "./vfio_user/probe.ts";
import { RawClient } from "./vfio_user/raw_client.ts";
import { RemoteClient, withRemote } from "./vfio_user/remote_host.ts";
import * as wire from "./vfio_user/wire.ts";

const { bytes, u32, u64, dmaMap, dmaUnmap, Prot } = wire;
const { VFIO_IRQ_SET_ACTION_TRIGGER: TRIGGER, VFIO_IRQ_SET_DATA_EVENTFD: EVENTFD } =
  VfioIrqSetFlags;
const MSI = 1;
const SOCKETS: readonly [string, Record<string, unknown>][] = [
  ["the main socket", {}],
  ["the twin socket", { max_msg_fds: 8, twin_socket: { supported: true } }],
];

/** A register command of the probe on `length` bytes at `address`; its status, signed. */
function run(client: RemoteClient, command: number, address = 0x10_0000, length = 0): number {
  client.set(Register.ADDRESS, address % 2 ** 32);
  client.set(Register.ADDRESS_HIGH, Math.floor(address / 2 ** 32));
  client.set(Register.LENGTH, length);
  client.set(Register.COMMAND, command);
  return client.get(Register.STATUS) | 0;
}

function map(client: RemoteClient, flags: number = Prot.BOTH): void {
  assertEquals(client.call(2, dmaMap(0x10_0000, 0x1_0000, { flags })).errno, 0);
}

for (const [name, capabilities] of SOCKETS) {
  Deno.test(`vfio-user rule 21: reads and writes go by messages on ${name}`, async () => {
    await withRemote((path) => {
      using client = new RemoteClient(path, capabilities);
      map(client);
      client.memory.set([1, 2, 3, 4, 5, 6, 7, 8], 0x10);
      assertEquals(run(client, Do.READ, 0x10_0010, 8), 0);
      assertEquals([client.get(Register.BUFFER), client.get(Register.BUFFER + 4)], [
        0x0403_0201,
        0x0807_0605,
      ]);
      assertEquals(run(client, Do.WRITE, 0x10_fff8, 8), 0);
      assertEquals(client.memory.subarray(0xfff8), new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]));
      assertEquals(run(client, Do.READ_U32, 0x10_0012), 0);
      assertEquals(client.get(Register.BUFFER), 0x0605_0403);
      assertEquals(client.log, ["read 100010 8", "write 10fff8 8", "read 100012 4"]);
      assertEquals(run(client, Do.READ, 0x11_0000, 4), Fault.UNMAPPED);
      assertEquals(client.call(3, dmaUnmap(0x10_0000, 0x1_0000)).errno, 0);
      assertEquals(run(client, Do.READ, 0x10_0000, 4), Fault.UNMAPPED);
      assertEquals(client.log.length, 3);
    });
  });

  Deno.test(`vfio-user rule 21: chunks are at most the client's max_data_xfer_size on ${name}`, async () => {
    await withRemote((path) => {
      using client = new RemoteClient(path, { ...capabilities, max_data_xfer_size: 256 });
      map(client);
      client.memory.forEach((_, at) => client.memory[at] = at * 31);
      assertEquals(run(client, Do.READ, 0x10_0003, 600), 0);
      assertEquals(run(client, Do.WRITE, 0x10_2001, 600), 0);
      assertEquals(client.memory.slice(0x2001, 0x2001 + 600), client.memory.slice(3, 603));
      assertEquals(client.log, [
        "read 100003 100",
        "read 100103 100",
        "read 100203 58",
        "write 102001 100",
        "write 102101 100",
        "write 102201 58",
      ]);
    });
  });
}

Deno.test("vfio-user rule 21: what a device writes through views is there before its interrupt, and before the reply", async () => {
  for (const [name, capabilities] of SOCKETS) {
    await withRemote((path) => {
      using client = new RemoteClient(path, capabilities);
      using event = EventFd.create();
      map(client);
      client.main.send(
        wire.message(8, wire.setIrqs(TRIGGER | EVENTFD, MSI, 0, 1), { id: 998 }),
        [event.fd],
      );
      assertEquals(client.until(998).errno, 0);
      const raised: number[] = [];
      client.answer = (command, address, count, data) => {
        if (command.command === 12) raised.push(Math.max(0, event.drain()));
        return client.ram(command, address, count, data);
      };
      client.set(Register.ARGUMENT, 0x7e);
      assertEquals(run(client, Do.FILL_VIEWS, 0x10_0100, 0x40), 0);
      assertEquals(client.log, ["read 100100 40", "write 100100 20", "write 100120 20"], name);
      assertEquals(raised, [0, 1], "interrupts before each");
      assertEquals(client.memory.subarray(0x100, 0x140), new Uint8Array(0x40).fill(0x7e));
    });
  }
});

Deno.test("vfio-user rule 21: the IOMMU's permissions hold before any message is sent", async () => {
  await withRemote((path) => {
    using client = new RemoteClient(path);
    map(client, Prot.READ);
    assertEquals(run(client, Do.WRITE, 0x10_0000, 4), Fault.PERMISSION);
    assertEquals(client.log, []);
    assertEquals(run(client, Do.READ, 0x10_0000, 4), 0);
    assertEquals(run(client, Do.READ, 0x10_fffe, 4), Fault.UNMAPPED);
    assertEquals(client.log, ["read 100000 4", "read 10fffe 2"]);
  });
});

const head = (address: number, count: number) => bytes(u64(address), u64(count));
/** Replies that do not fit a read of 4 bytes at 0x10_0000, and the fault of the access. */
const WRONG: readonly [string, { errno?: number; body?: Uint8Array }, number][] = [
  ["ENODEV, as QEMU answers with bus mastering off", { errno: 19 }, Fault.BUS_MASTER_OFF],
  ["EACCES", { errno: 13 }, Fault.PERMISSION],
  ["EPERM", { errno: 1 }, Fault.PERMISSION],
  ["EFAULT", { errno: 14 }, Fault.NO_MEMORY],
  ["errno 4000000000", { errno: 4_000_000_000 }, Fault.NO_MEMORY],
  ["another address", { body: bytes(head(0x10_0004, 4), u32(1)) }, Fault.NO_MEMORY],
  ["another count", { body: bytes(head(0x10_0000, 8), u64(1)) }, Fault.NO_MEMORY],
  ["a count of 0", { body: head(0x10_0000, 0) }, Fault.NO_MEMORY],
  ["less data than count", { body: bytes(head(0x10_0000, 4), new Uint8Array(3)) }, Fault.NO_MEMORY],
  ["no data", { body: head(0x10_0000, 4) }, Fault.NO_MEMORY],
  ["no body", { body: new Uint8Array(0) }, Fault.NO_MEMORY],
];

Deno.test("vfio-user rule 21: a reply that is an error, or does not echo address and count, is a fault", async () => {
  for (const [, capabilities] of SOCKETS) {
    const inspect = await withRemote((path) => {
      using client = new RemoteClient(path, capabilities);
      map(client);
      for (const [name, reply, fault] of WRONG) {
        client.answer = () => reply;
        assertEquals(run(client, Do.READ, 0x10_0000, 4), fault, name);
        client.answer = null;
        assertEquals(run(client, Do.READ, 0x10_0000, 4), 0, `after ${name}`);
      }
      // A reply of 12 bytes to a write, as the specification's table has it.
      client.answer = (_, address, count) => ({ body: bytes(u64(address), u32(count)) });
      assertEquals(run(client, Do.WRITE, 0x10_0000, 4), 0);
    });
    assertEquals((inspect.metrics as { hungUp: number }).hungUp, 0);
  }
});

Deno.test("vfio-user rule 21: commands that arrive while the server waits are executed after, in order", async () => {
  await withRemote((path) => {
    using client = new RemoteClient(path);
    map(client);
    client.set(Register.ADDRESS, 0x10_0000);
    client.set(Register.LENGTH, 16);
    const sent: number[] = [];
    client.answer = (command, address, count, data) => {
      // Before the answer, a hundred commands of all kinds.
      for (let i = 0; i < 100; i++) {
        const id = 1000 + i;
        const body = i % 2 === 0
          ? wire.message(10, wire.regionWrite(0, 0x100, bytes(u32(i))), {
            id,
            flags: i % 4 === 0 ? 0x10 : 0,
          })
          : wire.message(9, wire.regionRead(0, 0x100, 4), { id });
        client.main.send(body);
        if (i % 4 !== 0) sent.push(id);
      }
      return client.ram(command, address, count, data);
    };
    client.main.send(
      wire.message(10, wire.regionWrite(0, Register.COMMAND, bytes(u32(Do.READ))), { id: 999 }),
    );
    const first = client.until(999);
    assertEquals(first.errno, 0);
    for (const id of sent) {
      const reply = client.until(id);
      assertEquals(reply.errno, 0);
      if (reply.command === 9) assertEquals(reply.body.subarray(16), bytes(u32(id - 1001)));
    }
  });
});

Deno.test("vfio-user rule 3: messages with descriptors that come in pieces while the server waits keep order and descriptors", async () => {
  for (const [, capabilities] of SOCKETS) {
    await withRemote((path) => {
      using client = new RemoteClient(path, { max_msg_fds: 8, ...capabilities });
      using memories = new DisposableStack();
      map(client);
      const maps = [0, 1, 2].map((index) => {
        const memory = memories.use(new ClientMemory());
        memory.bytes.fill(5 + index, 0, 4);
        const body = dmaMap(0x20_0000 + 0x1000 * index, 0x1000);
        return { fds: [memory.fd], bytes: wire.message(2, body, { id: 1000 + index }) };
      });
      const [one, two, three] = maps as [typeof maps[0], typeof maps[0], typeof maps[0]];
      client.answer = (command, address, count, data) => {
        client.answer = null;
        client.main.send(one.bytes.subarray(0, 10), one.fds);
        client.main.send(one.bytes.subarray(10));
        client.main.send(wire.message(9, wire.regionRead(0, 0, 4), { id: 1100 }));
        client.main.send(two.bytes.subarray(0, 20));
        client.main.send(two.bytes.subarray(20), two.fds);
        if (client.twin === null) client.main.send(three.bytes, three.fds);
        // The answer comes on the other socket, in the middle of this message.
        else client.main.send(three.bytes.subarray(0, 30), three.fds);
        return client.ram(command, address, count, data);
      };
      client.set(Register.ADDRESS, 0x10_0000);
      client.set(Register.LENGTH, 4);
      client.main.send(
        wire.message(10, wire.regionWrite(0, Register.COMMAND, bytes(u32(Do.READ))), { id: 999 }),
      );
      for (const id of [999, 1000, 1100, 1001]) assertEquals(client.until(id).errno, 0);
      if (client.twin !== null) client.main.send(three.bytes.subarray(30));
      assertEquals(client.until(1002).errno, 0);
      for (const index of [0, 1, 2]) {
        assertEquals(run(client, Do.READ_U32, 0x20_0000 + 0x1000 * index), 0);
        assertEquals(client.get(Register.BUFFER), 0x0101_0101 * (5 + index));
      }
    });
  }
});

Deno.test("vfio-user rule 21: a client that answers late costs one fault, and its late reply is understood", async () => {
  for (const [, capabilities] of SOCKETS) {
    const inspect = await withRemote((path) => {
      using client = new RemoteClient(path, capabilities);
      map(client);
      client.answer = () => null;
      assertEquals(run(client, Do.READ, 0x10_0000, 4), Fault.NO_MEMORY);
      const start = performance.now();
      assertEquals(run(client, Do.READ, 0x10_0000, 4), Fault.NO_MEMORY);
      assert(performance.now() - start < 900, "one that owes a reply is not waited for again");
      assertEquals(client.log.length, 1);
      // The first request had ID 1.
      const on = client.twin ?? client.main;
      on.send(wire.message(11, bytes(head(0x10_0000, 4), u32(7)), { id: 1, flags: 1 }));
      client.answer = null;
      client.memory.set([5, 0, 0, 0]);
      while (run(client, Do.READ, 0x10_0000, 4) !== 0);
      assertEquals(client.get(Register.BUFFER), 5);
    }, { remoteTimeoutMs: 1000 });
    const metrics = inspect.metrics as { remoteTimeouts: number; hungUp: number };
    assertEquals([metrics.remoteTimeouts, metrics.hungUp], [1, 0]);
  }
});

/** Bytes that a socket takes while its peer does not read. */
function socketRoom(): number {
  const [near, far] = UnixStream.pair();
  let sent = 0;
  for (; near.pendingBytes === 0; sent += 0x1_0000) near.send(1, new Uint8Array(0xffff));
  const room = sent - near.pendingBytes;
  near.close();
  far.close();
  return room;
}

/**
 * A device that writes, of its own accord, more than the socket takes while the client does not read.
 * No command of the client's is under way, and none comes.
 */
function withUnsent(
  capabilities: Record<string, unknown>,
  stallTimeoutMs: number,
  body: (host: Host<Probe>, on: RawClient, data: Uint8Array) => void,
): void {
  const length = socketRoom() + 0x10_0000;
  withProbe((host) => {
    const receiveLimit = length + 0x1000;
    const pump = () => host.turn();
    using client = new RawClient(connectUnix(host.path, { receiveLimit }), pump);
    client.negotiate({ ...capabilities, max_data_xfer_size: length });
    client.call(10, wire.regionWrite(7, 4, new Uint8Array([7, 0])));
    const [descriptor] = client.versionDescriptors;
    using on = descriptor === undefined
      ? client
      : new RawClient(new UnixStream(descriptor, { receiveLimit }), pump);
    assertEquals(client.call(2, dmaMap(0x10_0000, length)).errno, 0);
    const data = Uint8Array.from({ length }, (_, at) => at * 7 + (at >>> 9));
    const { memory } = host.device.host;
    assertEquals(memory.write(0x10_0000 as Iova, data), Fault.NO_MEMORY);
    body(host, on, data);
  }, {
    remoteTimeoutMs: 20,
    stallTimeoutMs,
    capabilities: { ...SERVER_CAPABILITIES, max_data_xfer_size: length },
  });
}

for (const [name, capabilities] of SOCKETS) {
  Deno.test(`vfio-user rule 21: what ${name} does not take of a command goes once the client reads, also when the access is over`, () => {
    withUnsent(capabilities, 30_000, (host, on, data) => {
      const request = on.receive();
      assert(request !== "eof");
      assertEquals([request.command, request.body.length], [12, 16 + data.length]);
      assertEquals(request.body.subarray(16), data);
      // Its late reply is understood, and the next access is made.
      const reply = head(0x10_0000, data.length);
      on.send(wire.message(12, reply, { id: request.id, flags: 1 }));
      host.turn(3);
      const { memory } = host.device.host;
      assertEquals(memory.write(0x10_0000 as Iova, data.subarray(0, 4)), Fault.NO_MEMORY);
      const next = on.receive();
      assert(next !== "eof");
      assertEquals([next.command, next.body.length], [12, 20]);
    });
  });

  Deno.test(`vfio-user: a client that never reads our commands on ${name} is hung up on`, () => {
    withUnsent(capabilities, 400, (host) => {
      const end = performance.now() + 10_000;
      while (host.server.connected && performance.now() < end) host.started.reactor.turn(10);
      assertEquals([host.server.connected, host.server.metrics.hungUp], [false, 1]);
      using another = host.client();
      assertEquals(another.call(9, wire.regionRead(0, 0, 4)).errno, 0);
    });
  });
}

Deno.test("vfio-user rule 21: the log shows late replies too, on either socket", () => {
  for (const [name, capabilities] of SOCKETS) {
    const seen: string[] = [];
    withProbe((host) => {
      using client = host.driver(capabilities);
      const [descriptor] = client.versionDescriptors;
      using on = descriptor === undefined
        ? client
        : new RawClient(new UnixStream(descriptor), () => host.turn());
      assertEquals(client.call(2, dmaMap(0x10_0000, 0x1000)).errno, 0);
      seen.length = 0;
      const { memory } = host.device.host;
      assertEquals(memory.readU32(0x10_0000 as Iova), Fault.NO_MEMORY);
      const reply = bytes(head(0x10_0000, 4), u32(7));
      on.send(wire.message(11, reply, { id: 1, flags: 1 }));
      host.turn(3);
    }, {
      remoteTimeoutMs: 5,
      observer: {
        frame: (direction, { length }, descriptors) =>
          seen.push(`${direction} ${length} ${descriptors}`),
      },
    });
    assertEquals(seen, ["< 32 0", "> 36 0"], name);
  }
});

for (const [how, reconnects] of [["late", false], ["never, and comes again", true]] as const) {
  Deno.test(`vfio-user rule 21: a client that answers ${how} does not keep another server's client waiting again and again`, () => {
    const timeoutMs = 150, rounds = 12;
    withProbe((host) => {
      const path = join(dirname(host.path), "other.sock");
      using other = new VfioUserServer(host.machine, { path, device: new Probe() });
      using good = RawClient.connect(other.path, () => host.turn());
      good.negotiate();
      const connect = () => {
        const client = host.driver();
        assertEquals(client.call(2, dmaMap(0x10_0000, 0x1000)).errno, 0);
        client.call(10, wire.regionWrite(0, Register.ADDRESS, bytes(u32(0x10_0000))));
        client.call(10, wire.regionWrite(0, Register.LENGTH, bytes(u32(4))));
        return client;
      };
      let slow = connect();
      const read = wire.regionWrite(0, Register.COMMAND, bytes(u32(Do.READ)));
      const start = performance.now();
      for (let round = 0; round < rounds; round++) {
        slow.send(wire.message(10, read, { flags: 0x10 }));
        assertEquals(good.call(9, wire.regionRead(0, 0, 4)).errno, 0);
        const request = slow.receive();
        assert(request !== "eof");
        assertEquals(request.command, 11);
        if (reconnects) {
          slow.close();
          slow = connect();
        } else {
          const { id } = request;
          slow.send(wire.message(11, bytes(head(0x10_0000, 4), u32(7)), { id, flags: 1 }));
          assertEquals(slow.call(9, wire.regionRead(0, 0, 4)).errno, 0);
        }
      }
      const took = performance.now() - start;
      slow.close();
      assertEquals(host.server.metrics.remoteTimeouts, rounds);
      // The first time takes all of it, and the others a small part.
      assert(took > timeoutMs && took < timeoutMs * rounds / 2, `${took} ms`);
    }, { remoteTimeoutMs: timeoutMs });
  });
}

Deno.test("vfio-user rule 21: a client that goes away in the middle of an access is a fault, and the device lives on", async () => {
  const cases = SOCKETS.flatMap(([, capabilities]) =>
    // With a command of the server's unread, its end of the connection is reset, not closed.
    (["at once", "asked"] as const).map((when) => [capabilities, when] as const)
  );
  for (const [capabilities, when] of cases) {
    await withRemote((path) => {
      {
        using client = new RemoteClient(path, capabilities);
        map(client);
        client.set(0x40, 77);
        client.set(Register.ADDRESS, 0x10_0000);
        client.set(Register.LENGTH, 4);
        client.main.send(
          wire.message(10, wire.regionWrite(0, Register.COMMAND, bytes(u32(Do.READ))), { id: 5 }),
        );
        // Commands behind it are still carried out. A receive ends behind the one with a descriptor,
        // so that the last is not there yet when the access begins.
        using memory = new ClientMemory();
        const flags = 0x10;
        client.main.send(wire.message(2, dmaMap(0x20_0000, 0x1000), { flags }), [memory.fd]);
        client.main.send(
          wire.message(10, wire.regionWrite(0, 0x44, bytes(u32(78))), { id: 6, flags }),
        );
        if (when === "asked") assert((client.twin ?? client.main).stream.wait(POLLIN, 5000) > 0);
      }
      using next = new RemoteClient(path, capabilities);
      assertEquals([next.get(Register.STATUS) | 0, next.get(0x40)], [Fault.NO_MEMORY, 77]);
      assertEquals(next.get(0x44), 78);
      assertEquals(run(next, Do.READ, 0x10_0000, 4), Fault.UNMAPPED);
    });
  }
});

Deno.test("vfio-user rule 21: garbage in place of a reply ends the connection, not the server", async () => {
  const garbage: [string, Uint8Array][] = [
    ["a header that cannot be", new Uint8Array(64).fill(0xff)],
    ["a size of 3", wire.message(11, new Uint8Array(0), { id: 1, flags: 1, size: 3 })],
  ];
  for (const [name, junk] of garbage) {
    for (const [, capabilities] of SOCKETS) {
      await withRemote((path) => {
        {
          using client = new RemoteClient(path, capabilities);
          map(client);
          client.set(Register.ADDRESS, 0x10_0000);
          client.set(Register.LENGTH, 4);
          client.main.send(
            wire.message(10, wire.regionWrite(0, Register.COMMAND, bytes(u32(Do.READ)))),
          );
          (client.twin ?? client.main).send(junk);
          client.main.stream.wait(1, 5000);
        }
        using next = new RemoteClient(path, capabilities);
        assertEquals(next.get(Register.STATUS) | 0, Fault.NO_MEMORY, name);
      });
    }
  }
});

Deno.test("vfio-user rule 21: what is no reply of ours on the twin socket ends the connection", async () => {
  const inspect = await withRemote((path) => {
    const [, capabilities] = SOCKETS[1]!;
    for (
      const junk of [
        wire.message(4, new Uint8Array(16)),
        wire.message(11, new Uint8Array(0), { flags: 1 }),
      ]
    ) {
      using client = new RemoteClient(path, capabilities);
      client.twin!.send(junk);
      assertEquals(client.main.receive(), "eof");
    }
  });
  assertEquals((inspect.metrics as { hungUp: number }).hungUp, 2);
});

Deno.test("vfio-user rule 21: a flood while the server waits ends the connection", async () => {
  const inspect = await withRemote((path) => {
    {
      using client = new RemoteClient(path);
      map(client);
      client.set(Register.ADDRESS, 0x10_0000);
      client.set(Register.LENGTH, 4);
      client.main.send(
        wire.message(10, wire.regionWrite(0, Register.COMMAND, bytes(u32(Do.READ))), {
          flags: 0x10,
        }),
      );
      const flood = wire.message(10, wire.regionWrite(0, 0, new Uint8Array(4)), { flags: 0x10 });
      let result = 0;
      for (let i = 0; i < 100_000 && result === 0; i++) {
        result = client.main.send(flood);
        if (client.main.stream.pendingBytes > 0) {
          client.main.stream.wait(4, 1000);
          result = Math.min(0, client.main.stream.flush());
        }
      }
      assert(result < 0, "the server took all of it");
    }
    using next = new RemoteClient(path);
    assertEquals(next.get(Register.STATUS) | 0, Fault.NO_MEMORY);
  }, { remoteTimeoutMs: 60_000 });
  assertEquals((inspect.metrics as { hungUp: number }).hungUp, 1);
});

Deno.test("vfio-user rule 21: DMA of a device's own accord goes between commands that are on their way", async () => {
  for (const [, capabilities] of SOCKETS) {
    await withRemote((path) => {
      using client = new RemoteClient(path, capabilities);
      map(client);
      client.memory.forEach((_, at) => client.memory[at] = at * 13);
      const wide = (register: number, value: number) =>
        client.call(10, wire.regionWrite(0, register, bytes(u64(value))));
      for (
        const [source, destination, command] of [
          [0x10_0000, 0x4_0000, 1],
          [0x4_0000, 0x10_8000, 3],
        ]
      ) {
        wide(0x80, source!);
        wide(0x88, destination!);
        wide(0x90, 4096);
        wide(0x98, command!);
        // The client never stops asking, and every answer is the one to its question.
        const end = performance.now() + 5000;
        for (let i = 0;; i++) {
          client.set(0x04, i);
          assertEquals(client.get(0x04), ~i >>> 0);
          if ((client.get(0x98) & 1) === 0) break;
          assert(performance.now() < end, "the transfer never ended");
        }
      }
      assertEquals(client.log, ["read 100000 1000", "write 108000 1000"]);
      assertEquals(client.memory.slice(0x8000, 0x9000), client.memory.slice(0, 0x1000));
    }, { device: "edu" });
  }
});

Deno.test("vfio-user rule 21: commands that come together with the reply to a device's own access are carried out", async () => {
  await withRemote((path) => {
    using client = new RemoteClient(path);
    map(client);
    const transfer = [[0x80, 0x10_0000], [0x88, 0x4_0000], [0x90, 4], [0x98, 1]] as const;
    for (const [register, value] of transfer) {
      client.call(10, wire.regionWrite(0, register, bytes(u64(value))));
    }
    const request = client.main.receive();
    assert(request !== "eof");
    assertEquals([request.command, request.body], [11, head(0x10_0000, 4)]);
    const reply = bytes(head(0x10_0000, 4), u32(7));
    client.main.send(bytes(
      wire.message(11, reply, { id: request.id, flags: 1 }),
      wire.message(9, wire.regionRead(0, 0, 4), { id: 7 }),
      wire.message(9, wire.regionRead(0, 0x98, 4), { id: 8 }),
    ));
    // Nothing else comes that would have the server look.
    for (const [id, value] of [[7, 0x0100_00ed], [8, 0]] as const) {
      const { stream } = client.main;
      assert(stream.length > 0 || stream.wait(1, 5000) > 0, `no reply to ${id}`);
      const found = client.main.receive();
      assert(found !== "eof");
      assertEquals(found.id, id);
      assertEquals(found.body.subarray(16), bytes(u32(value)));
    }
  }, { device: "edu" });
});

Deno.test("vfio-user rule 21: a client that goes while the device's own access waits is a fault, and no more", async () => {
  await withRemote((path) => {
    for (const [, capabilities] of SOCKETS) {
      {
        using client = new RemoteClient(path, capabilities);
        map(client);
        const wide = (register: number, value: number) =>
          client.call(10, wire.regionWrite(0, register, bytes(u64(value))));
        wide(0x80, 0x10_0000);
        wide(0x88, 0x4_0000);
        wide(0x90, 16);
        wide(0x98, 1);
        // Leaves when it is asked, without an answer.
        const on = client.twin ?? client.main;
        on.stream.wait(1, 5000);
      }
      using next = new RemoteClient(path, capabilities);
      assertEquals(next.get(0x98) & 1, 0, "the transfer has ended");
      assertEquals(next.get(0), 0x0100_00ed);
    }
  }, { device: "edu" });
});

Deno.test("vfio-user rule 21: a pin on remote memory is a copy, of which what its holder wrote is sent", async () => {
  await withRemote((path) => {
    using client = new RemoteClient(path);
    map(client);
    client.memory.fill(5, 0, 0x100);
    assertEquals(run(client, Do.PIN, 0x10_0000, 0x100), 0);
    assertEquals(client.log, ["read 100000 100"]);
    // What the device writes is what it read, and has changed meanwhile: it counts all the same.
    client.memory.fill(99, 0x40, 0x80);
    client.set(Register.ARGUMENT, 5);
    client.set(Register.COMMAND, Do.FILL);
    assertEquals(client.memory.slice(0, 0x100), new Uint8Array(0x100).fill(5));
    client.memory.fill(77, 0, 0x100);
    client.set(Register.COMMAND, Do.RELEASE);
    assertEquals(client.log.slice(1), ["write 100000 100"], "nothing more when it ends");
    assertEquals(run(client, Do.PIN, 0x10_0000, 0x100), 0);
    client.set(Register.COMMAND, Do.RELEASE);
    assertEquals(client.log.slice(2), ["read 100000 100"], "nothing was written");
  });
});

Deno.test("vfio-user rule 21: a pin for writing alone reads nothing, whether the client may be read or not", async () => {
  for (const prot of [Prot.WRITE, Prot.BOTH]) {
    await withRemote((path) => {
      using client = new RemoteClient(path);
      map(client, prot);
      assertEquals(run(client, Do.PIN_WRITE, 0x10_0000, 0x80), 0);
      client.set(Register.ARGUMENT, 6);
      client.set(Register.COMMAND, Do.FILL);
      client.set(Register.COMMAND, Do.RELEASE);
      assertEquals(client.memory.slice(0, 0x81), new Uint8Array(0x81).fill(6, 0, 0x80));
      assertEquals(client.log, ["write 100000 80"]);
    });
  }
});

Deno.test("vfio-user rule 21: a pin for writing alone that ends early leaves the client's bytes that it has not come to", async () => {
  await withRemote((path) => {
    using client = new RemoteClient(path);
    map(client, Prot.WRITE);
    client.memory.fill(1);
    assertEquals(run(client, Do.PIN_WRITE, 0x10_0000, 0x1000), 0);
    client.set(Register.LENGTH, 0x41);
    // Whatever the bytes are: each of the 256 there can be.
    for (let value = 0; value < 256; value++) {
      client.set(Register.ARGUMENT, value);
      client.set(Register.COMMAND, Do.FILL_FIRST);
      assertEquals(client.memory.slice(0, 0x41), new Uint8Array(0x41).fill(value));
    }
    client.set(Register.COMMAND, Do.RELEASE);
    assertEquals(client.memory.slice(0x41, 0x1100), new Uint8Array(0x10bf).fill(1));
    assertEquals(client.log, new Array(256).fill("write 100000 41"));
  });
});

Deno.test("vfio-user rule 21: what a pin's holder wrote and the client refuses is a fault, told at once", async () => {
  await withRemote((path) => {
    using client = new RemoteClient(path);
    map(client);
    assertEquals(run(client, Do.PIN_WRITE, 0x10_0000, 0x80), 0);
    client.answer = () => ({ errno: 13 });
    client.set(Register.COMMAND, Do.FILL);
    assertEquals(client.get(Register.STATUS) | 0, Fault.PERMISSION);
    client.set(Register.COMMAND, Do.RELEASE);
    assertEquals(client.log, ["write 100000 80"]);
  });
});

Deno.test("vfio-user rule 20: UNMAP of remote memory waits for its pin, whose bytes are sent before the reply", async () => {
  await withRemote((path) => {
    using client = new RemoteClient(path, { max_msg_fds: 8, twin_socket: { supported: true } });
    map(client);
    for (
      const [register, value] of [
        [StreamerRegister.SOURCE, 0x10_0000],
        [StreamerRegister.DESTINATION, 0x10_8000],
        [StreamerRegister.LENGTH, 0x4000],
      ]
    ) {
      client.set(register!, value!);
      client.set(register! + 4, 0);
    }
    client.memory.forEach((_, at) => client.memory[at] = at < 0x4000 ? 1 + at % 255 : 0);
    client.set(StreamerRegister.COMMAND, StreamerCommand.START);
    assertEquals(client.get(StreamerRegister.STATUS), StreamerStatus.RUNNING);
    assertEquals(client.call(3, dmaUnmap(0x10_0000, 0x1_0000)).errno, 0);
    assertEquals(client.get(StreamerRegister.STATUS), StreamerStatus.DONE);
    assertEquals(client.memory.slice(0x8000, 0xc000), client.memory.slice(0, 0x4000));
  }, { device: "streamer" });
});

Deno.test("vfio-user rule 21: remote memory is bounded for each client, and told so", async () => {
  await withRemote((path) => {
    using client = new RemoteClient(path);
    assertEquals(client.call(2, dmaMap(0, 2 ** 47)).errno, 0);
    assertEquals(client.call(2, dmaMap(2 ** 48, 0x1000)).errno, 12);
    assertEquals(client.call(3, dmaUnmap(0, 2 ** 47)).errno, 0);
    assertEquals(client.call(2, dmaMap(2 ** 48, 0x1000)).errno, 0);
    // An address inside a page keeps its alignment.
    assertEquals(client.call(2, dmaMap(0x10_0003, 0x100)).errno, 0);
    assertEquals(run(client, Do.READ, 0x10_0003, 4), 0);
    assertEquals(run(client, Do.READ_U32, 0x10_0005), 0);
    assertEquals(client.log, ["read 100003 4", "read 100005 4"]);
  });
});
