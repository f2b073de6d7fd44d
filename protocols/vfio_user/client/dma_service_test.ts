import { assertEquals, assertMatch } from "@std/assert";
import type { Iova } from "../../../core/address.ts";
import { GuestRam } from "../../../core/memory/guest_ram.ts";
import type { Memory } from "../../../core/memory/memory.ts";
import { Descriptor, liveDescriptors } from "../../linux/descriptor.ts";
import { Errno } from "../../linux/errno.ts";
import { UnixStream } from "../../linux/unix_stream.ts";
import { replyCapabilities } from "../capabilities.ts";
import { HEADER_SIZE } from "../messages/header.ts";
import { VfioUserCommand as C } from "../spec.ts";
import { failure, plain, TestServer, versionBody, withServer } from "./_test_server.ts";
import { dmaService } from "./dma_service.ts";

/** 64 KiB of memory from address 0 on, the upper half read-only. */
function deviceMemory(): Memory<Iova> {
  return new GuestRam([
    { name: "ram", start: 0 as never, length: 0x8000 },
    { name: "rom", start: 0x8000 as never, length: 0x8000, readOnly: true },
  ]) as unknown as Memory<Iova>;
}

function access(address: number, data: number | Uint8Array): Uint8Array {
  const count = typeof data === "number" ? data : data.length;
  const body = new Uint8Array(16 + (typeof data === "number" ? 0 : count));
  const view = new DataView(body.buffer);
  view.setBigUint64(0, BigInt(address), true);
  view.setBigUint64(8, BigInt(count), true);
  if (typeof data !== "number") body.set(data, 16);
  return body;
}

Deno.test("DMA_READ and DMA_WRITE are served while we wait, and permission is checked", async () => {
  const memory = deviceMemory();
  const handlers = dmaService(memory, 0x10_0000);
  await withServer(plain, (client, server) => {
    // While the client waits for its read, the server wants memory first.
    server.answer = (message) => {
      if (server.replies.length === 0) {
        server.command(C.VFIO_USER_DMA_WRITE, 5, access(0x100, new Uint8Array([1, 2, 3])));
        server.command(C.VFIO_USER_DMA_READ, 6, access(0x101, 4));
        server.command(C.VFIO_USER_DMA_WRITE, 7, access(0x8000, new Uint8Array(1)));
        server.command(C.VFIO_USER_DMA_READ, 8, access(0xffff, 2));
        server.command(C.VFIO_USER_DMA_READ, 9, access(0, 0x10_0001));
        server.command(C.VFIO_USER_DMA_WRITE, 10, access(0, new Uint8Array(3)).subarray(0, 17));
        server.command(C.VFIO_USER_DMA_READ, 11, new Uint8Array(3));
        server.command(C.VFIO_USER_DMA_READ, 12, access(2 ** 60, 1));
        server.command(99, 13, new Uint8Array(0));
      }
      return plain(message);
    };
    client.wait(client.regions.read(0, 0, new Uint8Array(4)));
    while (server.replies.length < 9) client.group.turn(1000);
    assertEquals(
      server.replies.map((
        { header, body },
      ) => [header.id, header.command, header.error, body.length]),
      [
        [5, C.VFIO_USER_DMA_WRITE, 0, 16],
        [6, C.VFIO_USER_DMA_READ, 0, 20],
        [7, C.VFIO_USER_DMA_WRITE, Errno.EACCES, 0],
        [8, C.VFIO_USER_DMA_READ, Errno.EFAULT, 0],
        [9, C.VFIO_USER_DMA_READ, Errno.EINVAL, 0],
        [10, C.VFIO_USER_DMA_WRITE, Errno.EINVAL, 0],
        [11, C.VFIO_USER_DMA_READ, Errno.EINVAL, 0],
        [12, C.VFIO_USER_DMA_READ, Errno.EINVAL, 0],
        [13, 99, Errno.EINVAL, 0],
      ],
    );
    assertEquals([...server.replies[1]!.body.subarray(16)], [2, 3, 0, 0]);
  }, { handlers });
});

Deno.test("a command with No_reply is done and not answered", async () => {
  const memory = deviceMemory();
  await withServer(plain, (client, server) => {
    const body = access(0, new Uint8Array([9]));
    const frame = new Uint8Array(HEADER_SIZE + body.length);
    frame.set([1, 0, C.VFIO_USER_DMA_WRITE, 0, frame.length, 0, 0, 0, 0x10]);
    frame.set(body, HEADER_SIZE);
    server.raw(frame);
    client.wait(client.regions.read(0, 0, new Uint8Array(1)));
    assertEquals(memory.readU8(0 as Iova), 9);
    server.poll();
    assertEquals(server.replies.length, 0);
  }, { handlers: dmaService(memory, 4096) });
});

Deno.test("a server that asks for memory and never takes it is hung up on: what waits is bounded", async () => {
  const memory = deviceMemory();
  await withServer(plain, (client, server) => {
    client.group.remove(server);
    for (let id = 0; id < 400; id++) {
      server.command(C.VFIO_USER_DMA_READ, id, access(0, 0x1_0000));
    }
    while (client.failure === null) client.group.turn(1000);
    assertEquals(client.failure.code, "closed");
    assertMatch(client.failure.message, /ENOBUFS/);
  }, { handlers: dmaService(memory, 0x10_0000) });
});

Deno.test("the twin socket carries the server's commands, and our replies to them", async () => {
  const before = liveDescriptors();
  const [ours, theirs] = UnixStream.pair();
  const borrowed = new Descriptor(ours.fd);
  const twinFd = borrowed.duplicate();
  borrowed.take();
  ours.close();
  const memory = deviceMemory();
  memory.writeU8(0x20 as Iova, 0x55);
  const prepare = (server: TestServer): void => {
    server.version = (self, message) => {
      const capabilities = replyCapabilities({
        maxSendFds: 8,
        maxReceiveFds: 8,
        maxDataXferSize: 4096,
        maxDmaMaps: 10,
        pgsizes: 4096,
        writeMultiple: false,
        migration: null,
        twinSocket: true,
        extensions: { iommufd: false, pasid: false, page_request: false, ats: false },
      }, 0);
      self.reply(message, versionBody(capabilities), [twinFd.fd]);
      twinFd.close();
      return null;
    };
  };
  await withServer(plain, (client, server) => {
    assertEquals(client.hasTwinSocket, true);
    const far = new TestServer(theirs, plain);
    client.group.add(far);
    far.command(C.VFIO_USER_DMA_READ, 3, access(0x20, 1));
    while (far.replies.length < 1) client.group.turn(1000);
    assertEquals([...far.replies[0]!.body.subarray(16)], [0x55]);
    assertEquals(server.replies.length, 0);
    // A reply has no business there.
    far.raw(new Uint8Array([1, 0, 9, 0, 16, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]));
    failure("protocol", /on the socket for the server's own commands/, () => {
      const ticket = client.reset();
      client.wait(ticket);
      for (;;) client.wait(client.reset());
    });
    client.group.remove(far);
    far.close();
  }, { handlers: dmaService(memory, 4096), prepare });
  assertEquals(liveDescriptors(), before);
});
