import { assert, assertEquals } from "@std/assert";
import { liveDescriptors } from "../../linux/descriptor.ts";
import { Errno } from "../../linux/errno.ts";
import { EventFd } from "../../linux/eventfd.ts";
import { createSharedMemory } from "../../linux/mapping.ts";
import { OUR_CAPABILITIES } from "../capabilities.ts";
import { VfioUserCommand as C } from "../spec.ts";
import { VfioDeviceFeature, VfioDeviceMigState } from "../vfio_spec.ts";
import {
  type Answer,
  type AnswerFunction,
  bytesOf,
  echo,
  failure,
  plain,
  type Received,
  type TestServer,
  versionBody,
  withServer,
} from "./_test_server.ts";

Deno.test("deviceInfo() refuses counts that nobody believes", async () => {
  const info = (regions: number): Uint8Array =>
    new Uint8Array(new Uint32Array([16, 3, regions, 5]).buffer);
  let regions = 9;
  await withServer(() => info(regions), (client) => {
    assertEquals(client.wait(client.deviceInfo()), {
      argsz: 16,
      flags: 3,
      num_regions: 9,
      num_irqs: 5,
    });
    regions = 70_000;
    failure("protocol", /70000 regions/, () => client.wait(client.deviceInfo()));
  });
});

Deno.test("regions.read() and write() split at max_data_xfer_size", async () => {
  const stored = new Uint8Array(1000);
  const answer: AnswerFunction = (message) => {
    const { header, body, view } = message;
    const offset = view.getUint32(0, true), count = view.getUint32(12, true);
    assert(count <= 256);
    if (header.command === C.VFIO_USER_REGION_WRITE) stored.set(body.subarray(16), offset);
    return plain(message);
  };
  await withServer(answer, (client, server) => {
    const into = new Uint8Array(1000);
    client.wait(client.regions.read(2, 24, into));
    assertEquals(into, bytesOf(1000, (at) => at + 24));
    assertEquals(server.received.length, 4);
    client.wait(client.regions.write(2, 0, into));
    assertEquals(stored, into);
    assertEquals(server.received.length, 8);
  }, { capabilities: { max_data_xfer_size: 256 } });
});

/** What a server answers to a read of 4 bytes at 8 of region 0. */
const BAD_READS: readonly (readonly [string, (message: Received) => Answer, RegExp])[] = [
  ["too short", (message) => echo(message, 8), /it has 8 bytes/],
  ["without the data", (message) => echo(message, 16), /it has 16 bytes/],
  [
    "about another offset",
    () => new Uint8Array([9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 1, 2, 3, 4]),
    /it is about 0x9\.\.0xc of region 0, and we asked for 0x8\.\.0xb/,
  ],
  [
    "with fewer bytes",
    () => new Uint8Array([8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]),
    /0x8\.\.0x8 of region 0/,
  ],
  [
    "about another region",
    () => new Uint8Array([8, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 1, 2, 3, 4]),
    /of region 3/,
  ],
];

for (const [name, answer, what] of BAD_READS) {
  Deno.test(`regions.read() refuses a reply ${name}, and the connection goes on`, async () => {
    let bad = true;
    await withServer((message) => bad ? answer(message) : plain(message), (client) => {
      const into = new Uint8Array(4);
      failure("protocol", what, () => client.wait(client.regions.read(0, 8, into)));
      assertEquals(into, new Uint8Array(4));
      bad = false;
      client.wait(client.regions.read(0, 8, into));
      assertEquals(into, new Uint8Array([8, 9, 10, 11]));
    });
  });
}

Deno.test("regions.post() asks for no reply, and keeps the order", async () => {
  await withServer(plain, (client, server) => {
    client.regions.post(0, 16, new Uint8Array([1, 2]));
    client.wait(client.regions.read(0, 0, new Uint8Array(1)));
    assertEquals(server.received.map(({ header }) => [header.command, header.flags]), [
      [C.VFIO_USER_REGION_WRITE, 0x10],
      [C.VFIO_USER_REGION_READ, 0],
    ]);
    assertEquals([...server.received[0]!.body.subarray(16)], [1, 2]);
  });
});

