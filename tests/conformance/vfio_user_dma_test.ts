/**
 * VFIO_USER_DMA_MAP and VFIO_USER_DMA_UNMAP (spec/08 rules 16 to 20, spec/09 rule 10), over a real
 * socket.
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { Access, Fault, type Iova } from "../../core/address.ts";
import { Descriptor } from "../../protocols/linux/descriptor.ts";
import { EventFd } from "../../protocols/linux/eventfd.ts";
import {
  F_ADD_SEALS,
  F_SETFL,
  fcntl,
  ftruncate,
  memfdCreate,
  MFD_ALLOW_SEALING,
  MFD_CLOEXEC,
  O_CLOEXEC,
  O_RDONLY,
  O_RDWR,
  open,
} from "../../protocols/linux/libc.ts";
import { ClientMemory, type Host, withProbe } from "./vfio_user/host.ts";
import type { Probe } from "./vfio_user/probe.ts";
import * as wire from "./vfio_user/wire.ts";

const EINVAL = 22, EEXIST = 17, ENOENT = 2, ENOSPC = 28, EACCES = 13;
const { dmaMap, dmaUnmap, Prot } = wire;
const ALL = 2, DIRTY = 1;

const read = (host: Host<Probe>, address: number, length = 4): Uint8Array | number => {
  const into = new Uint8Array(length);
  const status = host.device.host.memory.read(address as Iova, into);
  return status === 0 ? into : status;
};
const write = (host: Host<Probe>, address: number, from: Uint8Array): number =>
  host.device.host.memory.write(address as Iova, from);

/** `fd`: with the client's memory of 0x10000 bytes. */
const REFUSED: readonly [string, Uint8Array, "fd" | "no fd", number][] = [
  ["rule 16: size 0", dmaMap(0x1000, 0), "no fd", EINVAL],
  ["rule 16: size 0 with a descriptor", dmaMap(0x1000, 0), "fd", EINVAL],
  ["rule 16: no protection", dmaMap(0x1000, 0x1000, { flags: 0 }), "fd", EINVAL],
  ["rule 16: a range that wraps", dmaMap(2n ** 64n - 0x1000n, 0x2000), "no fd", EINVAL],
  ["rule 16: all of 2^64 - 1", dmaMap(1, 2n ** 64n - 1n), "no fd", EINVAL],
  ["rule 16: beyond 2^52", dmaMap(2n ** 52n, 0x1000), "no fd", EINVAL],
  ["rule 16: across 2^52", dmaMap(2n ** 52n - 0x1000n, 0x2000), "fd", EINVAL],
  ["rule 16: offset inside a page", dmaMap(0x1000, 0x1000, { offset: 1 }), "fd", EINVAL],
  ["rule 16: size inside a page", dmaMap(0x1000, 0xfff), "fd", EINVAL],
  ["rule 16: a file shorter than the size", dmaMap(0x1000, 0x1_1000), "fd", EINVAL],
  [
    "rule 16: a file shorter than offset and size",
    dmaMap(0x1000, 0x2000, { offset: 0xf000 }),
    "fd",
    EINVAL,
  ],
  ["rule 16: an offset beyond the file", dmaMap(0x1000, 0x1000, { offset: 2 ** 40 }), "fd", EINVAL],
  [
    "rule 16: an offset of 2^64 - 4096",
    dmaMap(0x1000, 0x1000, { offset: 2n ** 64n - 4096n }),
    "fd",
    EINVAL,
  ],
  ["rule 18: an unknown flag", dmaMap(0x1000, 0x1000, { flags: 7 }), "fd", EINVAL],
  [
    "rule 18: a PASID flag that was not agreed on",
    dmaMap(0x1000, 0x1000, { flags: 0x103 }),
    "fd",
    EINVAL,
  ],
  ["rule 18: argsz 31", dmaMap(0x1000, 0x1000, { argsz: 31 }), "fd", EINVAL],
  ["rule 18: a short body", dmaMap(0x1000, 0x1000).subarray(0, 31), "fd", EINVAL],
];

for (const [name, body, with_, errno] of REFUSED) {
  Deno.test(`vfio-user ${name}: refused, and nothing is mapped`, () => {
    withProbe((host) => {
      using client = host.driver();
      using memory = new ClientMemory();
      assertEquals(client.call(2, body, with_ === "fd" ? [memory.fd] : []).errno, errno);
      assertEquals([host.server.regions, host.machine.memory.windows], [0, 0]);
    });
  });
}

