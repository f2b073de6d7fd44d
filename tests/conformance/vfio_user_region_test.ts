/**
 * REGION_READ, REGION_WRITE and REGION_WRITE_MULTI (spec/08 rules 13 to 15), over a real socket.
 * @module
 */

import { assertEquals } from "@std/assert";
import { ProbeCommand, ProbeRegister } from "./vfio_user/probe.ts";
import { withProbe } from "./vfio_user/host.ts";
import * as wire from "./vfio_user/wire.ts";

const EINVAL = 22;
const CONFIG = 7;
const { bytes, u32, u64, regionRead, regionWrite } = wire;

const REFUSED: readonly [string, number, Uint8Array][] = [
  ["read past the end", 9, regionRead(0, 0x4000, 4)],
  ["read across the end", 9, regionRead(0, 0x3ffe, 4)],
  ["read of one byte more than the region", 9, regionRead(0, 0, 0x4001)],
  ["read whose offset and count wrap", 9, regionRead(0, 0xffff_ffff_ffff_fffcn, 8)],
  ["read at 2^63", 9, regionRead(0, 2n ** 63n, 4)],
  ["read at 2^53", 9, regionRead(0, 2n ** 53n, 4)],
  ["read of the upper half of a 64-bit BAR", 9, regionRead(3, 0, 4)],
  ["read of an absent BAR", 9, regionRead(1, 0, 4)],
  ["read of an absent BAR, count 0", 9, regionRead(1, 0, 0)],
  ["read of the ROM", 9, regionRead(6, 0, 4)],
  ["read of VGA", 9, regionRead(8, 0, 4)],
  ["read of region 9", 9, regionRead(9, 0, 4)],
  ["read of region 2^32 - 1", 9, regionRead(0xffff_ffff, 0, 4)],
  ["read above the transfer limit", 9, regionRead(0, 0, 0x10_0001)],
  ["read of 2^32 - 1 bytes", 9, regionRead(0, 0, 0xffff_ffff)],
  ["read past configuration space", 9, regionRead(CONFIG, 0x100, 1)],
  ["short read request", 9, regionRead(0, 0, 4).subarray(0, 15)],
  ["write past the end", 10, regionWrite(0, 0x4000, new Uint8Array(4))],
  ["write across the end", 10, regionWrite(0, 0x3ffe, new Uint8Array(4))],
  ["write that wraps", 10, regionWrite(0, 0xffff_ffff_ffff_fffcn, new Uint8Array(8))],
  ["write to an absent BAR", 10, regionWrite(1, 0, new Uint8Array(4))],
  ["write to region 9", 10, regionWrite(9, 0, new Uint8Array(4))],
  ["write with less payload than count", 10, regionWrite(0, 0, new Uint8Array(3), 4)],
  ["write with no payload", 10, regionWrite(0, 0, new Uint8Array(0), 4)],
  ["write of 2^32 - 1 bytes", 10, regionWrite(0, 0, new Uint8Array(4), 0xffff_ffff)],
  ["short write request", 10, regionWrite(0, 0, new Uint8Array(0)).subarray(0, 15)],
];

for (const [name, command, body] of REFUSED) {
  Deno.test(`vfio-user rule 13: ${name}: EINVAL`, () => {
    withProbe((host) => {
      using client = host.driver();
      assertEquals(client.call(command, body).errno, EINVAL);
      assertEquals(client.call(9, regionRead(0, 0, 4)).errno, 0);
      assertEquals(host.device.memory.every((byte) => byte === 0), true);
    });
  });
}

Deno.test("vfio-user rule 13: count 0 succeeds with the fixed part alone, up to the very end", () => {
  withProbe((host) => {
    using client = host.driver();
    for (const offset of [0, 3, 0x4000]) {
      assertEquals(client.call(9, regionRead(0, offset, 0)).body, regionRead(0, offset, 0));
      const written = client.call(10, regionWrite(0, offset, new Uint8Array(0)));
      assertEquals([written.errno, written.body], [0, regionRead(0, offset, 0)]);
    }
    assertEquals(client.call(9, regionRead(0, 0x4001, 0)).errno, EINVAL);
  });
});