Deno.test("regions.writeMulti() packs writes, splits them, and adds up what was done", async () => {
  let fail = false;
  const answer: AnswerFunction = ({ view }) => {
    const count = view.getUint32(0, true);
    return new Uint8Array(new BigUint64Array([BigInt(fail ? count - 1 : count)]).buffer);
  };
  await withServer(answer, (client, server) => {
    const writes = Array.from({ length: 300 }, (_, at) => ({
      region: 1,
      offset: 4 * at,
      data: new Uint8Array([at, 1, 2, 3]),
    }));
    assertEquals(client.wait(client.regions.writeMulti(writes)), 300);
    assertEquals(server.received.map(({ view }) => view.getUint32(0, true)), [256, 44]);
    const { view } = server.received[1]!;
    assertEquals(
      [view.getUint32(8, true), view.getUint32(16, true), view.getUint32(20, true)],
      [1024, 1, 4],
    );
    assertEquals(view.getUint32(24, true), 0x0302_0100);
    fail = true;
    assertEquals(client.wait(client.regions.writeMulti(writes)), 298);
    failure(
      "limit",
      /1 to 8 bytes/,
      () => client.regions.writeMulti([{ region: 0, offset: 0, data: new Uint8Array(9) }]),
    );
  });
});

Deno.test("regions.writeMulti() believes no server that has done more writes than it was sent", async () => {
  const answer = () => new Uint8Array(new BigUint64Array([2n]).buffer);
  await withServer(answer, (client) => {
    const writes = [{ region: 0, offset: 0, data: new Uint8Array(4) }];
    failure("protocol", /says 2 writes are done, of 1/, () => {
      client.wait(client.regions.writeMulti(writes));
    });
  });
});

Deno.test("regions.writeMulti() says so when it was not agreed on", async () => {
  const prepare = (server: TestServer): void => {
    server.capabilities = { ...OUR_CAPABILITIES, write_multiple: false };
  };
  await withServer(plain, (client) => {
    failure("limit", /did not agree to `write_multiple`/, () => client.regions.postMulti([]));
  }, { prepare });
});

/** A region information with two areas, cut to the room there is. */
function regionInfo(view: DataView, index: number): Uint8Array {
  const argsz = view.getUint32(0, true);
  const size = 32 + 16 + 200 * 16;
  const body = new DataView(new ArrayBuffer(argsz >= size ? size : 32));
  body.setUint32(0, size, true);
  body.setUint32(4, argsz >= size ? 0xf : 0x7, true);
  body.setUint32(8, index, true);
  body.setUint32(16, 0x10_0000, true);
  if (argsz < size) return new Uint8Array(body.buffer);
  body.setUint32(12, 32, true);
  body.setUint16(32, 1, true);
  body.setUint16(34, 1, true);
  body.setUint32(40, 200, true);
  for (let area = 0; area < 200; area++) {
    body.setUint32(48 + 16 * area, 0x1000 * area, true);
    body.setUint32(56 + 16 * area, 0x1000, true);
  }
  return new Uint8Array(body.buffer);
}

Deno.test("regions.info() hands out the descriptor, and asks again when it needs more room", async () => {
  using file = createSharedMemory("test", 4096);
  let room = 4096;
  await withServer(() => null, async (client, server) => {
    server.answer = (message) => {
      message.view.setUint32(0, Math.min(room, message.view.getUint32(0, true)), true);
      server.reply(message, regionInfo(message.view, 2), [file.fd]);
      room = 4096;
      return null;
    };
    const first = client.wait(client.regions.info(2));
    assertEquals(first.info.sparse?.length, 200);
    assert(first.descriptor !== null);
    first.descriptor.close();
    assertEquals(server.received.length, 1);

    // The first answer has no capabilities, and a descriptor that nobody wants.
    const before = liveDescriptors();
    server.answer = (message) => {
      const small = message.view.getUint32(0, true) === 4096;
      if (small) message.view.setUint32(0, 32, true);
      const body = regionInfo(message.view, 2);
      if (small) new DataView(body.buffer).setUint32(0, 5000, true);
      server.reply(message, body, [file.fd]);
      return null;
    };
    const second = client.wait(client.regions.info(2));
    assertEquals(server.received.length, 3);
    assertEquals(liveDescriptors(), before + 1);
    second.descriptor?.close();

    // One file has a region; what else comes is closed.
    server.answer = (message) => {
      server.reply(message, regionInfo(message.view, 2), [file.fd, file.fd, file.fd]);
      return null;
    };
    const third = client.wait(client.regions.info(2));
    assertEquals(liveDescriptors(), before + 1);
    third.descriptor?.close();
    await Promise.resolve();
  });
});

