/**
 * VFIO_USER_DEVICE_FEATURE, MIG_DATA_READ and MIG_DATA_WRITE: migration and dirty pages (spec/08 rules
 * 22 to 24), over a real socket.
 * @module
 */

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { Access, type Iova } from "../../core/address.ts";
import { Edu } from "../../devices/edu/edu.ts";
import { Streamer } from "../../devices/streamer/streamer.ts";
import { EventFd, signalEvent } from "../../protocols/linux/eventfd.ts";
import { migrationPath } from "../../protocols/vfio_user/server/migration.ts";
import { ClientMemory, type Host, withDevice, withProbe } from "./vfio_user/host.ts";
import type { Probe } from "./vfio_user/probe.ts";
import type { RawClient } from "./vfio_user/raw_client.ts";
import * as wire from "./vfio_user/wire.ts";

const EINVAL = 22, ENOENT = 2;
const { bytes, u32, u64, feature } = wire;
const GET = 0x1_0000, SET = 0x2_0000, PROBE = 0x4_0000;
const MIGRATION = 1, STATE = 2, START = 6, STOP_LOG = 7, REPORT = 8;
const STOP = 1, RUNNING = 2, STOP_COPY = 3, RESUMING = 4, PRE_COPY = 6;
const INFO = bytes(u32(16), u32(0), u32(0), u32(0));

const state = (value: number) => bytes(u32(value), u32(0));
const start = (pageSize: number | bigint, ranges: [number | bigint, number | bigint][] = []) =>
  bytes(
    u64(pageSize),
    u32(ranges.length),
    u32(0),
    ...ranges.map(([iova, length]) => bytes(u64(iova), u64(length))),
  );
const report = (iova: number | bigint, length: number | bigint, pageSize: number | bigint) =>
  bytes(u64(iova), u64(length), u64(pageSize));

const REFUSED: readonly [string, Uint8Array][] = [
  ["no operation", feature(MIGRATION, undefined, 16)],
  ["GET with SET", feature(GET | SET | STATE, state(1))],
  ["an unknown feature", feature(GET | 3, undefined, 64)],
  ["feature 0", feature(GET | 0, undefined, 64)],
  ["feature 65535", feature(GET | 0xffff, undefined, 64)],
  ["a probe of an unknown feature", feature(PROBE | 3)],
  ["a flag that is not known", feature(0x8_0000 | GET | MIGRATION, undefined, 16)],
  ["a short body", feature(GET | MIGRATION).subarray(0, 7)],
  ["argsz 7", feature(GET | MIGRATION, undefined, 7)],
  ["SET of MIGRATION", feature(SET | MIGRATION, new Uint8Array(8))],
  ["PROBE and SET of MIGRATION", feature(PROBE | SET | MIGRATION)],
  ["PROBE of GET and SET of MIGRATION", feature(PROBE | GET | SET | MIGRATION)],
  ["GET of START", feature(GET | START, undefined, 64)],
  ["PROBE and GET of STOP", feature(PROBE | GET | STOP_LOG)],
  ["PROBE and SET of REPORT", feature(PROBE | SET | REPORT)],
  ["GET of MIGRATION with small argsz", feature(GET | MIGRATION, undefined, 15)],
  ["GET of the state with small argsz", feature(GET | STATE, undefined, 15)],
  ["SET of the state with small argsz", feature(SET | STATE, state(1), 8)],
  ["SET of the state without data", feature(SET | STATE, undefined, 16)],
];

for (const [name, body] of REFUSED) {
  Deno.test(`vfio-user rule 22: ${name}: EINVAL`, () => {
    withProbe((host) => {
      using client = host.client();
      assertEquals(client.call(16, body).errno, EINVAL);
      assertEquals(host.server.migrationState, RUNNING);
    });
  });
}

Deno.test("vfio-user rule 22: PROBE echoes", () => {
  withProbe((host) => {
    using client = host.client();
    for (
      const flags of [
        MIGRATION,
        GET | MIGRATION,
        STATE,
        GET | SET | STATE,
        SET | START,
        SET | STOP_LOG,
        GET | REPORT,
      ]
    ) {
      const reply = client.call(16, feature(PROBE | flags));
      assertEquals([reply.errno, reply.body], [0, feature(PROBE | flags)]);
    }
  });
});