Deno.test("vfio-user rule 16: a mapped region is the client's memory, with the protection asked for", () => {
  withProbe((host) => {
    using client = host.driver();
    using memory = new ClientMemory();
    memory.bytes.set([1, 2, 3, 4], 0x2000);
    const map = (address: number, flags: number) =>
      client.call(2, dmaMap(address, 0x2000, { flags, offset: 0x2000 }), [memory.fd]).errno;
    assertEquals(
      [map(0x10_0000, Prot.BOTH), map(0x20_0000, Prot.READ), map(0x30_0000, Prot.WRITE)],
      [0, 0, 0],
    );
    assertEquals(read(host, 0x10_0000), new Uint8Array([1, 2, 3, 4]));
    assertEquals(read(host, 0x20_0000), new Uint8Array([1, 2, 3, 4]));
    assertEquals(read(host, 0x30_0000), Fault.PERMISSION);
    assertEquals(write(host, 0x10_0000, new Uint8Array([5])), 0);
    assertEquals(write(host, 0x20_0000, new Uint8Array([6])), Fault.PERMISSION);
    assertEquals(write(host, 0x30_1fff, new Uint8Array([7])), 0);
    assertEquals([memory.bytes[0x2000], memory.bytes[0x3fff]], [5, 7]);
    assertEquals(read(host, 0x10_2000), Fault.UNMAPPED);
    assertEquals(
      read(host, 0x20_0000),
      new Uint8Array([5, 2, 3, 4]),
      "what the other side writes is seen",
    );
    // One mapping of the whole file for each access, however many regions lie in it.
    assertEquals(host.machine.files.count, 2);
  });
});

Deno.test("vfio-user rule 16: an address inside a page is fine, and so is the top of our addresses", () => {
  withProbe((host) => {
    using client = host.driver();
    using memory = new ClientMemory();
    memory.bytes[0] = 9;
    assertEquals(client.call(2, dmaMap(0x1234, 0x1000), [memory.fd]).errno, 0);
    assertEquals(read(host, 0x1234, 1), new Uint8Array([9]));
    assertEquals(client.call(2, dmaMap(2 ** 52 - 0x1000, 0x1000), [memory.fd]).errno, 0);
    assertEquals(read(host, 2 ** 52 - 0x1000, 1), new Uint8Array([9]));
  });
});

/** A memfd that may shrink, since its seals are sealed off. */
function unsealable(length: number): Descriptor {
  const descriptor = new Descriptor(memfdCreate("unsealable", MFD_CLOEXEC));
  ftruncate(descriptor.fd, length);
  return descriptor;
}

Deno.test("vfio-user rule 16: a file that shrinks under a region faults, and kills nobody", () => {
  withProbe((host) => {
    using client = host.driver();
    using file = unsealable(0x4000);
    assertEquals(client.call(2, dmaMap(0x1_0000, 0x4000), [file.fd]).errno, 0);
    assertEquals(write(host, 0x1_3ffc, new Uint8Array([1, 2, 3, 4])), 0);
    assertEquals(read(host, 0x1_3ffc), new Uint8Array([1, 2, 3, 4]));
    ftruncate(file.fd, 0x1000);
    assertEquals(read(host, 0x1_3ffc), Fault.NO_MEMORY);
    assertEquals(write(host, 0x1_3ffc, new Uint8Array(4)), Fault.NO_MEMORY);
    assertEquals(host.device.pin(0x1_2000, 0x1000, Access.READ), Fault.NO_MEMORY);
    assertEquals(read(host, 0x1_0ffc), new Uint8Array(4));
    ftruncate(file.fd, 0x4000);
    assertEquals(read(host, 0x1_3ffc), new Uint8Array(4));
    assertEquals(client.call(3, dmaUnmap(0x1_0000, 0x4000)).errno, 0);
  });
});