Deno.test("regions.info() does not follow a server that always wants more room", async () => {
  await withServer(({ view }) => {
    const body = new Uint8Array(32);
    new DataView(body.buffer).setUint32(0, view.getUint32(0, true) + 1, true);
    return body;
  }, (client, server) => {
    failure(
      "protocol",
      /wants more than the 4097 bytes/,
      () => client.wait(client.regions.info(0)),
    );
    server.answer = () => new Uint8Array(new Uint32Array([2 ** 31, 0, 0, 0, 0, 0, 0, 0]).buffer);
    failure("protocol", /room for 2147483648 bytes/, () => client.wait(client.regions.info(0)));
  });
});

Deno.test("regions.ioFds() refuses an index beyond the descriptors that came", async () => {
  using event = EventFd.create();
  await withServer(() => null, (client, server) => {
    let index = 0;
    server.answer = (message) => {
      const body = new DataView(new ArrayBuffer(56));
      body.setUint32(0, 56, true);
      body.setUint32(8, 3, true);
      body.setUint32(12, 1, true);
      body.setUint32(16, 0x50, true);
      body.setUint32(32, index, true);
      server.reply(message, new Uint8Array(body.buffer), [event.fd]);
      return null;
    };
    const { subRegions, descriptors } = client.wait(client.regions.ioFds(3));
    assertEquals(subRegions.map(({ offset, fd_index }) => [offset, fd_index]), [[0x50, 0]]);
    assertEquals(descriptors.length, 1);
    descriptors[0]!.close();
    index = 1;
    const before = liveDescriptors();
    failure("protocol", /names descriptor 1 of 1/, () => client.wait(client.regions.ioFds(3)));
    assertEquals(liveDescriptors(), before);
  });
});

Deno.test("dma.map() passes the descriptor; unmap() checks what the reply is about", async () => {
  using file = createSharedMemory("test", 4096);
  await withServer(() => null, (client, server) => {
    let came = -1;
    server.answer = (message) => {
      came = message.descriptors.length;
      return plain(message);
    };
    client.wait(client.dma.map({ address: 0x1000, size: 4096, access: 3, fd: file.fd, offset: 8 }));
    assertEquals(came, 1);
    const { view } = server.received[0]!;
    assertEquals([0, 4, 8, 16, 24].map((at) => view.getUint32(at, true)), [32, 3, 8, 4096, 4096]);
    client.wait(client.dma.map({ address: 2 ** 40, size: 16, access: 1 }));
    assertEquals(came, 0);
    client.wait(client.dma.unmap(0x1000, 4096));
    client.wait(client.dma.unmapAll());
    assertEquals([...new Uint32Array(server.received[3]!.body.buffer)], [24, 2, 0, 0, 0, 0]);
    server.answer = ({ body }) => {
      body[8] = 1;
      return body;
    };
    failure(
      "protocol",
      /about 0x1001\.\.0x2000, and we asked for 0x1000\.\.0x1fff/,
      () => client.wait(client.dma.unmap(0x1000, 4096)),
    );
  });
});

Deno.test("dma.unmapDirty() returns the bitmap, and refuses one that fits no message", async () => {
  await withServer(({ body }) => {
    const reply = new Uint8Array(body.length + 8);
    reply.set(body);
    reply[body.length] = 0b101;
    return reply;
  }, (client) => {
    const bitmap = client.wait(client.dma.unmapDirty(0, 3 * 4096, 4096));
    assertEquals([...bitmap], [0b101, 0, 0, 0, 0, 0, 0, 0]);
    failure("limit", /bitmap has 2097152 bytes/, () => client.dma.unmapDirty(0, 2 ** 36, 4096));
  });
});

Deno.test("irqs has every form of SET_IRQS, and splits at the server's max_msg_fds", async () => {
  const fds = Array.from({ length: 5 }, () => EventFd.create());
  const prepare = (server: TestServer): void => {
    server.version = () => versionBody(`{"capabilities":{"max_msg_fds":2}}`);
  };
  try {
    const counts: number[] = [];
    await withServer((message) => {
      counts.push(message.descriptors.length);
      return plain(message);
    }, (client, server) => {
      const { irqs } = client;
      client.wait(irqs.act("mask", 0, 0, 1));
      client.wait(irqs.actWhere("trigger", 2, 4, new Uint8Array([1, 0, 1])));
      client.wait(irqs.signal("trigger", 2, 1, fds.map(({ fd }) => fd)));
      client.wait(irqs.unsignal("unmask", 0, 0, 1));
      client.wait(irqs.disableAll(1));
      assertEquals(counts, [0, 0, 2, 2, 1, 0, 0]);
      assertEquals(
        server.received.map(({ view }) => [0, 4, 8, 12, 16].map((at) => view.getUint32(at, true))),
        [
          [20, 0x09, 0, 0, 1],
          [23, 0x22, 2, 4, 3],
          [20, 0x24, 2, 1, 2],
          [20, 0x24, 2, 3, 2],
          [20, 0x24, 2, 5, 1],
          [20, 0x14, 0, 0, 1],
          [20, 0x21, 1, 0, 0],
        ],
      );
      assertEquals([...server.received[1]!.body.subarray(20)], [1, 0, 1]);
    }, { prepare });
  } finally {
    for (const fd of fds) fd.close();
  }
});