Deno.test("vfio-user rule 22: a device that cannot be saved has no migration, but its pages are logged", () => {
  withDevice(new Streamer(), (host) => {
    using client = host.client();
    assertEquals(client.call(16, feature(GET | MIGRATION, undefined, 16)).errno, EINVAL);
    assertEquals(client.call(16, feature(PROBE | MIGRATION)).errno, EINVAL);
    assertEquals(client.call(16, feature(SET | STATE, state(STOP))).errno, EINVAL);
    assertEquals(client.call(16, feature(SET | START, start(4096))).errno, 0);
  });
});

Deno.test("vfio-user rule 23: MIGRATION tells stop-copy and pre-copy, the state is RUNNING", () => {
  withProbe((host) => {
    using client = host.client();
    assertEquals(
      client.call(16, feature(GET | MIGRATION, undefined, 16)).body,
      bytes(u32(16), u32(GET | MIGRATION), u64(5)),
    );
    assertEquals(
      client.call(16, feature(GET | STATE, undefined, 100)).body,
      bytes(u32(16), u32(GET | STATE), u32(RUNNING), u32(0)),
    );
  });
});

const setState = (client: RawClient, value: number) =>
  client.call(16, feature(SET | STATE, state(value))).errno;

/** Brings a device into a state from RUNNING; null where a stream would be needed on the way. */
const WAYS: Readonly<Record<number, readonly number[]>> = {
  [RUNNING]: [],
  [STOP]: [STOP],
  [STOP_COPY]: [STOP, STOP_COPY],
  [RESUMING]: [STOP, RESUMING],
  [PRE_COPY]: [PRE_COPY],
};

const NAMES: Readonly<Record<number, string>> = {
  0: "ERROR",
  1: "STOP",
  2: "RUNNING",
  3: "STOP_COPY",
  4: "RESUMING",
  5: "RUNNING_P2P",
  6: "PRE_COPY",
  7: "PRE_COPY_P2P",
  8: "state 8",
  0xffff_ffff: "state 2^32 - 1",
};

for (const from of [STOP, RUNNING, STOP_COPY, RESUMING, PRE_COPY]) {
  for (const to of [0, 1, 2, 3, 4, 5, 6, 7, 8, 0xffff_ffff]) {
    const known = to in WAYS;
    // Out of RESUMING nothing leads without a whole stream, and none was written here.
    const fails = !known || (from === STOP_COPY && to === PRE_COPY) ||
      (from === RESUMING && to !== RESUMING);
    Deno.test(`vfio-user rule 23: ${NAMES[from]} to ${NAMES[to]}: ${fails ? "EINVAL" : "done"}`, () => {
      withProbe((host) => {
        using client = host.client();
        for (const step of WAYS[from]!) assertEquals(setState(client, step), 0);
        const reply = client.call(16, feature(SET | STATE, state(to)));
        assertEquals(reply.errno, fails ? EINVAL : 0);
        if (!fails) assertEquals(reply.body, feature(SET | STATE, state(to)));
        assertEquals(host.server.migrationState, fails ? from : to);
        const { pauses, resumes } = host.device;
        const runs = host.server.migrationState === RUNNING ||
          host.server.migrationState === PRE_COPY;
        assertEquals(pauses - resumes, runs ? 0 : 1);
      });
    });
  }
}

Deno.test("vfio-user rule 23: complex transitions go the shortest way, without a saving state inside", () => {
  assertEquals(migrationPath(RUNNING, STOP_COPY), [STOP, STOP_COPY]);
  assertEquals(migrationPath(RUNNING, RESUMING), [STOP, RESUMING]);
  assertEquals(migrationPath(PRE_COPY, STOP), [RUNNING, STOP]);
  assertEquals(migrationPath(PRE_COPY, RESUMING), [RUNNING, STOP, RESUMING]);
  assertEquals(migrationPath(STOP, PRE_COPY), [RUNNING, PRE_COPY]);
  assertEquals(migrationPath(RESUMING, PRE_COPY), [STOP, RUNNING, PRE_COPY]);
  assertEquals(migrationPath(STOP_COPY, PRE_COPY), null);
});

const migRead = (size: number, argsz = 8 + size) => bytes(u32(argsz), u32(size));
const migWrite = (data: Uint8Array, size = data.length) => bytes(u32(8 + size), u32(size), data);