Deno.test("vfio-user rule 16: a memfd that can be sealed is, so that it cannot shrink any more", () => {
  withProbe((host) => {
    using client = host.driver();
    using file = new Descriptor(memfdCreate("sealable", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    ftruncate(file.fd, 0x4000);
    assertEquals(client.call(2, dmaMap(0x1_0000, 0x4000), [file.fd]).errno, 0);
    let refused = false;
    try {
      ftruncate(file.fd, 0x1000);
    } catch {
      refused = true;
    }
    assert(refused);
    // It may grow, and what has grown be mapped.
    ftruncate(file.fd, 0x8000);
    assertEquals(client.call(2, dmaMap(0x2_0000, 0x4000, { offset: 0x4000 }), [file.fd]).errno, 0);
    assertEquals(write(host, 0x2_0000, new Uint8Array([1])), 0);
    assertEquals(read(host, 0x1_0000), new Uint8Array(4));
  });
});

Deno.test("vfio-user rule 16: a file that is not mapped must hold offset and size as well, at that moment", () => {
  const path = Deno.makeTempFileSync();
  try {
    Deno.truncateSync(path, 0x2800);
    withProbe((host) => {
      using client = host.driver();
      using file = new Descriptor(open(path, O_RDWR | O_CLOEXEC));
      const map = (address: number, size: number, offset: number) =>
        client.call(2, dmaMap(address, size, { offset }), [file.fd]).errno;
      assertEquals(map(0x1_0000, 0x3000, 0), EINVAL);
      assertEquals([host.server.regions, host.machine.memory.windows], [0, 0]);
      assertEquals(map(0x1_0000, 0x2000, 0), 0);
      // It is open now, and judged anew for each region.
      assertEquals(map(0x2_0000, 0x2000, 0x1000), EINVAL);
      assertEquals(map(0x2_0000, 0x1000, 2 ** 40), EINVAL);
      Deno.truncateSync(path, 0x1000);
      assertEquals(map(0x2_0000, 0x1000, 0x1000), EINVAL);
      assertEquals(map(0x2_0000, 0x1000, 0), 0);
      assertEquals([host.server.regions, host.machine.memory.windows], [2, 1]);
    });
  } finally {
    Deno.removeSync(path);
  }
});

Deno.test("vfio-user rule 16: regular files are read and written by calls, pins of them too", () => {
  const path = Deno.makeTempFileSync();
  try {
    Deno.truncateSync(path, 0x3000);
    withProbe((host) => {
      using client = host.driver();
      using file = new Descriptor(open(path, O_RDWR | O_CLOEXEC));
      assertEquals(client.call(2, dmaMap(0x1_0000, 0x3000), [file.fd]).errno, 0);
      write(host, 0x1_0ffe, new Uint8Array([1, 2, 3, 4]));
      assertEquals(Deno.readFileSync(path).slice(0xffe, 0x1002), new Uint8Array([1, 2, 3, 4]));
      const { memory } = host.device.host;
      assertEquals(memory.writeU64(0x1_0100 as Iova, 0x1f_ffff_ffff_fffe), 0);
      assertEquals(memory.readU64(0x1_0100 as Iova), 0x1f_ffff_ffff_fffe);
      assertEquals(memory.atomicStore(0x1_0200 as Iova, 4, 0xdead_beef), 0);
      assertEquals(memory.atomicLoad(0x1_0200 as Iova, 4), 0xdead_beef);
      assertEquals(memory.atomicLoad(0x1_0202 as Iova, 4), Fault.STRADDLES);
      // A pin is a copy, of which the file gets what its holder says that it wrote.
      assertEquals(host.device.pin(0x1_1000, 0x1000, Access.READ_WRITE), 0);
      const [slice] = host.device.pins[0]!.slices;
      assertEquals(slice!.subarray(0, 2), new Uint8Array([3, 4]));
      slice!.fill(7, 0x10, 0x20);
      assertEquals(host.device.pins[0]!.wrote(0x10, 0x10), 0);
      write(host, 0x1_1800, new Uint8Array([8]));
      slice![0xfff] = 9;
      assertEquals(host.device.pins[0]!.wrote(0xfff, 1), 0);
      host.device.release();
      const bytes = Deno.readFileSync(path);
      assertEquals([
        bytes[0x1000],
        bytes[0x100f],
        bytes[0x1010],
        bytes[0x101f],
        bytes[0x1800],
        bytes[0x1fff],
      ], [
        3,
        0,
        7,
        7,
        8,
        9,
      ]);
      // Views of one turn are written back at its end.
      const views = memory.slices(0x1_2000 as Iova, 0x100, Access.WRITE);
      assert(typeof views !== "number");
      views[0]![5] = 0x55;
      host.turn(2);
      assertEquals(Deno.readFileSync(path)[0x2005], 0x55);
      assertEquals(host.machine.memory.bounces, 0);
    });
  } finally {
    Deno.removeSync(path);
  }
});

Deno.test("vfio-user rule 17: an exact repeat succeeds, and is one region", () => {
  withProbe((host) => {
    using client = host.driver();
    using memory = new ClientMemory();
    using same = memory.descriptor.duplicate();
    for (const fd of [memory.fd, memory.fd, same.fd]) {
      assertEquals(client.call(2, dmaMap(0x1000, 0x2000, { offset: 0x3000 }), [fd]).errno, 0);
    }
    assertEquals(host.server.regions, 1);
    assertEquals(client.call(2, dmaMap(0x10_0000, 0x2000)).errno, 0);
    assertEquals(client.call(2, dmaMap(0x10_0000, 0x2000)).errno, 0);
    assertEquals(client.call(3, dmaUnmap(0x1000, 0x2000)).errno, 0);
    assertEquals([host.server.regions, host.machine.files.count], [1, 0]);
  });
});

Deno.test("vfio-user rule 17: any other overlap is EEXIST, and the region stays as it was", () => {
  withProbe((host) => {
    using client = host.driver();
    using memory = new ClientMemory();
    using other = new ClientMemory();
    memory.bytes[0x3000] = 0x42;
    const map = (address: number, size: number, options: object, fd: number | null = memory.fd) =>
      client.call(2, dmaMap(address, size, options), fd === null ? [] : [fd]).errno;
    const offset = 0x3000;
    assertEquals(map(0x4000, 0x2000, { offset }), 0);
    assertEquals(map(0x4000, 0x2000, { offset }, other.fd), EEXIST, "another file");
    assertEquals(map(0x4000, 0x2000, { offset }, null), EEXIST, "no file");
    assertEquals(map(0x4000, 0x2000, { offset: 0x4000 }), EEXIST, "another offset");
    assertEquals(map(0x4000, 0x2000, { offset, flags: Prot.READ }), EEXIST, "another protection");
    assertEquals(map(0x4000, 0x1000, { offset }), EEXIST, "a part");
    assertEquals(map(0x5000, 0x1000, { offset: 0x4000 }), EEXIST, "the end");
    assertEquals(map(0x3000, 0x2000, { offset }), EEXIST, "over the start");
    assertEquals(map(0x5000, 0x2000, { offset }), EEXIST, "over the end");
    assertEquals(map(0x1000, 0x8000, { offset }), EEXIST, "around");
    assertEquals([host.server.regions, host.machine.files.count], [1, 1]);
    assertEquals(read(host, 0x4000, 1), new Uint8Array([0x42]));
    assertEquals(map(0x3000, 0x1000, { offset }), 0, "adjacent below");
    assertEquals(map(0x6000, 0x1000, { offset }), 0, "adjacent above");
  });
});

Deno.test("vfio-user rule 18: one region more than max_dma_maps: ENOSPC", () => {
  withProbe((host) => {
    using client = host.client({ max_dma_maps: 100 });
    using memory = new ClientMemory();
    for (let i = 0; i < 100; i++) {
      assertEquals(client.call(2, dmaMap(0x1000 * (2 * i), 0x1000), [memory.fd]).errno, 0);
    }
    assertEquals(client.call(2, dmaMap(0x100_0000, 0x1000), [memory.fd]).errno, ENOSPC);
    assertEquals(client.call(2, dmaMap(0, 0x1000), [memory.fd]).errno, 0, "a repeat is none more");
    client.call(3, dmaUnmap(0, 0x1000));
    assertEquals(client.call(2, dmaMap(0x100_0000, 0x1000), [memory.fd]).errno, 0);
  });
});

Deno.test("vfio-user rule 18: what cannot be mapped is EACCES, and closed", () => {
  const path = Deno.makeTempFileSync();
  try {
    Deno.truncateSync(path, 0x2000);
    withProbe((host) => {
      using client = host.driver();
      using event = EventFd.create();
      using directory = new Descriptor(open("/tmp", O_RDONLY | O_CLOEXEC));
      using null_ = new Descriptor(open("/dev/null", O_RDWR | O_CLOEXEC));
      using proc = new Descriptor(open("/proc/self/status", O_RDONLY | O_CLOEXEC));
      using readOnly = new Descriptor(open(path, O_RDONLY | O_CLOEXEC));
      using named = new Descriptor(open(path, 0o10_000_000 | O_CLOEXEC));
      const socket = client.stream.fd;
      for (const fd of [event.fd, directory.fd, null_.fd, proc.fd, socket, readOnly.fd, named.fd]) {
        assertEquals(client.call(2, dmaMap(0x1000, 0x1000), [fd]).errno, EACCES);
      }
      assertEquals(
        client.call(2, dmaMap(0x1000, 0x1000, { flags: Prot.READ }), [readOnly.fd]).errno,
        0,
      );
      assertEquals(host.server.regions, 1);
    });
  } finally {
    Deno.removeSync(path);
  }
});

Deno.test("vfio-user rule 18: a file open for appending takes no writes elsewhere: EACCES where it is not mapped", () => {
  withProbe((host) => {
    using client = host.driver();
    using file = unsealable(0x2000);
    const O_APPEND = 0o2000;
    fcntl(file.fd, F_SETFL, O_RDWR | O_APPEND);
    assertEquals(client.call(2, dmaMap(0x1000, 0x1000), [file.fd]).errno, EACCES);
    assertEquals(client.call(2, dmaMap(0x1000, 0x1000, { flags: Prot.READ }), [file.fd]).errno, 0);
    assertEquals(read(host, 0x1000), new Uint8Array(4));
    // Mappings know no such mode.
    using memory = new ClientMemory();
    fcntl(memory.fd, F_SETFL, O_RDWR | O_APPEND);
    assertEquals(client.call(2, dmaMap(0x8000, 0x1000), [memory.fd]).errno, 0);
    assertEquals(write(host, 0x8000, new Uint8Array([7])), 0);
    assertEquals(memory.bytes[0], 7);
  });
});

Deno.test("vfio-user rule 18: what one client may do with a file is no right of another", () => {
  withProbe((host) => {
    using client = host.driver();
    using memory = new ClientMemory();
    assertEquals(client.call(2, dmaMap(0x1000, 0x1000), [memory.fd]).errno, 0);
    // The same file, opened for reading alone: no writable region, though one is mapped already.
    using readOnly = new Descriptor(open(`/proc/self/fd/${memory.fd}`, O_RDONLY | O_CLOEXEC));
    assertEquals(client.call(2, dmaMap(0x8000, 0x1000), [readOnly.fd]).errno, EACCES);
    assertEquals(
      client.call(2, dmaMap(0x8000, 0x1000, { flags: Prot.READ }), [readOnly.fd]).errno,
      0,
    );
    // A path to it is no right to anything, though both kinds of mapping are there.
    const O_PATH = 0o10_000_000;
    using path = new Descriptor(open(`/proc/self/fd/${memory.fd}`, O_PATH | O_CLOEXEC));
    for (const flags of [Prot.READ, Prot.BOTH]) {
      assertEquals(client.call(2, dmaMap(0x1_0000, 0x1000, { flags }), [path.fd]).errno, EACCES);
    }
  });
});

Deno.test("vfio-user rule 18: a file that is sealed against writes takes no other writable region", () => {
  withProbe((host) => {
    using client = host.driver();
    using file = new Descriptor(memfdCreate("client", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    ftruncate(file.fd, 0x2000);
    assertEquals(client.call(2, dmaMap(0x1000, 0x1000), [file.fd]).errno, 0);
    const F_SEAL_FUTURE_WRITE = 0x10;
    assertEquals(fcntl(file.fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
    const map = (flags: number) =>
      client.call(2, dmaMap(0x8000, 0x1000, { flags, offset: 0x1000 }), [file.fd]).errno;
    assertEquals([map(Prot.BOTH), map(Prot.WRITE), map(Prot.READ)], [EACCES, EACCES, 0]);
    // The former one was allowed, and stays.
    assertEquals(write(host, 0x1000, new Uint8Array([7])), 0);
  });
});

const UNMAP_REFUSED: readonly [string, Uint8Array][] = [
  ["a short body", dmaUnmap(0x1000, 0x1000).subarray(0, 23)],
  ["argsz 23", dmaUnmap(0x1000, 0x1000, { argsz: 23 })],
  ["argsz 0", dmaUnmap(0x1000, 0x1000, { argsz: 0 })],
  ["an unknown flag", dmaUnmap(0x1000, 0x1000, { flags: 4 })],
  ["a PASID flag that was not agreed on", dmaUnmap(0x1000, 0x1000, { flags: 0x100 })],
  ["ALL with DIRTY", dmaUnmap(0, 0, { flags: ALL | DIRTY, argsz: 48, bitmap: [4096, 8] })],
  ["ALL with an address", dmaUnmap(0x1000, 0, { flags: ALL })],
  ["ALL with a size", dmaUnmap(0, 0x1000, { flags: ALL })],
  ["a range that wraps", dmaUnmap(2n ** 64n - 0x1000n, 0x2000)],
  [
    "DIRTY while not logging",
    dmaUnmap(0x1000, 0x2000, { flags: DIRTY, argsz: 48, bitmap: [4096, 8] }),
  ],
];

for (const [name, body] of UNMAP_REFUSED) {
  Deno.test(`vfio-user rule 19: ${name}: EINVAL, and the region stays`, () => {
    withProbe((host) => {
      using client = host.driver();
      using memory = new ClientMemory();
      client.call(2, dmaMap(0x1000, 0x2000), [memory.fd]);
      assertEquals(client.call(3, body).errno, EINVAL);
      assertEquals([host.server.regions, read(host, 0x1000)], [1, new Uint8Array(4)]);
    });
  });
}

Deno.test("vfio-user rule 19: a range that cuts a region is ENOENT, and nothing happens", () => {
  withProbe((host) => {
    using client = host.driver();
    using memory = new ClientMemory();
    for (const address of [0x1000, 0x4000]) client.call(2, dmaMap(address, 0x3000), [memory.fd]);
    const cuts = [
      [0x1000, 0x1000],
      [0x2000, 0x2000],
      [0x2000, 0x1000],
      [0x0, 0x2000],
      [0x0, 0x5000],
      [0x2000, 0x8000],
      [0x1001, 0x2fff],
      [0x1000, 0x2fff],
      [0x1000, 0],
    ];
    for (const [address, size] of cuts) {
      assertEquals(client.call(3, dmaUnmap(address!, size!)).errno, ENOENT, `${address} ${size}`);
    }
    assertEquals(host.server.regions, 2);
    assertEquals(read(host, 0x1000, 0x6000), new Uint8Array(0x6000));
  });
});

Deno.test("vfio-user rule 19: what lies wholly in the range goes, and the reply is the request", () => {
  withProbe((host) => {
    using client = host.driver();
    using memory = new ClientMemory();
    for (let i = 0; i < 10; i++) client.call(2, dmaMap(0x1000 * 2 * i, 0x1000), [memory.fd]);
    const exact = client.call(3, dmaUnmap(0x2000, 0x1000));
    assertEquals([exact.errno, exact.body], [0, dmaUnmap(0x2000, 0x1000)]);
    assertEquals(read(host, 0x2000), Fault.UNMAPPED);
    assertEquals(
      client.call(3, dmaUnmap(0x2000, 0x1000)).errno,
      0,
      "a repeat finds nothing, and is no error",
    );
    const three = client.call(3, dmaUnmap(0x3000, 0x6000));
    assertEquals([three.body, host.server.regions], [dmaUnmap(0x3000, 0x6000), 6]);
  });
});

Deno.test("vfio-user rule 19, spec/09 rule 10: sweeps over what was never mapped succeed", () => {
  withProbe((host) => {
    using client = host.driver();
    using memory = new ClientMemory();
    const sweeps: [number | bigint, number | bigint][] = [
      [0, 0x80_0000_0000],
      [0x1_0000, 0x80_0000_0000],
      [0, 2n ** 64n - 1n],
      [2n ** 52n, 0x1000],
      [2n ** 63n, 2n ** 63n],
      [0x1000, 0xffff_ffff_ffff_f000n],
    ];
    for (const [address, size] of sweeps) {
      client.call(2, dmaMap(0x10_0000, 0x1000), [memory.fd]);
      const reply = client.call(3, dmaUnmap(address, size));
      assertEquals([reply.errno, reply.body], [0, dmaUnmap(address, size)]);
    }
  });
});

Deno.test("vfio-user rule 19: ALL removes everything, also nothing", () => {
  withProbe((host) => {
    using client = host.driver();
    using memory = new ClientMemory();
    assertEquals(client.call(3, dmaUnmap(0, 0, { flags: ALL })).errno, 0);
    for (let i = 0; i < 100; i++) {
      client.call(2, dmaMap(0x2000 * i, 0x1000), i % 2 === 0 ? [memory.fd] : []);
    }
    assertEquals(host.machine.memory.windows, 51);
    const reply = client.call(3, dmaUnmap(0, 0, { flags: ALL }));
    assertEquals([reply.errno, reply.body], [0, dmaUnmap(0, 0, { flags: ALL })]);
    assertEquals([host.server.regions, host.machine.memory.windows], [0, 0]);
  });
});

Deno.test("vfio-user rule 20: the reply to UNMAP leaves only after DMA in flight has ended", () => {
  withProbe((host) => {
    using client = host.driver();
    using memory = new ClientMemory();
    client.call(2, dmaMap(0x1000, 0x2000), [memory.fd]);
    assertEquals(host.device.pin(0x1800, 0x1000, Access.WRITE), 0);
    const pin = host.device.pins[0]!;
    client.send(wire.message(3, dmaUnmap(0x1000, 0x2000), { id: 1 }));
    client.send(wire.message(2, dmaMap(0x1000, 0x1000), { id: 2 }), [memory.fd]);
    client.send(wire.message(9, wire.regionRead(0, 0, 4), { id: 3 }));
    assert(!client.hears(), "an answer came while DMA was in flight");
    assert(pin.revoked);
    assertEquals(read(host, 0x1000), Fault.UNMAPPED, "new accesses fault at once");
    pin.slices[0]!.fill(0x33);
    host.turn(3);
    assertEquals(host.machine.files.count, 1, "still mapped");
    host.device.release();
    for (const id of [1, 2, 3]) {
      const reply = client.receive();
      assert(reply !== "eof");
      assertEquals([reply.id, reply.errno], [id, 0]);
    }
    assertEquals(memory.bytes[0x800], 0x33);
    assertEquals(host.server.regions, 1);
  });
});

Deno.test("vfio-user rule 20: a device that lets go when it is asked to lets the reply leave at once", () => {
  withProbe((host) => {
    using client = host.driver();
    using memory = new ClientMemory();
    host.device.onRevoke = "release";
    for (const flags of [0, ALL]) {
      client.call(2, dmaMap(0x1000, 0x2000), [memory.fd]);
      assertEquals(host.device.pin(0x1000, 0x2000, Access.READ), 0);
      const [address, size] = flags === ALL ? [0, 0] : [0x1000, 0x2000];
      assertEquals(client.call(3, dmaUnmap(address, size, { flags })).errno, 0);
      assertEquals([host.device.pins.length, host.machine.files.count], [0, 0]);
    }
  });
});

Deno.test("vfio-user rule 20: an UNMAP waits for its own range alone", () => {
  withProbe((host) => {
    using client = host.driver();
    using memory = new ClientMemory();
    for (const address of [0x1000, 0x2000]) client.call(2, dmaMap(address, 0x1000), [memory.fd]);
    assertEquals(host.device.pin(0x1000, 0x1000, Access.READ), 0);
    assertEquals(client.call(3, dmaUnmap(0x2000, 0x1000)).errno, 0);
    host.device.release();
  });
});

Deno.test("vfio-user rule 20: 64 k regions in one file, mapped and unmapped, leave nothing", () => {
  withProbe((host) => {
    using client = host.driver();
    using memory = new ClientMemory(0x1000 * 256);
    const count = 65_535;
    const round = (command: number, body: (i: number) => Uint8Array) => {
      for (let i = 0; i < count; i++) {
        const flags = i === count - 1 ? 0 : wire.Flag.NO_REPLY;
        client.send(wire.message(command, body(i), { flags }), command === 2 ? [memory.fd] : []);
        if (i % 64 === 63) host.turn(2);
      }
      const reply = client.receive();
      assert(reply !== "eof");
      assertEquals(reply.errno, 0);
    };
    round(2, (i) => dmaMap(0x2000 * i, 0x1000, { offset: 0x1000 * (i % 256) }));
    assertEquals([host.server.regions, host.machine.files.count], [count, 1]);
    assertEquals(client.call(2, dmaMap(2 ** 40, 0x1000), [memory.fd]).errno, ENOSPC);
    assertEquals(write(host, 0x2000 * 12345, new Uint8Array([1])), 0);
    assertEquals(memory.bytes[0x1000 * (12345 % 256)], 1);
    round(3, (i) => dmaUnmap(0x2000 * i, 0x1000));
    assertEquals([host.server.regions, host.machine.files.count], [0, 0]);
  });
});
