/**
 * Headers and the stream (spec/08 rules 1 to 6), over a real socket.
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { Access, type Iova } from "../../core/address.ts";
import { EventFd } from "../../protocols/linux/eventfd.ts";
import { POLLOUT } from "../../protocols/linux/libc.ts";
import { ClientMemory, withProbe } from "./vfio_user/host.ts";
import * as wire from "./vfio_user/wire.ts";

const EINVAL = 22;
const INFO = wire.bytes(wire.u32(16), wire.u32(0), wire.u32(0), wire.u32(0));

/** A header that is refused, and whether the connection lives on. */
const HEADERS: readonly [string, Uint8Array, "goes on" | "closes"][] = [
  ["rule 1: size 0", wire.message(4, INFO, { size: 0 }), "closes"],
  ["rule 1: size 15", wire.message(4, INFO, { size: 15 }), "closes"],
  ["rule 1: size above the limit", wire.message(4, INFO, { size: 0x10_0000 + 57 }), "closes"],
  ["rule 1: size 2^32 - 1", wire.message(4, INFO, { size: 0xffff_ffff }), "closes"],
  ["rule 1: a reply where a command is due", wire.message(4, INFO, { flags: 1 }), "goes on"],
  ["rule 1: type 2", wire.message(4, INFO, { flags: 2 }), "goes on"],
  ["rule 1: type 15", wire.message(4, INFO, { flags: 15 }), "goes on"],
  ["rule 1: command 0", wire.message(0), "goes on"],
  ["rule 1: command 14, which was never given", wire.message(14), "goes on"],
  ["rule 1: command 65535", wire.message(0xffff, INFO), "goes on"],
  ["rule 1: a server's command", wire.message(11, wire.bytes(wire.u64(0), wire.u64(4))), "goes on"],
  ["rule 1: a second VERSION", wire.message(1, wire.version()), "goes on"],
  ["rule 28: a command of an extension that is not in force", wire.message(19, INFO), "goes on"],
  ["rule 28: a page request that is not in force", wire.message(100, INFO), "goes on"],
  ["rule 4: GET_INFO without its body", wire.message(4), "goes on"],
  ["rule 4: REGION_READ without its body", wire.message(9), "goes on"],
];

for (const [name, bytes, then] of HEADERS) {
  Deno.test(`vfio-user ${name}: EINVAL, and the connection ${then}`, () => {
    withProbe((host) => {
      using client = host.client();
      client.send(bytes);
      const reply = client.receive();
      assert(reply !== "eof");
      assertEquals([reply.errno, reply.size, reply.id], [EINVAL, 16, 1]);
      assertEquals(reply.flags, wire.Flag.REPLY | wire.Flag.ERROR);
      if (then === "goes on") {
        // Rule 2: what is in step stays in step.
        assertEquals(client.call(4, INFO).errno, 0);
        return;
      }
      assertEquals(client.receive(), "eof");
      using another = host.client();
      assertEquals(another.call(4, INFO).errno, 0);
    });
  });
}

Deno.test("vfio-user rule 2: after a header error the body is drained, also one that looks like messages", () => {
  withProbe((host) => {
    using client = host.client();
    const inside = wire.message(13, new Uint8Array(0), { id: 55 });
    const bodies = [
      new Uint8Array(0),
      new Uint8Array(1),
      wire.bytes(inside, inside, inside),
      new Uint8Array(0x10_0000).fill(4),
    ];
    for (const body of bodies) {
      for (const [command, flags] of [[4, 1], [4, 9], [0x7777, 0], [1, 0], [11, 0]] as const) {
        client.send(wire.message(command, body, { id: 8, flags }));
        const reply = client.receive();
        assert(reply !== "eof");
        assertEquals([reply.id, reply.errno], [8, EINVAL]);
        assertEquals(client.call(4, INFO).errno, 0);
      }
    }
    assertEquals(host.device.resets, 0);
  });
});

Deno.test("vfio-user rule 2: a size that cannot be ends the connection, without a reply when none is wanted", () => {
  for (const [flags, replies] of [[0, 1], [wire.Flag.NO_REPLY, 0]] as const) {
    withProbe((host) => {
      using client = host.client();
      // What came before is answered, what comes behind is not.
      client.send(wire.message(4, INFO, { id: 1 }));
      client.send(wire.message(4, INFO, { id: 2, size: 5, flags }));
      client.send(wire.message(13, new Uint8Array(0), { id: 3 }));
      const seen: (number | "eof")[] = [];
      for (;;) {
        const reply = client.receive();
        seen.push(reply === "eof" ? "eof" : reply.errno);
        if (reply === "eof") break;
      }
      assertEquals(seen, [0, ...(replies === 1 ? [EINVAL] : []), "eof"]);
      assertEquals(host.device.resets, 0);
    });
  }
});