Deno.test("vfio-user rule 23: data is read in PRE_COPY and STOP_COPY, and written in RESUMING alone", () => {
  for (const at of [STOP, RUNNING, STOP_COPY, RESUMING, PRE_COPY]) {
    withProbe((host) => {
      using client = host.client();
      for (const step of WAYS[at]!) setState(client, step);
      const reads = at === STOP_COPY || at === PRE_COPY;
      assertEquals(client.call(17, migRead(16)).errno, reads ? 0 : EINVAL);
      assertEquals(
        client.call(18, migWrite(new Uint8Array(4))).errno,
        at === RESUMING ? 0 : EINVAL,
      );
      assertEquals(
        client.call(17, migRead(0x10_0001)).errno,
        EINVAL,
        "more than the transfer limit",
      );
      assertEquals(client.call(17, migRead(16, 23)).errno, EINVAL, "argsz too small");
      assertEquals(client.call(17, new Uint8Array(7)).errno, EINVAL);
      assertEquals(
        client.call(18, migWrite(new Uint8Array(4), 5)).errno,
        EINVAL,
        "less data than size",
      );
      assertEquals(client.call(18, new Uint8Array(7)).errno, EINVAL);
    });
  }
});

Deno.test("vfio-user rule 23: writes above the transfer limit are EINVAL", () => {
  withProbe((host) => {
    using client = host.client({ max_data_xfer_size: 256 });
    for (const step of WAYS[RESUMING]!) setState(client, step);
    assertEquals(client.call(18, migWrite(new Uint8Array(256))).errno, 0);
    assertEquals(client.call(18, migWrite(new Uint8Array(257))).errno, EINVAL);
  });
});

Deno.test("vfio-user rule 23: in STOP and STOP_COPY only data and DEVICE_FEATURE pass", () => {
  for (const at of [STOP, STOP_COPY]) {
    withProbe((host) => {
      using client = host.driver();
      for (const step of WAYS[at]!) setState(client, step);
      const others: [number, Uint8Array][] = [
        [2, wire.dmaMap(0x1000, 0x1000)],
        [3, wire.dmaUnmap(0x1000, 0x1000)],
        [4, INFO],
        [7, bytes(u32(16), u32(0), u32(0), u32(0))],
        [8, wire.setIrqs(0x21, 0, 0, 0)],
        [9, wire.regionRead(0, 0, 4)],
        [10, wire.regionWrite(0, 0, new Uint8Array(4).fill(1))],
        [13, new Uint8Array(0)],
      ];
      for (const [command, body] of others) assertEquals(client.call(command, body).errno, EINVAL);
      assertEquals(host.device.memory[0], 0);
      assertEquals(client.call(16, feature(GET | STATE, undefined, 16)).errno, 0);
      assertEquals(setState(client, RUNNING), 0);
      assertEquals(client.call(4, INFO).errno, 0);
    });
  }
});

Deno.test("vfio-user rule 23: doorbells rung before STOP reach the device before it, those rung after it never", () => {
  withProbe((host) => {
    using client = host.driver({ max_msg_fds: 8 });
    const { descriptors } = client.call(6, bytes(u32(0x1000), u32(0), u32(2), u32(0)));
    const ring = () => signalEvent(descriptors[0]!.fd);
    // Whichever of the descriptors is looked at first in a turn.
    for (let round = 1; round <= 4; round++) {
      const early = round * 2 - 1;
      let before = -1;
      host.device.onPause = () => before = host.device.log.length;
      ring();
      assertEquals(setState(client, STOP), 0);
      assertEquals([before, host.device.log.length], [early, early]);
      ring();
      host.turn(2);
      assertEquals(setState(client, STOP_COPY), 0);
      ring();
      assertEquals(setState(client, RUNNING), 0);
      host.turn(2);
      assertEquals(host.device.log.length, early);
      ring();
      host.turn(2);
      assertEquals(host.device.log.length, early + 1);
    }
    for (const descriptor of descriptors) descriptor.close();
  });
});

/** Reads to the end, in pieces. */
function readStream(client: RawClient, piece = 100): Uint8Array {
  const parts: Uint8Array[] = [];
  for (;;) {
    const { body, errno } = client.call(17, migRead(piece));
    assertEquals(errno, 0);
    const size = new DataView(body.buffer).getUint32(4, true);
    assertEquals([new DataView(body.buffer).getUint32(0, true), body.length], [8 + size, 8 + size]);
    parts.push(body.subarray(8));
    if (size < piece) return bytes(...parts);
  }
}

