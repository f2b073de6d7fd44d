/**
 * Disconnection, reset and quiescence, and clients that mean harm (spec/08 rules 25 to 27; issue 3),
 * over a real socket.
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { Access, type Iova } from "../../core/address.ts";
import type { Pin } from "../../core/memory/memory.ts";
import { Descriptor } from "../../protocols/linux/descriptor.ts";
import { EventFd } from "../../protocols/linux/eventfd.ts";
import { ftruncate, memfdCreate, MFD_CLOEXEC } from "../../protocols/linux/libc.ts";
import { type Frame, MessageLog } from "../../protocols/vfio_user/message_log.ts";
import { ServerMachine } from "../../protocols/vfio_user/server/server_machine.ts";
import { VfioUserServer } from "../../protocols/vfio_user/server/server.ts";
import { Reactor } from "../../protocols/linux/reactor.ts";
import { ClientMemory, type Host, withProbe } from "./vfio_user/host.ts";
import { Probe, ProbeCommand, ProbeRegister } from "./vfio_user/probe.ts";
import { RawClient } from "./vfio_user/raw_client.ts";
import * as wire from "./vfio_user/wire.ts";

const EINVAL = 22;
const { bytes, u32, dmaMap, dmaUnmap, regionRead, regionWrite } = wire;
const INFO = bytes(u32(16), u32(0), u32(0), u32(0));

/** What the process has open and mapped, as the kernel counts it. */
function counted(): { fds: number; maps: number } {
  const fds = [...Deno.readDirSync("/proc/self/fd")].length;
  const maps = Deno.readTextFileSync("/proc/self/maps").split("\n")
    .filter((line) => line.includes("memfd:") || line.includes("anon_inode")).length;
  return { fds, maps };
}

Deno.test("vfio-user rule 25: a disconnect unmaps, closes, and keeps the device's state", () => {
  withProbe((host) => {
    using memory = new ClientMemory();
    using event = EventFd.create();
    const client = host.driver();
    client.call(10, regionWrite(0, 0x40, bytes(u32(0x1234))));
    client.call(2, dmaMap(0x1000, 0x1000), [memory.fd]);
    client.call(2, dmaMap(0x8000, 0x1000));
    client.call(8, wire.setIrqs(0x24, 1, 0, 1), [event.fd]);
    client.close();
    host.turn(3);
    assertEquals([host.server.connected, host.server.regions], [false, 0]);
    assertEquals([host.machine.files.count, host.machine.memory.windows], [0, 0]);
    host.device.host.interrupts.raise(0);
    assertEquals([event.drain(), host.device.host.interrupts.mode], [0, "intx"]);
    using next = host.client();
    assertEquals(next.call(9, regionRead(0, 0x40, 4)).body.subarray(16), bytes(u32(0x1234)));
    assertEquals(host.device.resets, 0);
  });
});

Deno.test("vfio-user rule 25: the lost-connection hook comes when nothing of the client is left", () => {
  let regions = -1;
  let server: VfioUserServer | null = null;
  withProbe((host) => {
    server = host.server;
    using memory = new ClientMemory();
    const client = host.driver();
    client.call(2, dmaMap(0x1000, 0x1000), [memory.fd]);
    assertEquals(host.device.pin(0x1000, 0x1000, Access.READ), 0);
    client.close();
    host.turn(4);
    assertEquals([regions, host.device.resets], [-1, 0], "DMA is still in flight");
    const next = host.connect();
    next.send(wire.message(1, wire.version()));
    assert(!next.hears(), "the next client waits for it");
    assertEquals(host.machine.files.count, 1);
    host.device.release();
    assertEquals([regions, host.device.resets, host.machine.files.count], [0, 1, 0]);
    assert(next.hears());
    next.close();
  }, {
    onDisconnect: (hosted) => {
      regions = server!.regions;
      hosted.reset();
    },
  });
});

Deno.test("vfio-user rule 25: a second client waits until the first has gone", () => {
  withProbe((host) => {
    const first = host.client();
    using second = host.connect();
    second.send(wire.message(1, wire.version()));
    assert(!second.hears());
    assertEquals(first.call(4, INFO).errno, 0);
    first.close();
    const reply = second.receive();
    assert(reply !== "eof");
    assertEquals(reply.errno, 0);
    assertEquals(second.call(4, INFO).errno, 0);
  });
});