Deno.test("vfio-user rule 1: the largest message there can be is taken", () => {
  withProbe((host) => {
    using client = host.client();
    const size = 0x10_0000;
    // A register write of 1 MiB that leaves the region is EINVAL, and the next message is understood.
    client.send(wire.message(10, wire.regionWrite(0, 0, new Uint8Array(size)), { id: 9 }));
    const reply = client.receive();
    assert(reply !== "eof");
    assertEquals([reply.id, reply.errno], [9, EINVAL]);
    assertEquals(client.call(4, INFO).errno, 0);
  });
});

Deno.test("vfio-user rule 3: a message in pieces, down to single bytes, is one message", () => {
  withProbe((host) => {
    using client = host.client();
    const bytes = wire.message(4, INFO, { id: 77 });
    for (const pieces of [[16, 16], [1, 31], [31, 1], new Array<number>(32).fill(1)]) {
      let at = 0;
      for (const length of pieces) {
        client.send(bytes.subarray(at, at + length));
        host.turn(2);
        at += length;
      }
      const reply = client.receive();
      assert(reply !== "eof");
      assertEquals([reply.id, reply.errno, reply.body.length], [77, 0, 16]);
    }
  });
});

Deno.test("vfio-user rule 3: descriptors that come with a piece belong to the message", () => {
  withProbe((host) => {
    using client = host.client();
    using memory = new ClientMemory();
    const bytes = wire.message(2, wire.dmaMap(0x1000, 0x1000), { id: 5 });
    client.send(bytes.subarray(0, 20), [memory.fd]);
    host.turn(2);
    client.send(bytes.subarray(20));
    const reply = client.receive();
    assert(reply !== "eof");
    assertEquals([reply.id, reply.errno], [5, 0]);
    assertEquals(host.machine.files.count, 1);
  });
});

/** Ways to send a message of 48 bytes with one descriptor: how long each piece is, and which brings it. */
const PIECES: readonly (readonly [lengths: readonly number[], withDescriptor: number])[] = [
  [[48], 0],
  [[10, 38], 0],
  [[10, 38], 1],
  [[16, 32], 0],
  [[16, 16, 16], 1],
  [[47, 1], 1],
  [new Array<number>(48).fill(1), 0],
  [new Array<number>(48).fill(1), 31],
];

for (const turns of ["between pieces", "not at all", "between messages"] as const) {
  Deno.test(`vfio-user rule 3: messages with descriptors, in pieces, keep order and descriptors while another waits; the server runs ${turns}`, () => {
    withProbe((host) => {
      using client = host.driver();
      using held = new ClientMemory();
      client.call(2, wire.dmaMap(0x10_0000, 0x1000), [held.fd]);
      assertEquals(host.device.pin(0x10_0000, 0x1000, Access.READ_WRITE), 0);
      // Waits for the pin.
      client.send(wire.message(3, wire.dmaUnmap(0x10_0000, 0x1000), { id: 500 }));
      using memories = new DisposableStack();
      PIECES.forEach(([lengths, withDescriptor], index) => {
        const memory = memories.use(new ClientMemory());
        memory.bytes[0] = 1 + index;
        const bytes = wire.message(2, wire.dmaMap(0x1000 * index, 0x1000), { id: 1000 + index });
        let at = 0;
        lengths.forEach((length, piece) => {
          const fds = piece === withDescriptor ? [memory.fd] : [];
          assertEquals(client.send(bytes.subarray(at, at += length), fds), 0);
          if (turns === "between pieces") host.turn();
        });
        client.send(wire.message(4, INFO, { id: 2000 + index }));
        if (turns !== "not at all") host.turn();
      });
      assert(!client.hears(), "nothing is answered before what came first");
      host.device.release();
      const ids = [500, ...PIECES.flatMap((_, index) => [1000 + index, 2000 + index])];
      for (const id of ids) {
        const reply = client.receive();
        assert(reply !== "eof");
        assertEquals([reply.id, reply.errno], [id, 0]);
      }
      const { memory } = host.device.host;
      PIECES.forEach((_, index) => assertEquals(memory.readU8(0x1000 * index as Iova), 1 + index));
    });
  });
}

