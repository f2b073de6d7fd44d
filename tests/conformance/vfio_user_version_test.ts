/**
 * VFIO_USER_VERSION (spec/08 rules 7 and 8), over a real socket.
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { UnixStream } from "../../protocols/linux/unix_stream.ts";
import { ClientMemory, withProbe } from "./vfio_user/host.ts";
import { RawClient } from "./vfio_user/raw_client.ts";
import * as wire from "./vfio_user/wire.ts";

const EINVAL = 22;
const INFO = wire.bytes(wire.u32(16), wire.u32(0), wire.u32(0), wire.u32(0));

const caps = (capabilities: unknown) => wire.version({ capabilities });

const REFUSED: readonly [string, number, Uint8Array][] = [
  ["another command first", 4, INFO],
  ["DMA_MAP first", 2, wire.dmaMap(0x1000, 0x1000)],
  ["an unknown command first", 99, INFO],
  ["major 1", 1, wire.version({}, 1)],
  ["major 65535", 1, wire.version({}, 0xffff)],
  ["no body", 1, new Uint8Array(0)],
  ["3 bytes", 1, new Uint8Array(3)],
  ["no NUL at the end", 1, wire.version(`{"capabilities":{}}`)],
  ["broken JSON", 1, wire.version("{\0")],
  ["JSON of one word", 1, wire.version("[]\0")],
  ["no UTF-8", 1, wire.bytes(wire.u32(0), new Uint8Array([0xff, 0xfe, 0]))],
  ["capabilities that are a number", 1, caps(5)],
  ["capabilities that are a list", 1, caps([])],
  ["capabilities that are null", 1, caps(null)],
  ["max_msg_fds that is text", 1, caps({ max_msg_fds: "8" })],
  ["max_msg_fds that is no integer", 1, caps({ max_msg_fds: 1.5 })],
  ["max_msg_fds below 0", 1, caps({ max_msg_fds: -1 })],
  ["max_msg_fds above 1024", 1, caps({ max_msg_fds: 1025 })],
  ["migration that is no object", 1, caps({ migration: 1 })],
  ["a migration page size that is not the host's", 1, caps({ migration: { pgsize: 8192 } })],
  ["page sizes that share none with ours", 1, caps({ pgsizes: 0x20_0000 })],
];

for (const [name, command, body] of REFUSED) {
  Deno.test(`vfio-user rule 7: ${name}: EINVAL, then close`, () => {
    withProbe((host) => {
      using client = host.connect();
      client.send(wire.message(command, body, { id: 4 }));
      const reply = client.receive();
      assert(reply !== "eof");
      assertEquals([reply.id, reply.errno], [4, EINVAL]);
      assertEquals(client.receive(), "eof");
      using another = host.client();
      assertEquals(another.call(4, INFO).errno, 0);
    });
  });
}

const ACCEPTED: readonly [string, Uint8Array][] = [
  ["no JSON", wire.version(null)],
  ["an empty object", wire.version({})],
  ["capabilities without members", caps({})],
  ["capabilities that nobody knows", caps({ time_travel: { supported: true }, colour: "blue" })],
  ["max_msg_fds 0", caps({ max_msg_fds: 0 })],
  ["max_msg_fds 1024", caps({ max_msg_fds: 1024 })],
  ["our page size for migration", caps({ migration: { pgsize: 4096 } })],
];

for (const [name, body] of ACCEPTED) {
  Deno.test(`vfio-user rule 7: ${name} is fine`, () => {
    withProbe((host) => {
      using client = host.connect();
      assertEquals(client.call(1, body).errno, 0);
      assertEquals(client.call(4, INFO).errno, 0);
    });
  });
}

Deno.test("vfio-user rule 7: the reply's minor is the smaller of both", () => {
  for (const [theirs, answer] of [[0, 0], [1, 1], [2, 1], [0xffff, 1]] as const) {
    withProbe((host) => {
      using client = host.connect();
      const { body } = client.call(1, wire.version({}, 0, theirs));
      assertEquals([body[0], body[1], body[2], body[3]], [0, 0, answer, 0]);
      assertEquals(body[body.length - 1], 0);
    });
  }
});

Deno.test("vfio-user rule 8: the reply holds our limits, and of the features what was proposed", () => {
  withProbe((host) => {
    using plain = host.connect();
    assertEquals(plain.negotiate({ migration: { pgsize: 4096, max_bitmap_size: 0x1000 } }), {
      max_msg_fds: 8,
      max_data_xfer_size: 0x10_0000,
      max_dma_maps: 65535,
      pgsizes: 4096,
      migration: { pgsize: 4096, max_bitmap_size: 0x1000 },
    });
  });
  withProbe((host) => {
    using client = host.connect();
    const reply = client.negotiate({
      max_msg_fds: 8,
      max_data_xfer_size: 512,
      max_dma_maps: 3,
      write_multiple: true,
      twin_socket: { supported: true },
      iommufd: { supported: true },
      pasid: { supported: true },
    });
    assertEquals(reply.max_data_xfer_size, 512);
    assertEquals(reply.max_dma_maps, 3);
    assertEquals(reply.write_multiple, true);
    assertEquals(reply.twin_socket, { supported: true, fd_index: 0 });
    // What this server does not have is not said, whoever asks.
    assertEquals([reply.iommufd, reply.pasid], [undefined, undefined]);
  });
});

Deno.test("vfio-user rule 29: nothing of PASID, page requests or translation is in force unless both said so", () => {
  withProbe((host) => {
    using client = host.connect();
    const on = { supported: true };
    const reply = client.negotiate({ pasid: on, page_request: on, ats: on, iommufd: on });
    for (const name of ["pasid", "page_request", "ats", "iommufd"]) {
      assertEquals(reply[name], undefined);
    }
    // The proof of concept's flags, bit 8 and a PASID from bit 12 on, and its command 100.
    const flags = 0x103 | 5 << 12;
    assertEquals(client.call(2, wire.dmaMap(0x1000, 0x1000, { flags })).errno, EINVAL);
    assertEquals(client.call(3, wire.dmaUnmap(0x1000, 0x1000, { flags })).errno, EINVAL);
    assertEquals(client.call(100, new Uint8Array(24)).errno, EINVAL);
    // The commands of iommufd.
    for (let command = 19; command <= 26; command++) {
      assertEquals(client.call(command, new Uint8Array(64)).errno, EINVAL, `command ${command}`);
    }
    assertEquals(host.server.regions, 0);
  });
});

Deno.test("vfio-user rule 8: max_data_xfer_size bounds reads and writes", () => {
  withProbe((host) => {
    using client = host.driver({ max_data_xfer_size: 512 });
    assertEquals(client.call(9, wire.regionRead(0, 0, 512)).errno, 0);
    assertEquals(client.call(9, wire.regionRead(0, 0, 513)).errno, EINVAL);
    assertEquals(client.call(10, wire.regionWrite(0, 0, new Uint8Array(513))).errno, EINVAL);
  });
});

Deno.test("vfio-user rule 8: max_dma_maps bounds the regions", () => {
  withProbe((host) => {
    using client = host.client({ max_dma_maps: 2 });
    assertEquals(client.call(2, wire.dmaMap(0x1000, 0x1000)).errno, 0);
    assertEquals(client.call(2, wire.dmaMap(0x2000, 0x1000)).errno, 0);
    assertEquals(client.call(2, wire.dmaMap(0x3000, 0x1000)).errno, 28);
  });
});

Deno.test("vfio-user rule 8: the twin socket comes with the reply, and only when asked for and possible", () => {
  withProbe((host) => {
    using client = host.connect();
    client.negotiate({ max_msg_fds: 1, twin_socket: { supported: true } });
    assertEquals(client.versionDescriptors.length, 1);
    // It is a socket of its own: its end is the end of the connection.
    const [descriptor] = client.versionDescriptors;
    assert(descriptor !== undefined);
    using twin = new RawClient(new UnixStream(descriptor), () => host.turn());
    assert(!twin.hears());
    twin.close();
    host.turn(4);
    assertEquals(host.server.connected, false);
  });
  for (const capabilities of [{}, { twin_socket: { supported: false } }]) {
    withProbe((host) => {
      using client = host.connect();
      assertEquals(client.negotiate({ max_msg_fds: 8, ...capabilities }).twin_socket, undefined);
      assertEquals(client.versionDescriptors.length, 0);
    });
  }
  withProbe((host) => {
    using client = host.connect();
    const reply = client.negotiate({ max_msg_fds: 0, twin_socket: { supported: true } });
    assertEquals(reply.twin_socket, undefined);
    assertEquals(client.versionDescriptors.length, 0);
  });
});

Deno.test("vfio-user rule 8: descriptors with VERSION are closed", () => {
  withProbe((host) => {
    using client = host.connect();
    using memory = new ClientMemory();
    assertEquals(client.call(1, wire.version(), [memory.fd]).errno, 0);
  });
});