Deno.test("vfio-user: a client that never says its version does not keep others waiting for ever", () => {
  withProbe((host) => {
    using silent = host.connect();
    silent.send(wire.message(1, wire.version()).subarray(0, 18));
    host.turn(3);
    assertEquals(host.server.connected, true);
    const end = performance.now() + 10_000;
    while (host.server.connected && performance.now() < end) host.started.reactor.turn(10);
    assertEquals(silent.receive(), "eof");
    // One that has said it may be silent for as long as it likes.
    using next = host.client();
    for (const start = performance.now(); performance.now() < start + 500;) {
      host.started.reactor.turn(10);
    }
    assertEquals(next.call(4, INFO).errno, 0);
  }, { stallTimeoutMs: 400 });
});

Deno.test("vfio-user: files that stay open are bounded, and what is mapped is not counted with them", () => {
  withProbe((host) => {
    using client = host.driver();
    const files: Descriptor[] = [];
    const errnos = new Map<number, number>();
    for (let i = 0; i < 300; i++) {
      const file = new Descriptor(memfdCreate("open", MFD_CLOEXEC));
      ftruncate(file.fd, 0x1000);
      const { errno } = client.call(2, dmaMap(0x1000 * i, 0x1000), [file.fd]);
      errnos.set(errno, (errnos.get(errno) ?? 0) + 1);
      files.push(file);
    }
    assertEquals([...errnos], [[0, 256], [12, 44]]);
    using memory = new ClientMemory();
    assertEquals(client.call(2, dmaMap(2 ** 40, 0x1000), [memory.fd]).errno, 0);
    for (const file of files) file.close();
  });
});

Deno.test("vfio-user rule 25: commands sent before the end are carried out", () => {
  withProbe((host) => {
    const client = host.driver();
    for (let i = 0; i < 200; i++) {
      client.send(
        wire.message(10, regionWrite(0, 4 * i, bytes(u32(i))), { flags: i % 2 === 0 ? 0x10 : 0 }),
      );
    }
    client.close();
    host.turn(20);
    assertEquals(host.server.connected, false);
    for (let i = 0; i < 200; i++) assertEquals(host.device.memory[4 * i], i % 256);
  });
});

Deno.test("vfio-user rule 25: commands sent before the end are carried out, also when the twin socket ends first", () => {
  for (const [count, turns] of [[3, 0], [3, 1], [300, 0]] as const) {
    withProbe((host) => {
      const client = host.driver({ max_msg_fds: 8, twin_socket: { supported: true } });
      using memory = new ClientMemory();
      assertEquals(client.versionDescriptors.length, 1);
      // A receive ends behind each message with descriptors.
      for (let i = 0; i < count; i++) {
        const body = dmaMap(0x1000 * i, 0x1000);
        client.send(wire.message(2, body, { flags: 0x10 }), [memory.fd]);
        client.send(
          wire.message(10, regionWrite(0, 0x40, bytes(u32(i + 1))), { flags: 0x10 }),
        );
      }
      for (const descriptor of client.versionDescriptors) descriptor.close();
      host.turn(turns);
      client.close();
      for (let i = 0; i < 1000 && host.server.connected; i++) host.turn();
      assertEquals(host.server.connected, false);
      assertEquals(host.device.memory[0x40]! + 256 * host.device.memory[0x41]!, count);
    });
  }
});

Deno.test("vfio-user rule 25: a client that half-closes gets its replies", () => {
  withProbe((host) => {
    using client = host.driver();
    client.send(wire.message(4, INFO, { id: 3 }));
    client.stream.endSending();
    const reply = client.receive();
    assert(reply !== "eof");
    assertEquals([reply.id, reply.errno], [3, 0]);
    assertEquals(client.receive(), "eof");
  });
});

Deno.test("vfio-user rule 26: DEVICE_RESET resets the device; regions and eventfds stay", () => {
  withProbe((host) => {
    using client = host.driver();
    using memory = new ClientMemory();
    using event = EventFd.create();
    client.call(2, dmaMap(0x1000, 0x1000), [memory.fd]);
    client.call(8, wire.setIrqs(0x24, 1, 0, 1), [event.fd]);
    client.call(10, regionWrite(0, 0x40, bytes(u32(1))));
    assertEquals(client.call(13).errno, 0);
    assertEquals([host.device.resets, host.device.memory[0x40], host.server.regions], [1, 0, 1]);
    assertEquals(client.call(9, regionRead(7, 4, 2)).body.subarray(16), new Uint8Array(2));
    client.call(10, regionWrite(7, 4, new Uint8Array([6, 0])));
    host.device.host.interrupts.raise(0);
    assertEquals(event.drain(), 1);
    assertEquals(host.device.host.memory.writeU8(0x1000 as Iova, 1), 0);
  });
});