Deno.test("vfio-user rule 3: header, body and descriptors leave together", () => {
  withProbe((host) => {
    using client = host.client({ max_msg_fds: 8 });
    client.send(
      wire.message(
        5,
        wire.bytes(wire.u32(64), wire.u32(0), wire.u32(2), wire.u32(0), wire.u64(0), wire.u64(0)),
      ),
    );
    host.turn(2);
    assertEquals(client.stream.receive(), 16 + 64);
    const [descriptor] = client.stream.takeDescriptors(80) ?? [];
    assert(descriptor !== undefined);
    descriptor.close();
    client.stream.consume(80);
  });
});

Deno.test("vfio-user rule 4: no_reply suppresses replies, and error replies too", () => {
  withProbe((host) => {
    using client = host.driver();
    const flags = wire.Flag.NO_REPLY;
    client.send(
      wire.message(10, wire.regionWrite(0, 0x20, wire.bytes(wire.u32(0x1234))), { flags }),
    );
    client.send(wire.message(10, wire.regionWrite(0, 0x9999, new Uint8Array(4)), { flags }));
    client.send(wire.message(99, INFO, { flags }));
    client.send(wire.message(4, INFO, { id: 3 }));
    const reply = client.receive();
    assert(reply !== "eof");
    assertEquals([reply.id, reply.errno], [3, 0]);
    assertEquals(
      client.call(9, wire.regionRead(0, 0x20, 4)).body.subarray(16),
      wire.bytes(wire.u32(0x1234)),
    );
    assert(!client.hears());
  });
});

Deno.test("vfio-user rule 4: DEVICE_RESET takes a body that it has no use for", () => {
  withProbe((host) => {
    using client = host.client();
    assertEquals(client.call(13, new Uint8Array(8)).errno, 0);
    assertEquals(client.call(13).errno, 0);
    assertEquals(host.device.resets, 2);
  });
});

Deno.test("vfio-user rule 5: descriptors that a command does not use are closed, and are no error", () => {
  withProbe((host) => {
    using client = host.driver();
    using memory = new ClientMemory();
    const unused = [memory.fd, memory.fd];
    const commands: [number, Uint8Array][] = [
      [4, INFO],
      [9, wire.regionRead(0, 0, 4)],
      [10, wire.regionWrite(0, 0, new Uint8Array(4))],
      [13, new Uint8Array(0)],
      [99, INFO],
      [3, wire.dmaUnmap(0x1000, 0x1000)],
    ];
    for (const [command, body] of commands) {
      assertEquals(client.call(command, body, unused).errno, command === 99 ? EINVAL : 0);
    }
    // DMA_MAP uses the first, and closes the second.
    assertEquals(client.call(2, wire.dmaMap(0x1000, 0x1000), unused).errno, 0);
  });
});

Deno.test("vfio-user rule 5: more descriptors than max_msg_fds: EINVAL, and all are closed", () => {
  withProbe((host) => {
    using client = host.client();
    using memory = new ClientMemory();
    const many = (count: number) => new Array<number>(count).fill(memory.fd);
    assertEquals(client.call(2, wire.dmaMap(0x1000, 0x1000), many(8)).errno, 0);
    assertEquals(client.call(2, wire.dmaMap(0x2000, 0x1000), many(9)).errno, EINVAL);
    assertEquals(client.call(2, wire.dmaMap(0x2000, 0x1000), many(253)).errno, EINVAL);
    assertEquals(host.server.regions, 1);
    assertEquals(client.call(4, INFO).errno, 0);
  });
});

Deno.test("vfio-user rule 5: descriptors of a message that never ends are closed with the connection", () => {
  withProbe((host) => {
    using memory = new ClientMemory();
    for (let round = 0; round < 100; round++) {
      using client = host.connect();
      client.send(wire.message(1, wire.version()).subarray(0, 9), [memory.fd, memory.fd]);
      host.turn(2);
    }
    host.turn(4);
  });
});