Deno.test("vfio-user rule 13: READ replies with 16 fixed bytes and the data, WRITE echoes the 16", () => {
  withProbe((host) => {
    using client = host.driver();
    const data = new Uint8Array(0x1000).map((_, at) => at * 7 + (at >> 8));
    for (
      const [offset, count] of [
        [0, 0x1000],
        [0, 1],
        [1, 1],
        [2, 2],
        [4, 4],
        [8, 8],
        [3, 5],
        [
          1,
          0x7ff,
        ],
        [2, 9],
        [6, 4],
        [0x10, 3],
        [0xfff, 1],
      ] as const
    ) {
      const part = data.subarray(offset, offset + count);
      const written = client.call(10, regionWrite(0, offset, part));
      assertEquals(written.body, regionRead(0, offset, count));
      const read = client.call(9, regionRead(0, offset, count));
      assertEquals(read.body, bytes(regionRead(0, offset, count), part));
    }
    assertEquals(host.device.memory, data);
  });
});

Deno.test("vfio-user rule 13: more payload than count is fine, and only count bytes are written", () => {
  withProbe((host) => {
    using client = host.driver();
    assertEquals(client.call(10, regionWrite(0, 0, new Uint8Array(64).fill(1), 2)).errno, 0);
    assertEquals(host.device.memory.subarray(0, 4), new Uint8Array([1, 1, 0, 0]));
  });
});

Deno.test("vfio-user rule 13: accesses reach the device in the sizes a processor makes", () => {
  withProbe((host) => {
    using client = host.driver();
    const cases: [number, number, string[]][] = [
      [0x20, 4, ["20 4"]],
      [0x22, 2, ["22 2"]],
      [0x23, 1, ["23 1"]],
      [0x28, 8, ["28 4", "2c 4"]],
      [0x22, 4, ["22 2", "24 2"]],
      [0x21, 8, ["21 1", "22 2", "24 4", "28 1"]],
      [0x20, 11, ["20 4", "24 4", "28 2", "2a 1"]],
    ];
    for (const [offset, count, accesses] of cases) {
      host.device.log = [];
      client.call(9, regionRead(2, offset, count));
      assertEquals(host.device.log, accesses.map((access) => `read 2 ${access}`));
    }
    host.device.log = [];
    client.call(10, regionWrite(5, 0x10, bytes(u32(0x1234_5678))));
    assertEquals(host.device.log, ["write 5 10 4 12345678"]);
  });
});

Deno.test("vfio-user rule 13: a BAR that does not answer reads all ones, and takes no write", () => {
  withProbe((host) => {
    using client = host.client();
    const { body, errno } = client.call(9, regionRead(0, 0, 8));
    assertEquals([errno, body.subarray(16)], [0, new Uint8Array(8).fill(0xff)]);
    assertEquals(client.call(10, regionWrite(0, 0, new Uint8Array(8).fill(3))).errno, 0);
    assertEquals(host.device.memory[0], 0);
    // The shared part neither.
    assertEquals(
      client.call(9, regionRead(2, 0x1000, 64)).body.subarray(16),
      new Uint8Array(64).fill(0xff),
    );
  });
});

Deno.test("vfio-user rule 13: a model that throws costs the access all ones, and nobody else anything", () => {
  withProbe((host) => {
    using client = host.driver();
    const command = bytes(u32(ProbeCommand.THROW));
    assertEquals(client.call(10, regionWrite(0, ProbeRegister.COMMAND, command)).errno, 0);
    assertEquals(host.server.hosted.errorCount, 1);
    assertEquals(client.call(9, regionRead(0, 0, 4)).errno, 0);
  });
});

const write = (region: number, offset: number | bigint, count: number, data: number | bigint) =>
  bytes(u64(offset), u32(region), u32(count), u64(data));
const multi = (count: number | bigint, ...writes: Uint8Array[]) => bytes(u64(count), ...writes);

Deno.test("vfio-user rule 14: WRITE_MULTI is EINVAL unless it was negotiated", () => {
  withProbe((host) => {
    using client = host.driver();
    assertEquals(client.call(15, multi(1, write(0, 0, 4, 1))).errno, EINVAL);
    assertEquals(host.device.memory[0], 0);
  });
});