Deno.test("vfio-user rule 27: a reset is answered when DMA in flight has ended, and what is behind it waits", () => {
  withProbe((host) => {
    using client = host.driver();
    using memory = new ClientMemory();
    client.call(2, dmaMap(0x1000, 0x1000), [memory.fd]);
    assertEquals(host.device.pin(0x1000, 0x1000, Access.READ), 0);
    const kept = host.device.pins;
    host.device.pins = [];
    client.send(wire.message(13, new Uint8Array(0), { id: 1 }));
    client.send(wire.message(4, INFO, { id: 2 }));
    assert(!client.hears());
    kept[0]!.release();
    for (const id of [1, 2]) {
      const reply = client.receive();
      assert(reply !== "eof");
      assertEquals([reply.id, reply.errno], [id, 0]);
    }
  });
});

Deno.test("vfio-user rule 27: a migration state is answered when DMA in flight has ended; every command has one reply", () => {
  withProbe((host) => {
    using client = host.driver();
    using memory = new ClientMemory();
    client.call(2, dmaMap(0x1000, 0x1000), [memory.fd]);
    assertEquals(host.device.pin(0x1000, 0x1000, Access.READ), 0);
    const state = (value: number) => wire.feature(0x2_0002, bytes(u32(value), u32(0)));
    client.send(wire.message(16, state(3), { id: 1 }));
    client.send(wire.message(16, state(2), { id: 2 }));
    client.send(wire.message(3, dmaUnmap(0x1000, 0x1000), { id: 3 }));
    assert(!client.hears());
    assertEquals(host.server.migrationState, 2, "not there yet");
    host.device.release();
    for (const id of [1, 2, 3]) {
      const reply = client.receive();
      assert(reply !== "eof");
      assertEquals([reply.id, reply.errno], [id, 0]);
    }
    assert(!client.hears());
  });
});

/** Sends a command that waits for DMA in flight: of the pins that are returned. A device that knows them lets go of them at a reset. */
function sendWaiting(
  host: Host<Probe>,
  client: RawClient,
  memory: ClientMemory,
  command: number,
  device: "knows" | "forgets",
): readonly Pin[] {
  client.call(2, dmaMap(0x1000, 0x1000), [memory.fd]);
  assertEquals(host.device.pin(0x1000, 0x1000, Access.READ), 0);
  const kept = host.device.pins;
  if (device === "forgets") host.device.pins = [];
  const body = command === 3
    ? dmaUnmap(0x1000, 0x1000)
    : command === 16
    ? wire.feature(0x2_0002, bytes(u32(1), u32(0)))
    : new Uint8Array(0);
  client.send(wire.message(command, body));
  host.turn(2);
  return kept;
}

Deno.test("vfio-user rule 27: a client that goes while its command waits leaves nothing", () => {
  for (const command of [3, 13, 16]) {
    withProbe((host) => {
      using memory = new ClientMemory();
      const client = host.driver();
      const kept = sendWaiting(host, client, memory, command, command === 13 ? "forgets" : "knows");
      client.close();
      host.turn(5);
      for (const pin of kept) pin.release();
      host.turn(5);
      assertEquals([host.server.connected, host.server.regions], [false, 0]);
      using next = host.driver();
      assertEquals(host.server.migrationState, 2);
      assertEquals(next.call(4, INFO).errno, 0);
      assertEquals(host.device.pauses, host.device.resumes);
    });
  }
});

Deno.test("vfio-user rule 27: a client that is hung up on while its device stops leaves it running", () => {
  for (const command of [3, 13, 16]) {
    withProbe((host) => {
      using memory = new ClientMemory();
      using client = host.driver();
      const kept = sendWaiting(host, client, memory, command, "forgets");
      host.server.disconnect("the test says so");
      assertEquals(host.server.connected, false);
      for (const pin of kept) pin.release();
      host.turn(5);
      assertEquals([host.server.migrationState, host.server.regions], [2, 0]);
      assertEquals(host.device.pauses, host.device.resumes);
      using next = host.driver();
      assertEquals(next.call(4, INFO).errno, 0);
      assertEquals(next.call(9, regionRead(0, 0, 4)).errno, 0);
    });
  }
});