function writeStream(client: RawClient, stream: Uint8Array, piece = 99): void {
  for (let at = 0; at < stream.length; at += piece) {
    assertEquals(client.call(18, migWrite(stream.subarray(at, at + piece))).errno, 0);
  }
}

/** The stream of a probe with a value, memory and configuration of its own. */
function probeStream(): Uint8Array {
  let stream = new Uint8Array(0);
  withProbe((host) => {
    using client = host.driver();
    host.device.value = 42;
    host.device.memory.fill(7);
    client.call(10, wire.regionWrite(7, 0x3c, new Uint8Array([11])));
    assertEquals(setState(client, STOP_COPY), 0);
    stream = readStream(client) as Uint8Array<ArrayBuffer>;
    assertEquals(client.call(17, migRead(16)).body, bytes(u32(8), u32(0)), "nothing is left");
  });
  return stream;
}

Deno.test("vfio-user rule 23: stop-copy carries device and configuration to another server", () => {
  const stream = probeStream();
  withProbe((host) => {
    using client = host.client();
    assertEquals(setState(client, RESUMING), 0);
    writeStream(client, stream);
    assertEquals(setState(client, RUNNING), 0);
    assertEquals([host.device.value, host.device.memory[0xfff]], [42, 7]);
    assertEquals(client.call(9, wire.regionRead(7, 0x3c, 1)).body[16], 11);
    // Bus mastering came along.
    assertEquals(
      client.call(9, wire.regionRead(7, 4, 2)).body.subarray(16),
      new Uint8Array([7, 0]),
    );
    assertEquals(client.call(9, wire.regionRead(0, 0, 1)).body[16], 7);
  });
});

Deno.test("vfio-user rule 23: pre-copy runs on, and ends with the state as it is then", () => {
  let stream = new Uint8Array(0);
  withProbe((host) => {
    using client = host.driver();
    host.device.value = 1;
    assertEquals(setState(client, PRE_COPY), 0);
    const early = readStream(client);
    assert(early.length > 0);
    host.device.value = 2;
    assertEquals(client.call(4, INFO).errno, 0);
    assertEquals(client.call(17, migRead(64)).body, bytes(u32(8), u32(0)));
    assertEquals(setState(client, STOP_COPY), 0);
    host.device.value = 3;
    stream = bytes(early, readStream(client));
  });
  withProbe((host) => {
    using client = host.client();
    assertEquals(setState(client, RESUMING), 0);
    writeStream(client, stream, 7);
    assertEquals(setState(client, STOP), 0);
    assertEquals(host.device.value, 2);
  });
});

Deno.test("vfio-user rule 23: a stream that is cut, lengthened or changed is refused whole", () => {
  const stream = probeStream();
  const text = new TextDecoder("latin1").decode(stream);
  const patched = (from: string, to: string) => {
    assert(text.includes(from) && from.length === to.length);
    return Uint8Array.from(text.replace(from, to), (c) => c.charCodeAt(0));
  };
  const changed = (at: number, value: number) => stream.with(at, value);
  const bad: [string, Uint8Array][] = [
    ["nothing", new Uint8Array(0)],
    ["cut by a byte", stream.subarray(0, -1)],
    ["cut in the first header", stream.subarray(0, 5)],
    ["without its second record", stream.subarray(0, 12 + 16)],
    ["with a byte more", bytes(stream, new Uint8Array(1))],
    ["twice", bytes(stream, stream)],
    ["another magic", changed(0, 0)],
    ["another version", changed(4, 9)],
    ["another kind", changed(6, 2)],
    ["a length beyond the end", changed(10, 0xff)],
    ["another device", patched(`"probe"`, `"prods"`)],
    ["another vendor", patched(`"config":"3412`, `"config":"3512`)],
    ["no hexadecimal", patched(`"config":"3412`, `"config":"341x`)],
    ["no JSON", patched(`"config":`, `"config"=`)],
    ["a value of another type", patched(`"value":42`, `"value":""`)],
    ["bits of vectors that are not there", patched('00","device', '01","device')],
    ["zeros", new Uint8Array(stream.length)],
  ];
  for (const [name, broken] of bad) {
    withProbe((host) => {
      using client = host.client();
      host.device.value = 5;
      assertEquals(setState(client, RESUMING), 0);
      if (broken.length > 0) writeStream(client, broken, 0x1000);
      assertEquals(setState(client, STOP), EINVAL, name);
      assertEquals([host.server.migrationState, host.device.value], [RESUMING, 5], name);
      assertEquals(client.call(9, wire.regionRead(7, 0x3c, 1)).body[16], 0, name);
      // Another try succeeds.
      writeStream(client, stream, 0x1000);
      assertEquals(setState(client, STOP), 0, name);
      assertEquals(host.device.value, 42);
    });
  }
});