Deno.test("vfio-user rule 14: WRITE_MULTI does every write, in order, and says how many", () => {
  withProbe((host) => {
    using client = host.driver({ write_multiple: true });
    const reply = client.call(
      15,
      multi(
        5,
        write(0, 0, 4, 0x1111_1111),
        write(0, 2, 1, 0x22),
        write(0, 8, 8, 0x8877_6655_4433_2211n),
        write(2, 0x40, 2, 0xbeef),
        write(CONFIG, 0x3c, 1, 9),
      ),
    );
    assertEquals(reply.body, bytes(u64(5)));
    assertEquals(host.device.memory.subarray(0, 4), new Uint8Array([0x11, 0x11, 0x22, 0x11]));
    assertEquals(host.device.memory[15], 0x88);
    assertEquals(host.device.log, ["write 2 40 2 beef"]);
    assertEquals(client.call(9, regionRead(CONFIG, 0x3c, 1)).body[16], 9);
    assertEquals(client.call(15, multi(0)).body, bytes(u64(0)));
    const many = Array.from({ length: 200 }, (_, i) => write(0, 0x100 + 4 * i, 4, i));
    assertEquals(client.call(15, multi(200, ...many)).body, bytes(u64(200)));
  });
});

for (
  const [name, bad] of [
    ["out of bounds", write(0, 0x4000, 4, 1)],
    ["of an absent region", write(1, 0, 4, 1)],
    ["of region 9", write(9, 0, 4, 1)],
    ["of 0 bytes", write(0, 0, 0, 1)],
    ["of 9 bytes", write(0, 0, 9, 1)],
    ["at 2^64 - 4", write(0, 0xffff_ffff_ffff_fffcn, 8, 1)],
  ] as const
) {
  Deno.test(`vfio-user rule 14: a write ${name} ends the message, and those before it count`, () => {
    withProbe((host) => {
      using client = host.driver({ write_multiple: true });
      const reply = client.call(
        15,
        multi(4, write(0, 0, 1, 1), write(0, 1, 1, 2), bad, write(0, 2, 1, 3)),
      );
      assertEquals([reply.errno, reply.body], [0, bytes(u64(2))]);
      assertEquals(host.device.memory.subarray(0, 3), new Uint8Array([1, 2, 0]));
    });
  });
}

Deno.test("vfio-user rule 14: WRITE_MULTI with fewer writes than it says is EINVAL, and none is done", () => {
  withProbe((host) => {
    using client = host.driver({ write_multiple: true });
    for (const count of [2, 0xffff_ffff, 2n ** 63n, 2n ** 64n - 1n]) {
      assertEquals(client.call(15, multi(count, write(0, 0, 4, 1))).errno, EINVAL);
    }
    assertEquals(client.call(15, new Uint8Array(7)).errno, EINVAL);
    assertEquals(host.device.memory[0], 0);
  });
});

Deno.test("vfio-user rule 15: writes to read-only configuration registers change nothing, and succeed", () => {
  withProbe((host) => {
    using client = host.client();
    const before = client.call(9, regionRead(CONFIG, 0, 0x100)).body.slice(16);
    // Vendor and device, class, header type, capability pointer, capability headers.
    for (const offset of [0x00, 0x02, 0x08, 0x0e, 0x34, before[0x34]!]) {
      const ones = new Uint8Array([0xff, 0xff]);
      assertEquals(client.call(10, regionWrite(CONFIG, offset, ones)).errno, 0);
    }
    assertEquals(client.call(9, regionRead(CONFIG, 0, 0x100)).body.slice(16), before);
  });
});

Deno.test("vfio-user rule 15: configuration space takes accesses of any length, bytewise", () => {
  withProbe((host) => {
    using client = host.client();
    // BARs size themselves: 16 KiB of 32-bit memory, 64-bit prefetchable or not, I/O ports.
    client.call(10, regionWrite(CONFIG, 0x10, new Uint8Array(24).fill(0xff)));
    const bars = client.call(9, regionRead(CONFIG, 0x10, 24)).body.slice(16);
    const view = new DataView(bars.buffer);
    assertEquals([0, 4, 8, 12, 16, 20].map((at) => view.getUint32(at, true)), [
      0xffff_c000,
      0,
      0xffff_c004,
      0xffff_ffff,
      0xffff_f000,
      0xffff_ffe1,
    ]);
    const whole = client.call(9, regionRead(CONFIG, 0, 0x100)).body.slice(16);
    for (const [offset, count] of [[0, 3], [1, 2], [0x0f, 5], [0xff, 1], [0x3d, 1]] as const) {
      const part = client.call(9, regionRead(CONFIG, offset, count)).body.slice(16);
      assertEquals(part, whole.subarray(offset, offset + count));
    }
  });
});