Deno.test("vfio-user: several servers share one machine, one IOMMU and one mapping of the same memory", () => {
  const directory = Deno.makeTempDirSync();
  using memory = new ClientMemory();
  const reactor = new Reactor({ spin: "off" });
  const machine = new ServerMachine({ reactor, seed: 1 });
  const probes = [new Probe(), new Probe(), new Probe()];
  const servers = probes.map((device, i) =>
    new VfioUserServer(machine, { path: `${directory}/${i}.sock`, device })
  );
  const clients = servers.map(({ path }) => {
    const client = RawClient.connect(path, () => reactor.turn(0));
    client.negotiate();
    client.call(10, regionWrite(7, 4, new Uint8Array([7, 0])));
    return client;
  });
  try {
    for (const [i, client] of clients.entries()) {
      const body = dmaMap(0x1000 * (i + 1), 0x1000, { offset: 0x1000 * i });
      assertEquals(client.call(2, body, [memory.fd]).errno, 0);
    }
    assertEquals([machine.files.count, machine.memory.windows], [1, 1]);
    assertEquals([...machine.iommu.endpoints].length, 3);
    for (const [i, probe] of probes.entries()) {
      assertEquals(probe.host.memory.writeU8(0x1000 * (i + 1) as Iova, i + 1), 0);
      assert(
        probe.host.memory.writeU8(0x1000 * ((i + 1) % 3 + 1) as Iova, 9) < 0,
        "another's region",
      );
    }
    assertEquals([0, 1, 2].map((i) => memory.bytes[0x1000 * i]), [1, 2, 3]);
    // One client's end is none of the others'.
    clients[0]!.close();
    reactor.turn(0);
    reactor.turn(0);
    assertEquals(machine.files.count, 1);
    assertEquals(probes[1]!.host.memory.writeU8(0x2000 as Iova, 7), 0);
    assertEquals(clients[1]!.call(4, INFO).errno, 0);
  } finally {
    for (const client of clients) client.close();
    for (const server of servers) server[Symbol.dispose]();
    reactor[Symbol.dispose]();
    Deno.removeSync(directory, { recursive: true });
  }
  assertEquals([machine.files.count, machine.memory.windows], [0, 0]);
});

Deno.test("vfio-user: a server that ends takes its socket with it, and leaves nothing in the machine", () => {
  withProbe((host) => {
    using client = host.driver();
    using memory = new ClientMemory();
    client.call(2, dmaMap(0x1000, 0x1000), [memory.fd]);
    host.device.pin(0x1000, 0x1000, Access.WRITE);
    assertEquals(Deno.statSync(host.path).mode! & 0o777, 0o600);
    host.server[Symbol.dispose]();
    assertEquals([...host.machine.iommu.endpoints].length, 0);
    assertEquals([...host.machine.iommu.domains].length, 0);
    assertEquals(client.receive(), "eof");
    let gone = false;
    try {
      Deno.statSync(host.path);
    } catch {
      gone = true;
    }
    assert(gone);
  });
});

Deno.test("vfio-user: counters and the log know every message", () => {
  const frames: Frame[] = [];
  const lines: string[] = [];
  const log = new MessageLog();
  let timeNs = 0;
  withProbe((host) => {
    const client = host.driver();
    client.call(99, INFO);
    client.call(2, dmaMap(0x1000, 0x1000));
    client.close();
    host.turn(3);
    const counts = host.server.metrics.messages();
    const find = (command: string, errno: string) =>
      counts.find((one) => one.command === command && one.errno === errno)?.count;
    assertEquals([find("VERSION", "ok"), find("DMA_MAP", "ok")], [1, 1]);
    assertEquals(counts.find(({ errno }) => errno === "EINVAL")?.count, 1);
    assertEquals(host.server.metrics.latency(2)?.count, 1);
    assertEquals(host.server.metrics.clients, 1);
  }, {
    observer: {
      frame(direction, bytes, descriptors) {
        const frame = { timeNs: timeNs += 1000, direction, bytes: bytes.slice(), descriptors };
        frames.push(frame);
        lines.push(log.format(frame));
      },
    },
    log: (line) => lines.push(line),
  });
  assertEquals(frames.length, 8);
  assert(lines.some((line) => /< .* DMA_MAP ok/.test(line)), lines.join("\n"));
  assert(lines.some((line) => line.includes("EINVAL")), lines.join("\n"));
  assertEquals(lines[0], "A client has connected");
  assertEquals(lines.at(-1), "The client is gone: it has closed the connection");
});