Deno.test("vfio-user rule 23: read-only configuration bits of a stream change nothing", () => {
  const stream = probeStream();
  const text = new TextDecoder("latin1").decode(stream);
  const at = text.indexOf(`"config":"`) + 10;
  // Header type and capability pointer.
  const broken = stream.slice();
  broken.set(new TextEncoder().encode("ff"), at + 2 * 0x0e);
  broken.set(new TextEncoder().encode("ff"), at + 2 * 0x34);
  withProbe((host) => {
    using client = host.client();
    const before = client.call(9, wire.regionRead(7, 0x34, 1)).body[16];
    setState(client, RESUMING);
    writeStream(client, broken, 0x1000);
    assertEquals(setState(client, RUNNING), 0);
    assertEquals(client.call(9, wire.regionRead(7, 0x0e, 1)).body[16], 0);
    assertEquals(client.call(9, wire.regionRead(7, 0x34, 1)).body[16], before);
  });
});

Deno.test("vfio-user rule 23: a stream without end is refused before it fills memory", () => {
  withProbe((host) => {
    using client = host.client();
    setState(client, RESUMING);
    const piece = migWrite(new Uint8Array(0x10_0000));
    let errno = 0;
    for (let i = 0; i < 100 && errno === 0; i++) errno = client.call(18, piece).errno;
    assertEquals(errno, 27);
    assertEquals(client.call(13).errno, 0);
    assertEquals(host.server.migrationState, RUNNING);
  });
});

Deno.test("vfio-user rule 23: a stream takes the memory of its bytes, however small its pieces are", () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const held = () => {
    collect();
    const { heapUsed, external } = Deno.memoryUsage();
    return heapUsed + external;
  };
  withProbe((host) => {
    using client = host.client();
    setState(client, RESUMING);
    const piece = wire.message(18, migWrite(new Uint8Array(1)), { flags: wire.Flag.NO_REPLY });
    const batch = bytes(...new Array<Uint8Array>(256).fill(piece));
    const write = (batches: number) => {
      for (let i = 0; i < batches; i++) {
        client.send(batch);
        host.turn(5);
      }
      assertEquals(client.call(16, feature(GET | STATE, undefined, 16)).errno, 0);
    };
    write(1);
    const before = held();
    write(256);
    const grown = held() - before;
    assert(grown < 0x10_0000, `${grown} bytes for 64 KiB`);
  });
});

Deno.test("vfio-user rule 23: a stream of more values than any state has is refused before it is parsed", () => {
  const text = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
  const record = (kind: number, json: Uint8Array) =>
    bytes(u32(0x5443_4456), [2, 1], [2, kind], u32(json.length), json);
  const many = text({ device: new Array(0x20_0000).fill([]) });
  withProbe((host) => {
    using client = host.client();
    setState(client, RESUMING);
    writeStream(client, bytes(record(1, text({ type: "probe" })), record(2, many)), 0x10_0000);
    assertEquals(setState(client, STOP), EINVAL);
    const { migrationFailure } = host.server.inspect();
    assertEquals(migrationFailure, "record 2 has more than 1048576 values");
  });
});

/** Lets real time pass until `is` holds. */
function until(host: { turn(): void; started: Host<Edu>["started"] }, is: () => boolean): void {
  const end = performance.now() + 5000;
  while (!is()) {
    assert(performance.now() < end, "it never came");
    host.started.reactor.turn(5);
  }
}