Deno.test("vfio-user rule 6: pipelined commands are executed and answered in order", () => {
  withProbe((host) => {
    using client = host.driver();
    const count = 1000;
    for (let i = 0; i < count; i++) {
      client.send(wire.message(10, wire.regionWrite(0, 0x40, wire.bytes(wire.u32(i))), {
        id: i,
        flags: i % 3 === 0 ? wire.Flag.NO_REPLY : 0,
      }));
      client.send(wire.message(9, wire.regionRead(0, 0x40, 4), { id: 0x8000 + i }));
      if (i % 64 === 63) host.turn(4);
    }
    for (let i = 0; i < count; i++) {
      if (i % 3 !== 0) {
        const written = client.receive();
        assert(written !== "eof");
        assertEquals([written.id, written.command, written.errno], [i, 10, 0]);
      }
      const read = client.receive();
      assert(read !== "eof");
      assertEquals([read.id, read.command], [0x8000 + i, 9]);
      assertEquals(read.body.subarray(16), wire.bytes(wire.u32(i)));
    }
  });
});

Deno.test("vfio-user rule 6: one client's flood does not keep another server's client waiting", () => {
  withProbe((host) => {
    using flood = host.driver();
    for (let i = 0; i < 2000; i++) {
      flood.send(wire.message(10, wire.regionWrite(0, 0, new Uint8Array(4)), { flags: 0x10 }));
    }
    const before = host.server.metrics.messages().find(({ command }) => command === "REGION_WRITE");
    host.turn();
    const after = host.server.metrics.messages().find(({ command }) => command === "REGION_WRITE");
    const done = (after?.count ?? 0) - (before?.count ?? 0);
    assert(done > 0 && done <= 128, `${done} commands in one turn`);
  });
});

Deno.test("vfio-user: a client that never reads is hung up on, and holds bounded memory until then", () => {
  withProbe((host) => {
    using client = host.driver();
    // Replies of 64 KiB, until the socket takes no more of our requests.
    const request = wire.message(9, wire.regionRead(0, 0, 0x3000));
    let most = 0;
    for (let i = 0; i < 100_000 && client.stream.pendingBytes === 0 && host.server.connected; i++) {
      client.send(request);
      host.turn();
      const session = host.server.inspect().session as { pendingBytes: number } | null;
      most = Math.max(most, session?.pendingBytes ?? 0);
    }
    assert(most > 0 && most <= 0x4000, `${most} bytes waited`);
    // Time passes: the server's clock is real, so its limit is short here.
    const end = performance.now() + 10_000;
    while (host.server.connected && performance.now() < end) host.started.reactor.turn(10);
    assertEquals(host.server.connected, false);
    assertEquals(host.server.metrics.hungUp, 1);
    using another = host.client();
    assertEquals(another.call(4, INFO).errno, 0);
  }, { stallTimeoutMs: 300 });
});

Deno.test("vfio-user: the buffer of a long message is given back once the connection is calm", () => {
  withProbe((host) => {
    using client = host.driver();
    const capacity = () =>
      (host.server.inspect().session as { receiveBufferBytes: number }).receiveBufferBytes;
    const first = capacity();
    assertEquals(client.call(13, new Uint8Array(0xf_0000)).errno, 0);
    assert(capacity() > 0xf_0000, "a long message takes a long buffer");
    const end = performance.now() + 10_000;
    while (capacity() > first && performance.now() < end) host.started.reactor.turn(100);
    assertEquals([capacity(), first], [0x1_0000, 0x1_0000]);
    assertEquals(client.call(13, new Uint8Array(0xf_0000)).errno, 0);
  });
});

Deno.test("vfio-user: a client that reads late gets every reply, in order", () => {
  withProbe((host) => {
    using client = host.driver();
    const count = 300;
    for (let i = 0; i < count; i++) {
      client.send(wire.message(9, wire.regionRead(0, 0, 0x3000), { id: i }));
      host.turn();
    }
    for (let i = 0; i < count; i++) {
      if (client.stream.pendingBytes > 0) {
        client.stream.wait(POLLOUT, 0);
        client.stream.flush();
      }
      const reply = client.receive();
      assert(reply !== "eof");
      assertEquals([reply.id, reply.errno, reply.body.length], [i, 0, 0x3010]);
    }
  });
});

Deno.test("vfio-user: an eventfd that is no memory, sent thousands of times, leaves nothing behind", () => {
  withProbe((host) => {
    using client = host.client();
    using event = EventFd.create();
    for (let i = 0; i < 2000; i++) {
      assertEquals(client.call(2, wire.dmaMap(0x1000, 0x1000), [event.fd]).errno, 13);
    }
  });
});
