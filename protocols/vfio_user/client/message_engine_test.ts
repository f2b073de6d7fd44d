import { assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { liveDescriptors } from "../../linux/descriptor.ts";
import { Errno } from "../../linux/errno.ts";
import { createSharedMemory } from "../../linux/mapping.ts";
import { UnixStream } from "../../linux/unix_stream.ts";
import { MessageLog } from "../message_log.ts";
import { DEVICE_RESET } from "../messages/device.ts";
import { VfioUserCommand as C } from "../spec.ts";
import { bytesOf, failure, plain, type Received, TestServer, withServer } from "./_test_server.ts";
import { VfioUserClient } from "./client.ts";
import { VfioUserError, type VfioUserErrorCode } from "./client_error.ts";
import { MessageEngine } from "./message_engine.ts";
import { PollGroup } from "./poll_group.ts";

Deno.test("replies are matched by ID: one that is held back blocks no other", async () => {
  await withServer(plain, (client, server) => {
    server.answer = (message) =>
      message.header.command === C.VFIO_USER_DMA_UNMAP ? null : plain(message);
    const unmap = client.dma.unmap(0x1000, 4096);
    let told = 0;
    unmap.whenDone(() => told++);
    const into = new Uint8Array(1);
    for (let at = 0; at < 10; at++) client.wait(client.regions.read(0, at, into));
    assertEquals([into[0], unmap.done, told, client.outstanding], [9, false, 0, 1]);
    server.reply(server.received[0]!, server.received[0]!.body);
    client.poll();
    assertEquals([unmap.done, told, client.outstanding], [true, 1, 0]);
  });
});

Deno.test("more commands than IDs can be sent: IDs in use are passed over", async () => {
  await withServer(plain, (client, server) => {
    server.answer = (message) =>
      message.header.command === C.VFIO_USER_DMA_UNMAP ? null : plain(message);
    const held = client.dma.unmap(0x1000, 4096);
    const into = new Uint8Array(1);
    const tickets = [];
    for (let at = 0; at < 70_000; at++) tickets.push(client.regions.read(0, at & 0xff, into));
    for (const ticket of tickets) client.wait(ticket);
    assertEquals(client.outstanding, 1);
    const [first] = server.received;
    const ids = server.received.filter(({ header }) => header.id === first!.header.id);
    assertEquals(ids.length, 1);
    server.reply(first!, first!.body);
    client.wait(held);
  });
});

Deno.test("a server that does not answer is a timeout, and its late answer is dropped", async () => {
  using file = createSharedMemory("test", 4096);
  await withServer(() => null, (client, server) => {
    const into = new Uint8Array(4);
    const error = failure(
      "timeout",
      /Cannot finish REGION_READ: the server has not answered for 1 ms/,
      () => client.wait(client.regions.read(0, 0, into), 1),
    );
    assertEquals(error.command, C.VFIO_USER_REGION_READ);
    const before = liveDescriptors();
    server.answer = plain;
    server.reply(server.received[0]!, bytesOf(20, () => 1), [file.fd]);
    // The late reply comes first, and with it a descriptor.
    client.wait(client.regions.write(0, 0, into));
    assertEquals([into[0], client.outstanding, liveDescriptors()], [0, 0, before]);
    server.answer = () => null;
    failure(
      "timeout",
      /Cannot finish DEVICE_GET_REGION_INFO/,
      () => client.wait(client.regions.info(0), 1),
    );
    server.reply(server.received.at(-1)!, bytesOf(32, (at) => at === 0 ? 32 : 0), [file.fd]);
    server.answer = plain;
    client.wait(client.regions.write(0, 0, into));
    assertEquals(liveDescriptors(), before);
  });
});

Deno.test("a server that reads nothing is a timeout of who sends, and never a hang", async () => {
  const [near, far] = UnixStream.pair();
  const server = new TestServer(far, () => null);
  const group = new PollGroup();
  group.add(server);
  const client = VfioUserClient.over(near, { timeoutMs: 100, group });
  group.remove(server);
  try {
    const data = new Uint8Array(0x10_0000);
    const error = failure("timeout", /Cannot send REGION_WRITE: the server has not taken/, () => {
      for (let at = 0; at < 100; at++) client.regions.post(0, 0, data);
    });
    assertEquals(error.command, C.VFIO_USER_REGION_WRITE);
  } finally {
    client.close();
    server.close();
    group.close();
    await Promise.resolve();
  }
});

/** What a server sends, and what the error says. The connection is over. */
const BREAKS:
  readonly (readonly [string, (server: TestServer) => void, VfioUserErrorCode, RegExp])[] = [
    [
      "ends the connection",
      (server) => server.stream.close(),
      "closed",
      /over with 2 commands unanswered: the server ended it/,
    ],
    [
      "claims a size below a header",
      (server) => server.raw(new Uint8Array([1, 0, 9, 0, 15, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])),
      "protocol",
      /size 15 and flags 0x1/,
    ],
    [
      "claims a size of 4 GiB",
      (server) =>
        server.raw(
          new Uint8Array([1, 0, 9, 0, 255, 255, 255, 255, 1, 0, 0, 0, 0, 0, 0, 0]),
        ),
      "protocol",
      /size 4294967295/,
    ],
    [
      "sends a message that is neither command nor reply",
      (server) => server.raw(new Uint8Array([1, 0, 9, 0, 16, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0])),
      "protocol",
      /flags 0x7/,
    ],
    [
      "replies to an ID of nobody",
      (server) => server.raw(new Uint8Array([77, 3, 9, 0, 16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])),
      "protocol",
      /a reply to REGION_READ came with ID 845, which no command of ours has/,
    ],
    [
      "replies to another command",
      (server) => {
        const { id } = server.received[0]!.header;
        server.raw(
          new Uint8Array([id, id >> 8, 13, 0, 16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]),
        );
      },
      "protocol",
      /is to DEVICE_RESET, and we sent REGION_READ/,
    ],
  ];

for (const [name, breaks, code, what] of BREAKS) {
  Deno.test(`when the server ${name}, all that is out fails, and so does what comes`, async () => {
    const before = liveDescriptors();
    await withServer(() => null, (client, server) => {
      const first = client.regions.read(0, 0, new Uint8Array(4));
      const second = client.regions.read(0, 4, new Uint8Array(4));
      while (server.received.length < 2) client.group.turn(1000);
      breaks(server);
      failure(code, what, () => client.wait(first));
      failure(code, what, () => second.value);
      assertEquals(client.failure?.code, code);
      const later = failure(code, /^Cannot send DEVICE_RESET: /, () => client.reset());
      assertEquals(later.cause, client.failure);
      assertEquals([...client.readyFds()], []);
      assertEquals(client.poll(), false);
    });
    assertEquals(liveDescriptors(), before);
  });
}

Deno.test("messages that arrive a byte at a time are messages", async () => {
  await withServer(() => null, (client, server) => {
    const into = new Uint8Array(4);
    const ticket = client.regions.read(0, 8, into);
    while (server.received.length < 1) client.group.turn(1000);
    const { id } = server.received[0]!.header;
    const frame = [id, id >> 8, 9, 0, 36, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
      .concat([8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1, 2, 3, 4]);
    for (const byte of frame) {
      assertEquals(ticket.done, false);
      server.raw(new Uint8Array([byte]));
      client.poll();
    }
    client.wait(ticket);
    assertEquals([...into], [1, 2, 3, 4]);
  });
});

Deno.test("descriptors that nobody asked for are closed; more than we take fail the command", async () => {
  using file = createSharedMemory("test", 4096);
  await withServer(() => null, (client, server) => {
    const before = liveDescriptors();
    let count = 2;
    server.answer = (message) => {
      const fds = Array.from({ length: count }, () => file.fd);
      server.reply(message, plain(message) as Uint8Array, fds);
      return null;
    };
    client.wait(client.regions.write(0, 0, new Uint8Array(1)));
    assertEquals(liveDescriptors(), before);
    count = 9;
    failure(
      "protocol",
      /it has 9, and we take 8 descriptors/,
      () => client.wait(client.regions.write(0, 0, new Uint8Array(1))),
    );
    assertEquals(liveDescriptors(), before);
    count = 0;
    client.wait(client.regions.write(0, 0, new Uint8Array(1)));
  });
});

Deno.test("a handler may send, but not wait; what it throws leaves poll() after an EIO", async () => {
  let client: VfioUserClient | null = null;
  let problem: unknown = null;
  const handlers = new Map([
    [100, () => {
      client?.dma.map({ address: 0, size: 4096, access: 3 });
      try {
        client?.wait(client.reset());
      } catch (error) {
        problem = error;
      }
      return 0;
    }],
    [101, () => {
      throw new Error("our own mistake");
    }],
  ]);
  await withServer(plain, (it, server) => {
    client = it;
    server.command(100, 1, new Uint8Array(0));
    while (server.replies.length < 1) client.group.turn(1000);
    assertMatch(String(problem), /Cannot wait for an answer within a handler/);
    assertEquals(server.received[0]!.header.command, C.VFIO_USER_DMA_MAP);
    server.command(101, 2, new Uint8Array(0));
    assertThrows(
      () => {
        for (;;) client?.group.turn(1000);
      },
      Error,
      "our own mistake",
    );
    while (server.replies.length < 2) client.group.turn(1000);
    assertEquals(server.replies[1]!.header.error, Errno.EIO);
    client.wait(client.regions.read(0, 0, new Uint8Array(1)));
  }, { handlers });
});

Deno.test("a handler that sends when all IDs are out is told so", async () => {
  let client: VfioUserClient | null = null;
  let problem: unknown = null;
  const handlers = new Map([[100, () => {
    try {
      for (let times = 0; times < 2; times++) client?.reset();
    } catch (error) {
      problem = error;
    }
    return 0;
  }]]);
  await withServer(plain, (it, server) => {
    client = it;
    server.answer = () => null;
    const into = new Uint8Array(1);
    while (it.outstanding < 0xffff) it.regions.read(0, 0, into);
    server.command(100, 1, new Uint8Array(0));
    while (server.replies.length < 1) it.group.turn(1000);
    assertMatch(String(problem), /Cannot send DEVICE_RESET: 65535 commands have no reply/);
  }, { handlers });
});

Deno.test("a reply that was sent before a command on the twin socket is taken before it", () => {
  const [near, far] = UnixStream.pair();
  const [nearTwin, farTwin] = UnixStream.pair();
  const server = new TestServer(far, () => null);
  const order: string[] = [];
  using engine = new MessageEngine(near, {
    messageLimit: 4096,
    maxReceiveFds: 0,
    handlers: new Map([[C.VFIO_USER_DMA_READ, () => {
      order.push("command");
      return -Errno.EFAULT;
    }]]),
  });
  engine.useTwin(nearTwin);
  const first = engine.send(DEVICE_RESET, {}, () => {});
  const second = engine.send(DEVICE_RESET, {}, () => {});
  server.poll();
  const [one, two] = server.received as [Received, Received];
  // The server goes on while its first reply is taken in.
  first.whenDone(() => {
    server.reply(two, new Uint8Array(0));
    server.command(C.VFIO_USER_DMA_READ, 1, new Uint8Array(16), farTwin);
  });
  second.whenDone(() => order.push("reply"));
  server.reply(one, new Uint8Array(0));
  engine.poll();
  assertEquals(order, ["reply", "command"]);
  server.close();
  farTwin.close();
});

Deno.test("settled() is served in the background", async () => {
  await withServer(() => null, async (client, server) => {
    const held = client.regions.write(0, 0, new Uint8Array(1));
    const first = client.settled(held);
    while (server.received.length < 1) client.group.turn(1000);
    server.answer = plain;
    await client.settled(client.regions.write(0, 4, new Uint8Array(1)));
    assertEquals(held.done, false);
    server.reply(server.received[0]!, server.received[0]!.body.slice(0, 16));
    await first;
    assertEquals(client.outstanding, 0);
    server.answer = () => -Errno.EPERM;
    const error = await assertRejects(() => client.settled(client.reset()), VfioUserError);
    assertEquals([error.code, error.errno], ["refused", Errno.EPERM]);
    server.answer = () => null;
    const last = client.settled(client.reset());
    client.close();
    const closed = await assertRejects(() => last, VfioUserError);
    assertEquals(closed.code, "closed");
  });
});

Deno.test("the tap sees every frame, and the message log makes lines of them", async () => {
  const log = new MessageLog();
  const lines: string[] = [];
  await withServer(plain, (client) => {
    client.wait(client.regions.write(0, 0x10, new Uint8Array([1, 2, 3, 4])));
    lines.splice(0, 2);
    assertEquals(lines.length, 2);
    assertMatch(lines[0]!, / > 0002 REGION_WRITE len 36 /);
    assertMatch(lines[1]!, / < 0002 REGION_WRITE ok \d+us/);
  }, { tap: (frame) => lines.push(log.format(frame)) });
});