for (const way of ["stop-copy", "pre-copy"] as const) {
  Deno.test(`vfio-user rule 23: edu in mid-computation and mid-DMA moves by ${way}, and finishes elsewhere`, () => {
    let stream = new Uint8Array(0);
    using memory = new ClientMemory();
    memory.bytes.set([1, 2, 3, 4, 5, 6, 7, 8], 0x100);
    withDevice(new Edu(), (host) => {
      using client = host.driver();
      using event = EventFd.create();
      client.call(8, wire.setIrqs(0x24, 1, 0, 1), [event.fd]);
      client.call(2, wire.dmaMap(0x10_0000, 0x1000), [memory.fd]);
      const set = (register: number, value: number) =>
        client.call(10, wire.regionWrite(0, register, bytes(u64(value))));
      const set4 = (register: number, value: number) =>
        client.call(10, wire.regionWrite(0, register, bytes(u32(value))));
      set(0x80, 0x10_0100);
      set(0x88, 0x4_0000);
      set(0x90, 8);
      set(0x98, 5);
      set4(0x04, 0x1234);
      if (way === "pre-copy") {
        assertEquals(setState(client, PRE_COPY), 0);
        stream = readStream(client) as Uint8Array<ArrayBuffer>;
      }
      set4(0x20, 0x80);
      set4(0x08, 10);
      assertEquals(setState(client, STOP_COPY), 0);
      stream = bytes(stream, readStream(client));
      assertEquals(event.drain(), 0, "nothing has ended yet");
    });
    withDevice(new Edu(), (host) => {
      using client = host.client();
      using event = EventFd.create();
      client.call(2, wire.dmaMap(0x10_0000, 0x1000), [memory.fd]);
      client.call(8, wire.setIrqs(0x24, 1, 0, 1), [event.fd]);
      assertEquals(setState(client, RESUMING), 0);
      writeStream(client, stream);
      assertEquals(setState(client, STOP), 0);
      host.turn(3);
      assertEquals(event.drain(), 0);
      assertEquals(setState(client, RUNNING), 0);
      const get = (register: number) =>
        new DataView(client.call(9, wire.regionRead(0, register, 4)).body.buffer).getUint32(
          16,
          true,
        );
      let interrupts = 0;
      until(host, () => (interrupts += event.drain()) >= 2);
      assertEquals([get(0x04), get(0x08), get(0x24), get(0x98) & 1], [
        ~0x1234 >>> 0,
        3628800,
        0x101,
        0,
      ]);
      // And back by DMA: the buffer holds what the first server's client had in its memory.
      const set = (register: number, value: number) =>
        client.call(10, wire.regionWrite(0, register, bytes(u64(value))));
      set(0x80, 0x4_0000);
      set(0x88, 0x10_0200);
      set(0x90, 8);
      set(0x98, 7);
      until(host, () => event.drain() > 0);
      assertEquals(memory.bytes.slice(0x200, 0x208), memory.bytes.slice(0x100, 0x108));
      assertEquals(memory.bytes[0x201], 2);
    });
  });
}

Deno.test("vfio-user rule 24: START refuses page sizes that are none, and answers with ours", () => {
  withProbe((host) => {
    using client = host.client();
    for (const size of [0, 3, 4095, 4097, 2n ** 63n + 1n]) {
      assertEquals(client.call(16, feature(SET | START, start(size))).errno, EINVAL);
    }
    const short = bytes(u64(4096), u32(2), u32(0), u64(0), u64(4096));
    assertEquals(client.call(16, feature(SET | START, short)).errno, EINVAL);
    assertEquals(client.call(16, feature(SET | START, start(4096, [[0, 0]]))).errno, EINVAL);
    assertEquals(
      client.call(16, feature(SET | START, start(4096, [[2n ** 64n - 4096n, 8192]]))).errno,
      EINVAL,
    );
    for (const size of [1, 256, 4096, 0x20_0000, 2 ** 40]) {
      const body = feature(SET | START, start(size, [[0x1000, 0x1000]]));
      const reply = client.call(16, body);
      assertEquals([reply.errno, reply.body], [
        0,
        feature(SET | START, start(4096, [[0x1000, 0x1000]])),
      ]);
      assertEquals(
        client.call(16, feature(SET | START, start(4096))).errno,
        EINVAL,
        "started already",
      );
      assertEquals(client.call(16, feature(SET | STOP_LOG)).errno, 0);
    }
    assertEquals(client.call(16, feature(SET | STOP_LOG)).errno, 0, "stopped already");
  });
});