/** One round of something that a client should not do. */
const HARM: readonly [
  string,
  (host: Host<Probe>, memory: ClientMemory, random: () => number) => void,
][] = [
  ["connects and goes", (host) => host.connect().close()],
  ["connects, agrees and goes", (host) => host.client().close()],
  ["sends garbage", (host, _, random) => {
    using client = host.connect();
    client.send(Uint8Array.from({ length: 100 }, () => random() * 256));
    host.turn(2);
  }],
  ["sends half a message with descriptors", (host, memory) => {
    using client = host.client();
    client.send(wire.message(2, dmaMap(0x1000, 0x1000)).subarray(0, 30), [memory.fd, memory.fd]);
    host.turn(2);
  }],
  ["lies about sizes", (host, memory) => {
    using client = host.client();
    client.send(wire.message(2, dmaMap(0x1000, 0x1000), { size: 0x8000 }), [memory.fd]);
    host.turn(2);
  }],
  ["sends too many descriptors", (host, memory) => {
    using client = host.client();
    assertEquals(
      client.call(2, dmaMap(0x1000, 0x1000), new Array<number>(100).fill(memory.fd)).errno,
      EINVAL,
    );
  }],
  ["maps, and goes without a word", (host, memory) => {
    using client = host.client();
    client.call(2, dmaMap(0x1000, 0x1000), [memory.fd]);
    client.call(2, dmaMap(0x4000, 0x1000));
    client.send(wire.message(2, dmaMap(0x8000, 0x1000)), [memory.fd]);
  }],
  ["sets interrupts, and goes", (host) => {
    using client = host.client();
    using event = EventFd.create();
    client.call(8, wire.setIrqs(0x24, 2, 0, 8), new Array<number>(8).fill(event.fd));
    client.call(8, wire.setIrqs(0x14, 0, 0, 1), [event.fd]);
  }],
  ["takes a twin socket and doorbells, and goes", (host) => {
    using client = host.client({ max_msg_fds: 8, twin_socket: { supported: true } });
    for (const descriptor of client.call(6, bytes(u32(4096), u32(0), u32(2), u32(0))).descriptors) {
      descriptor.close();
    }
  }],
  ["goes in the middle of DMA", (host, memory) => {
    using client = host.driver();
    host.device.onRevoke = "release";
    client.call(2, dmaMap(0x1000, 0x1000), [memory.fd]);
    host.device.pin(0x1000, 0x800, Access.WRITE);
  }],
  ["makes the device ask it for memory, and goes", (host) => {
    using client = host.driver();
    client.call(2, dmaMap(0x1000, 0x1000));
    client.call(10, regionWrite(0, ProbeRegister.ADDRESS, bytes(u32(0x1000), u32(0), u32(4))));
    client.send(
      wire.message(10, regionWrite(0, ProbeRegister.COMMAND, bytes(u32(ProbeCommand.READ)))),
    );
    client.send(wire.message(4, INFO).subarray(0, 7));
  }],
];

for (const [name, harm] of HARM) {
  Deno.test(`vfio-user: a client that ${name}, 500 times, leaves no descriptor and no mapping`, () => {
    withProbe((host) => {
      using memory = new ClientMemory();
      let seed = 1;
      const random = () => (seed = seed * 48271 % 0x7fff_ffff) / 0x7fff_ffff;
      const settle = () => {
        for (let i = 0; i < 50 && (i < 4 || host.server.connected); i++) host.turn();
      };
      harm(host, memory, random);
      settle();
      const before = counted();
      for (let round = 0; round < 500; round++) {
        harm(host, memory, random);
        settle();
      }
      assertEquals(counted(), before);
      using after = host.driver();
      assertEquals(after.call(4, INFO).errno, 0);
    }, { remoteTimeoutMs: 20 });
  });
}