Deno.test("irqs puts no more descriptors into a message than the system takes, whatever the server would", async () => {
  using file = EventFd.create();
  const prepare = (server: TestServer): void => {
    server.version = () => versionBody(`{"capabilities":{"max_msg_fds":1024}}`);
  };
  const counts: number[] = [];
  await withServer((message) => {
    counts.push(message.descriptors.length);
    return plain(message);
  }, (client) => {
    client.wait(client.irqs.signal("trigger", 2, 0, new Array(300).fill(file.fd)));
    assertEquals(counts, [253, 47]);
  }, { prepare });
});

Deno.test("features moves the state, logs, and reports in parts", async () => {
  const asked: number[] = [];
  const answer: AnswerFunction = (message) => {
    const { body, view } = message;
    const flags = view.getUint32(4, true);
    const feature = flags & 0xffff;
    asked.push(flags);
    switch (feature) {
      case VfioDeviceFeature.VFIO_DEVICE_FEATURE_MIGRATION:
        return new Uint8Array(new Uint32Array([16, flags, 5, 0]).buffer);
      case VfioDeviceFeature.VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE:
        return new Uint8Array(new Uint32Array([16, flags, 2, 0]).buffer);
      case VfioDeviceFeature.VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT: {
        const argsz = view.getUint32(0, true);
        const reply = new Uint8Array(argsz);
        reply.set(body);
        reply[32] = view.getUint32(12, true) + 1;
        return reply;
      }
      case 9:
        return -Errno.ENOTTY;
      default:
        return body;
    }
  };
  await withServer(answer, (client) => {
    const { features } = client;
    assertEquals(client.wait(features.migrationFlags()), 5);
    assertEquals(client.wait(features.state()), VfioDeviceMigState.VFIO_DEVICE_STATE_RUNNING);
    client.wait(features.setState(VfioDeviceMigState.VFIO_DEVICE_STATE_STOP));
    assertEquals(client.wait(features.startLogging(4096, [{ iova: 0, length: 8192 }])), 4096);
    // 2^33 pages: 2 parts of 2^21 bits each cover 16 GiB.
    const bitmap = client.wait(features.dirtyPages(0, 2 ** 34, 4096));
    assertEquals(bitmap.length, 2 ** 22 / 8);
    assertEquals([bitmap[0], bitmap[2 ** 18]], [1, 3]);
    client.wait(features.stopLogging());
    assertEquals(client.wait(features.probe(1)), true);
    assertEquals(client.wait(features.probe(9)), false);
    assertEquals(asked, [
      0x1_0001,
      0x1_0002,
      0x2_0002,
      0x2_0006,
      0x1_0008,
      0x1_0008,
      0x2_0007,
      0x4_0001,
      0x4_0009,
    ]);
  });
});

Deno.test("features.readData() and writeData() move a device's state", async () => {
  let stored: number[] = [];
  await withServer(({ header, body, view }) => {
    if (header.command === C.VFIO_USER_MIG_DATA_READ) {
      return new Uint8Array([11, 0, 0, 0, 3, 0, 0, 0, 7, 8, 9]);
    }
    assertEquals(view.getUint32(4, true), body.length - 8);
    stored = [...stored, ...body.subarray(8)];
    return new Uint8Array(0);
  }, (client, server) => {
    assertEquals([...client.wait(client.features.readData(64))], [7, 8, 9]);
    client.wait(client.features.writeData(new Uint8Array(600).fill(5)));
    assertEquals(stored.length, 600);
    assertEquals(server.received.length, 4);
    failure(
      "protocol",
      /3 bytes of data in a body of 11, of 2 asked for/,
      () => client.wait(client.features.readData(2)),
    );
    failure("limit", /300 bytes are more than the 256/, () => client.features.readData(300));
  }, { capabilities: { max_data_xfer_size: 256 } });
});