/** Bits set in a report, in order. */
function dirtyBits(client: RawClient, iova: number, length: number, pageSize: number): number[] {
  const bitmap = Math.ceil(Math.ceil(length / pageSize) / 64) * 8;
  const reply = client.call(16, feature(GET | REPORT, report(iova, length, pageSize), 32 + bitmap));
  assertEquals(reply.errno, 0);
  assertEquals(reply.body.length, 32 + bitmap);
  assertEquals(reply.body.subarray(8, 32), report(iova, length, pageSize));
  const found: number[] = [];
  reply.body.subarray(32).forEach((byte, at) => {
    for (let bit = 0; bit < 8; bit++) if ((byte & 1 << bit) !== 0) found.push(8 * at + bit);
  });
  return found;
}

function logging(body: (host: Host<Probe>, client: RawClient, memory: ClientMemory) => void): void {
  withProbe((host) => {
    using client = host.driver();
    using memory = new ClientMemory(0x10_0000);
    client.call(2, wire.dmaMap(0x100_0000, 0x10_0000), [memory.fd]);
    assertEquals(client.call(16, feature(SET | START, start(4096))).errno, 0);
    body(host, client, memory);
  });
}

const touch = (host: Host<Probe>, iova: number, length = 1) =>
  assertEquals(host.device.host.memory.write(iova as Iova, new Uint8Array(length)), 0);

Deno.test("vfio-user rule 24: REPORT tells the pages that devices have written, and clears", () => {
  logging((host, client) => {
    touch(host, 0x100_0000);
    touch(host, 0x100_3fff, 2);
    touch(host, 0x10f_ffff);
    host.device.host.memory.readU32(0x100_8000 as Iova);
    assertEquals(dirtyBits(client, 0x100_0000, 0x10_0000, 4096), [0, 3, 4, 255]);
    assertEquals(dirtyBits(client, 0x100_0000, 0x10_0000, 4096), []);
    touch(host, 0x100_2000);
    touch(host, 0x100_9000);
    assertEquals(dirtyBits(client, 0x100_2000, 0x1000, 4096), [0]);
    assertEquals(dirtyBits(client, 0x100_0000, 0x10_0000, 4096), [9], "the rest was not cleared");
  });
});

for (const pageSize of [1, 256, 512, 1024, 2048, 4096, 8192, 0x1_0000, 0x10_0000, 2 ** 40]) {
  Deno.test(`vfio-user rule 24: REPORT in pages of ${pageSize} bytes`, () => {
    logging((host, client) => {
      touch(host, 0x100_5000);
      touch(host, 0x101_0fff, 2);
      const pages = [5, 16, 17];
      const expected = new Set<number>();
      const length = pageSize === 1 ? 0x2_0000 : 0x10_0000;
      for (const page of pages) {
        for (let at = page * 4096; at < page * 4096 + 4096; at += Math.min(pageSize, 4096)) {
          expected.add(Math.floor(at / pageSize));
        }
      }
      assertEquals(dirtyBits(client, 0x100_0000, length, pageSize), [...expected]);
      assertEquals(dirtyBits(client, 0x100_0000, length, pageSize), []);
    });
  });
}

Deno.test("vfio-user rule 24: REPORT of half a page tells it, and keeps it for the other half", () => {
  logging((host, client) => {
    touch(host, 0x100_5000);
    assertEquals(dirtyBits(client, 0x100_5000, 0x800, 256), [0, 1, 2, 3, 4, 5, 6, 7]);
    assertEquals(dirtyBits(client, 0x100_5800, 0x800, 2048), [0]);
    assertEquals(
      dirtyBits(client, 0x100_4f00, 0x200, 256),
      [1],
      "an unaligned range counts from its start",
    );
  });
});

Deno.test("vfio-user rule 24: a pin's pages are told when it begins, and again when it ends", () => {
  logging((host, client) => {
    assertEquals(host.device.pin(0x100_4000, 0x2000, Access.WRITE), 0);
    assertEquals(dirtyBits(client, 0x100_0000, 0x10_0000, 4096), [4, 5]);
    host.device.release();
    assertEquals(dirtyBits(client, 0x100_0000, 0x10_0000, 4096), [4, 5]);
  });
});

