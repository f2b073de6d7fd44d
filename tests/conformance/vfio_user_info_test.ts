/**
 * Device, region and interrupt information and region descriptors (spec/08 rules 9 to 11), over a
 * real socket.
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { BarLayout, InterruptSpec } from "../../devices/pci/pci_device.ts";
import { signalEvent } from "../../protocols/linux/eventfd.ts";
import { Mapping } from "../../protocols/linux/mapping.ts";
import { withDevice, withProbe } from "./vfio_user/host.ts";
import { Probe } from "./vfio_user/probe.ts";
import type { RawMessage } from "./vfio_user/raw_client.ts";
import * as wire from "./vfio_user/wire.ts";

const EINVAL = 22;
const { u32, u64, bytes } = wire;
const READ = 1, WRITE = 2, MMAP = 4, CAPS = 8;

const info = (argsz: number) => bytes(u32(argsz), u32(0), u32(0), u32(0));
const regionInfo = (argsz: number, index: number) =>
  bytes(u32(argsz), u32(0), u32(index), u32(0), u64(0), u64(0));
const irqInfo = (argsz: number, index: number) => bytes(u32(argsz), u32(0), u32(index), u32(0));
const ioFds = (argsz: number, index: number, flags = 0, count = 0) =>
  bytes(u32(argsz), u32(flags), u32(index), u32(count));

const REFUSED: readonly [string, number, Uint8Array][] = [
  ["rule 9: GET_INFO of 15 bytes", 4, info(16).subarray(0, 15)],
  ["rule 9: GET_INFO with argsz 15", 4, info(15)],
  ["rule 9: GET_INFO with argsz 0", 4, info(0)],
  ["rule 9: GET_REGION_INFO of 31 bytes", 5, regionInfo(32, 0).subarray(0, 31)],
  ["rule 9: GET_REGION_INFO with argsz 31", 5, regionInfo(31, 0)],
  ["rule 9: GET_REGION_INFO of region 9", 5, regionInfo(32, 9)],
  ["rule 9: GET_REGION_INFO of region 2^32 - 1", 5, regionInfo(32, 0xffff_ffff)],
  ["rule 9: GET_IRQ_INFO of 15 bytes", 7, irqInfo(16, 0).subarray(0, 15)],
  ["rule 9: GET_IRQ_INFO with argsz 15", 7, irqInfo(15, 0)],
  ["rule 9: GET_IRQ_INFO of type 5", 7, irqInfo(16, 5)],
  ["rule 9: GET_IRQ_INFO of type 2^32 - 1", 7, irqInfo(16, 0xffff_ffff)],
  ["rule 11: IO_FDS of 15 bytes", 6, ioFds(16, 0).subarray(0, 15)],
  ["rule 11: IO_FDS with flags", 6, ioFds(16, 0, 1)],
  ["rule 11: IO_FDS with a count", 6, ioFds(16, 0, 0, 1)],
  ["rule 11: IO_FDS with argsz 15", 6, ioFds(15, 0)],
  ["rule 11: IO_FDS with argsz above 1 MiB", 6, ioFds(0x10_0001, 0)],
  ["rule 11: IO_FDS of a region that is not there", 6, ioFds(16, 1)],
  ["rule 11: IO_FDS of the ROM, which is not there", 6, ioFds(16, 6)],
  ["rule 11: IO_FDS of region 9", 6, ioFds(16, 9)],
];

for (const [name, command, body] of REFUSED) {
  Deno.test(`vfio-user ${name}: EINVAL`, () => {
    withProbe((host) => {
      using client = host.client({ max_msg_fds: 8 });
      assertEquals(client.call(command, body).errno, EINVAL);
      assertEquals(client.call(4, info(16)).errno, 0);
    });
  });
}

Deno.test("vfio-user rule 9: GET_INFO answers flags 3, nine regions, five types, whatever room there is", () => {
  withProbe((host) => {
    using client = host.client();
    for (const argsz of [16, 17, 4096, 0xffff_ffff]) {
      const { body } = client.call(4, info(argsz));
      assertEquals(body, bytes(u32(16), u32(3), u32(9), u32(5)));
    }
    // A longer payload is fine as well.
    assertEquals(client.call(4, bytes(info(16), new Uint8Array(64))).body.length, 16);
  });
});

Deno.test("vfio-user rule 9: GET_REGION_INFO tells all nine", () => {
  withProbe((host) => {
    using client = host.client();
    const sizes = [0x4000, 0, 0x4000, 0, 0x1000, 0x20, 0, 0x100, 0];
    for (const [index, size] of sizes.entries()) {
      const { body, errno, descriptors } = client.call(5, regionInfo(32, index));
      assertEquals(errno, 0);
      const view = new DataView(body.buffer);
      assertEquals(view.getUint32(8, true), index);
      assertEquals(view.getBigUint64(16, true), BigInt(size));
      const mappable = index === 2 ? MMAP : 0;
      assertEquals(view.getUint32(4, true), (size > 0 ? READ | WRITE : 0) | mappable);
      assertEquals(view.getUint32(0, true), index === 2 ? 64 : 32);
      assertEquals(descriptors.length, 0);
      assertEquals(body.length, 32);
    }
  });
});

Deno.test("vfio-user rule 9: GET_IRQ_INFO tells all five types", () => {
  withProbe((host) => {
    using client = host.client();
    const types = [[7, 1], [1, 4], [1, 8], [1, 1], [1, 1]];
    for (const [index, [flags, count]] of types.entries()) {
      for (const argsz of [16, 100]) {
        const { body } = client.call(7, irqInfo(argsz, index));
        assertEquals(body, bytes(u32(16), u32(flags!), u32(index), u32(count!)));
      }
    }
  });
});

Deno.test("vfio-user rule 10: with too little room for the capabilities: the size needed, MMAP set, CAPS clear, no descriptor", () => {
  withProbe((host) => {
    using client = host.client({ max_msg_fds: 8 });
    for (const argsz of [32, 40, 63]) {
      const { body, descriptors } = client.call(5, regionInfo(argsz, 2));
      const view = new DataView(body.buffer);
      assertEquals([view.getUint32(0, true), view.getUint32(4, true)], [64, READ | WRITE | MMAP]);
      assertEquals([view.getUint32(12, true), body.length, descriptors.length], [0, 32, 0]);
    }
  });
});

function mapRegion({ descriptors }: RawMessage, length: number): Mapping {
  const [descriptor] = descriptors;
  assert(descriptor !== undefined);
  const mapping = Mapping.map(descriptor.fd, 0, length, "read-write");
  descriptor.close();
  assert(typeof mapping !== "number");
  return mapping;
}

Deno.test("vfio-user rule 10: with room: one sparse area, and the descriptor, whose memory is the device's", () => {
  withProbe((host) => {
    using client = host.driver({ max_msg_fds: 8 });
    const reply = client.call(5, regionInfo(64, 2));
    const view = new DataView(reply.body.buffer);
    assertEquals([view.getUint32(0, true), view.getUint32(4, true)], [
      64,
      READ | WRITE | MMAP | CAPS,
    ]);
    // struct vfio_info_cap_header, sparse mmap, one area of 0x1000..0x2fff.
    assertEquals(
      reply.body.subarray(32),
      bytes(
        [2, 1],
        [2, 1],
        u32(0),
        u32(1),
        u32(0),
        u64(0x1000),
        u64(0x2000),
      ),
    );
    assertEquals(view.getUint32(12, true), 32);
    using mapping = mapRegion(reply, 0x3000);
    mapping.bytes.set([1, 2, 3, 4, 5, 6, 7, 8], 0x1ff8);
    assertEquals(
      host.device.shared.subarray(0xff8, 0x1000),
      new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]),
    );
    host.device.shared[0] = 0x77;
    assertEquals(mapping.bytes[0x1000], 0x77);
    // All operations work by message too, and never reach the device there.
    assertEquals(
      client.call(9, wire.regionRead(2, 0x1ff8, 8)).body.subarray(16),
      mapping.bytes.slice(0x1ff8, 0x2000),
    );
    client.call(10, wire.regionWrite(2, 0x2000, new Uint8Array([9, 8])));
    assertEquals(mapping.bytes.slice(0x2000, 0x2002), new Uint8Array([9, 8]));
    const large = client.call(9, wire.regionRead(2, 0x1000, 0x2000)).body.subarray(16);
    assertEquals(large, mapping.bytes.slice(0x1000, 0x3000));
    assertEquals(host.device.log, []);
    client.call(9, wire.regionRead(2, 0xffc, 8));
    assertEquals(host.device.log, ["read 2 ffc 4"]);
  });
});

Deno.test("vfio-user rule 10: a client that takes no descriptors is told of no mapping", () => {
  withProbe((host) => {
    using client = host.client({ max_msg_fds: 0 });
    const { body, descriptors } = client.call(5, regionInfo(64, 2));
    assertEquals([new DataView(body.buffer).getUint32(4, true), body.length], [READ | WRITE, 32]);
    assertEquals(descriptors.length, 0);
  });
});

Deno.test("vfio-user rule 11: with small argsz only the header comes, with the size needed", () => {
  withProbe((host) => {
    using client = host.client({ max_msg_fds: 8 });
    for (const argsz of [16, 56, 95]) {
      const { body, descriptors } = client.call(6, ioFds(argsz, 2));
      assertEquals(body, bytes(u32(96), u32(0), u32(2), u32(2)));
      assertEquals(descriptors.length, 0);
    }
    assertEquals(client.call(6, ioFds(16, 0)).body, bytes(u32(16), u32(0), u32(0), u32(0)));
  });
});

Deno.test("vfio-user rule 11: doorbells come with eventfds, and ringing one reaches the device", () => {
  withProbe((host) => {
    using client = host.driver({ max_msg_fds: 8 });
    const { body, descriptors } = client.call(6, ioFds(0x1000, 2));
    assertEquals(body.length, 96);
    assertEquals(
      body.subarray(16, 56),
      bytes(u64(0x10), u64(4), u32(0), u32(0), u32(0), u32(0), u64(0)),
    );
    assertEquals(
      body.subarray(56),
      bytes(u64(0x14), u64(2), u32(1), u32(0), u32(1), u32(0), u64(7)),
    );
    assertEquals(descriptors.length, 2);
    for (const descriptor of descriptors) signalEvent(descriptor.fd);
    signalEvent(descriptors[0]!.fd);
    host.turn(2);
    assertEquals(host.device.log.toSorted(), ["write 2 10 4 0", "write 2 14 2 7"]);
    // The same ones when asked again; none of the next client's.
    const again = client.call(6, ioFds(0x1000, 2));
    signalEvent(again.descriptors[0]!.fd);
    host.turn(2);
    assertEquals(host.device.log.length, 3);
    client.close();
    host.turn(3);
    signalEvent(descriptors[0]!.fd);
    host.turn(2);
    assertEquals(host.device.log.length, 3);
    for (const descriptor of [...descriptors, ...again.descriptors]) descriptor.close();
  });
});

Deno.test("vfio-user rule 11: hundreds of doorbells come with as many eventfds as one message carries", () => {
  const doorbells = Array.from({ length: 300 }, (_, i) => ({ offset: 4 * i, size: 4 as const }));
  class Bells extends Probe {
    override readonly bars: readonly BarLayout[] = [
      { index: 0, size: 0x1000, kind: "mmio32", doorbells },
    ];
    override readonly interrupts: InterruptSpec = { pin: 1 };
  }
  withDevice(new Bells(), (host) => {
    using client = host.client({ max_msg_fds: 1024 });
    const size = 16 + 253 * 40;
    assertEquals(client.call(6, ioFds(16, 0)).body, bytes(u32(size), u32(0), u32(0), u32(253)));
    const { body, descriptors } = client.call(6, ioFds(size, 0));
    assertEquals([body.length, descriptors.length], [size, 253]);
    for (const descriptor of descriptors) descriptor.close();
  });
});

Deno.test("vfio-user rule 11: what is rung before a reset reaches the device before it", () => {
  withProbe((host) => {
    using client = host.driver({ max_msg_fds: 8 });
    const { descriptors } = client.call(6, ioFds(0x1000, 2));
    // Whichever of the descriptors is looked at first in a turn.
    for (let round = 1; round <= 4; round++) {
      client.call(10, wire.regionWrite(7, 4, new Uint8Array([7, 0])));
      signalEvent(descriptors[0]!.fd);
      assertEquals(client.call(13).errno, 0);
      host.turn(2);
      // After the reset the BAR does not answer.
      assertEquals([host.device.resets, host.device.log.length], [round, round]);
    }
    for (const descriptor of descriptors) descriptor.close();
  });
});

Deno.test("vfio-user rule 11: only as many doorbells are offered as the client takes descriptors", () => {
  withProbe((host) => {
    using client = host.client({ max_msg_fds: 1 });
    const { body, descriptors } = client.call(6, ioFds(0x1000, 2));
    assertEquals([body.length, descriptors.length], [56, 1]);
    descriptors[0]!.close();
  });
});