Deno.test("vfio-user rule 24: REPORT on a range with no region is ENOENT, and other things EINVAL", () => {
  logging((_, client) => {
    const call = (body: Uint8Array, argsz: number) =>
      client.call(16, feature(GET | REPORT, body, argsz)).errno;
    assertEquals(call(report(0x200_0000, 0x1000, 4096), 40), ENOENT);
    assertEquals(call(report(2n ** 52n, 0x1000, 4096), 40), ENOENT);
    assertEquals(call(report(0x100_0000, 0, 4096), 40), EINVAL);
    assertEquals(call(report(0x100_0000, 0x1000, 0), 40), EINVAL);
    assertEquals(call(report(0x100_0000, 0x1000, 1000), 40), EINVAL);
    assertEquals(call(report(0x100_0000, 0x1000, 4096), 39), EINVAL, "argsz too small");
    assertEquals(call(report(2n ** 64n - 4096n, 0x2000, 4096), 40), EINVAL, "wraps");
    assertEquals(call(report(0, 2n ** 64n - 1n, 4096), 0xffff_ffff), EINVAL, "a bitmap of 512 TiB");
    assertEquals(call(report(0, 2 ** 51, 1), 0xffff_ffff), EINVAL);
    assertEquals(client.call(16, feature(GET | REPORT, new Uint8Array(23), 64)).errno, EINVAL);
    client.call(16, feature(SET | STOP_LOG));
    assertEquals(call(report(0x100_0000, 0x1000, 4096), 40), EINVAL, "not logging");
  });
});

Deno.test("vfio-user rule 24: a report over a huge range with large pages is answered at once", () => {
  logging((host, client) => {
    touch(host, 0x100_0000);
    assertEquals(dirtyBits(client, 0, 2 ** 52, 2 ** 45), [0]);
  });
});

Deno.test("vfio-user rule 19: UNMAP with DIRTY tells the pages of what it removes, those of DMA in flight too", () => {
  logging((host, client) => {
    touch(host, 0x100_1000);
    assertEquals(host.device.pin(0x100_7000, 0x1000, Access.WRITE), 0);
    dirtyBits(client, 0x100_7000, 0x1000, 4096);
    const body = wire.dmaUnmap(0x100_0000, 0x10_0000, {
      flags: 1,
      argsz: 40 + 32,
      bitmap: [4096, 32],
    });
    client.send(wire.message(3, body, { id: 9 }));
    assert(!client.hears());
    host.device.release();
    const reply = client.receive();
    assert(reply !== "eof");
    assertEquals(reply.errno, 0);
    assertEquals(reply.body.subarray(0, 40), body);
    assertEquals(reply.body.subarray(40, 42), new Uint8Array([0x82, 0]));
    assertEquals(reply.body.length, 72);
    assertEquals(host.server.regions, 0);
  });
  logging((host, client) => {
    for (
      const [argsz, bitmap] of [[72, [4096, 31]], [71, [4096, 32]], [72, [4000, 32]], [
        0xffff_ffff,
        [4096, 0x400_0000],
      ]] as const
    ) {
      const body = wire.dmaUnmap(0x100_0000, 0x10_0000, { flags: 1, argsz, bitmap });
      assertEquals(client.call(3, body).errno, EINVAL);
    }
    assertEquals(host.server.regions, 1);
  });
});

Deno.test("vfio-user rule 24: what is written during pre-copy is reported, also once the device has stopped", () => {
  logging((host, client) => {
    assertEquals(setState(client, PRE_COPY), 0);
    touch(host, 0x100_1000);
    assertEquals(dirtyBits(client, 0x100_0000, 0x10_0000, 4096), [1]);
    touch(host, 0x100_1000);
    touch(host, 0x100_6000, 0x1001);
    assertEquals(setState(client, STOP_COPY), 0);
    assertEquals(dirtyBits(client, 0x100_0000, 0x10_0000, 4096), [1, 6, 7]);
    assertEquals(dirtyBits(client, 0x100_0000, 0x10_0000, 4096), []);
  });
});

Deno.test("vfio-user rule 24: logging ends with the client", () => {
  withProbe((host) => {
    const client = host.driver();
    assertEquals(client.call(16, feature(SET | START, start(4096))).errno, 0);
    client.close();
    host.turn(3);
    using next = host.client();
    assertEquals(next.call(16, feature(GET | REPORT, report(0, 4096, 4096), 64)).errno, EINVAL);
    assertEquals(next.call(16, feature(SET | START, start(4096))).errno, 0);
    assertNotEquals(host.server.metrics.messages().length, 0);
  });
});
