import { assert, assertEquals, assertThrows } from "@std/assert";
import { Access, Fault, type Gpa, type Iova, type Status } from "../../core/address.ts";
import { Iommu } from "../../core/iommu/iommu.ts";
import { GuestRam } from "../../core/memory/guest_ram.ts";
import type { Pin } from "../../core/memory/memory.ts";
import { VirtualClock } from "../../core/observe/virtual_clock.ts";
import { FakeMemory } from "../pci/_test_fakes.ts";
import { PCI_COMMAND } from "../pci/spec.ts";
import { PciFunction } from "../pci/pci_function.ts";
import { streamer } from "./mod.ts";
import { Streamer } from "./streamer.ts";

const PAGE = 4096;
const ENDPOINT = 8;
const DOMAIN = 1;
const SOURCE = 0x10_0000;
const DESTINATION = 0x20_0000;
const ENABLED = 0x0006;

const IDLE = 0, RUNNING = 1, DONE = 2, ABORTED = 3, FAULT = 4, REFUSED = 5;

/** A streamer in a PCI function, behind an IOMMU that maps four pages at each of two places. */
function bench() {
  const ram = new GuestRam([{ name: "ram", start: 0 as Gpa, length: 0x40_0000 }]);
  const clock = new VirtualClock();
  const iommu = new Iommu(ram, { clock });
  const { memory } = iommu.addEndpoint(ENDPOINT);
  iommu.createDomain(DOMAIN);
  iommu.attach(ENDPOINT, DOMAIN);
  for (let page = 0; page < 4; page++) {
    // Pages in descending order, so that no two of them are one fragment.
    const source = 0x8000 - page * PAGE, destination = 0x1_8000 - page * PAGE;
    iommu.map(DOMAIN, SOURCE + page * PAGE as Iova, source as Gpa, PAGE, Access.READ);
    iommu.map(DOMAIN, DESTINATION + page * PAGE as Iova, destination as Gpa, PAGE, Access.WRITE);
  }
  const errors: unknown[] = [];
  let messages = 0;
  const device = new Streamer();
  const fn = new PciFunction(device, {
    memory,
    clock,
    sink: { message: () => messages++, intx: () => {} },
    onError: (error) => errors.push(error),
  });
  fn.configWrite(PCI_COMMAND, 2, ENABLED);
  const read = (offset: number) => fn.barRead(0, offset, 4);
  const write = (offset: number, value: number) => fn.barWrite(0, offset, 4, value);
  return {
    ram,
    clock,
    iommu,
    device,
    fn,
    errors,
    read,
    write,
    messages: () => messages,
    /** Everything the CPU sees behind the destination. */
    destination: () => {
      const bytes = new Uint8Array(4 * PAGE);
      for (let page = 0; page < 4; page++) {
        const part = bytes.subarray(page * PAGE, (page + 1) * PAGE);
        ram.read(0x1_8000 - page * PAGE as Gpa, part);
      }
      return bytes;
    },
    fillSource: () => {
      const bytes = Uint8Array.from({ length: 4 * PAGE }, (_, i) => (i * 7 + (i >> 8)) & 0xff);
      for (let page = 0; page < 4; page++) {
        const part = bytes.subarray(page * PAGE, (page + 1) * PAGE);
        ram.write(0x8000 - page * PAGE as Gpa, part);
      }
      return bytes;
    },
    program: (source: number | bigint, destination: number | bigint, length: number | bigint) => {
      fn.barWrite64(0, 0x10, BigInt(source));
      fn.barWrite64(0, 0x18, BigInt(destination));
      fn.barWrite64(0, 0x20, BigInt(length));
    },
    outcome: () => [read(0x08), read(0x0c), read(0x28)],
    inFlight: () =>
      iommu.domain(DOMAIN).space.inFlight.count +
      iommu.endpoint(ENDPOINT).context.bypassInFlight.count,
  };
}

type Counts = Record<string, Record<string, unknown>>;

Deno.test("Streamer moves CHUNK bytes each tick, and ends with all of them there", () => {
  const b = bench();
  const bytes = b.fillSource();
  b.program(SOURCE + 1, DESTINATION + 3, 9001);
  b.write(0x30, 1000);
  b.write(0x04, 1);
  assertEquals(b.outcome(), [RUNNING, 0, 0]);
  assertEquals(b.inFlight(), 2);
  b.clock.advance(4);
  assertEquals(b.outcome(), [RUNNING, 0, 4000]);
  const half = b.destination();
  assertEquals(half.subarray(3, 4003), bytes.subarray(1, 4001));
  assertEquals(half.subarray(4003), new Uint8Array(half.length - 4003));
  b.clock.advance(6);
  assertEquals(b.outcome(), [DONE, 0, 9001]);
  assertEquals(b.destination().subarray(3, 9004), bytes.subarray(1, 9002));
  assertEquals([b.inFlight(), b.clock.pending, b.errors.length], [0, 0, 0]);
});

Deno.test("Streamer raises its interrupt when it was asked for, and only then", () => {
  const b = bench();
  b.program(SOURCE, DESTINATION, 256);
  b.write(0x04, 1);
  b.clock.advance(1);
  assertEquals([b.read(0x38), b.fn.intxAsserted], [0, false]);
  b.write(0x04, 5);
  b.clock.advance(1);
  assertEquals([b.read(0x38), b.fn.intxAsserted], [1, true]);
  b.write(0x3c, 1);
  assertEquals([b.read(0x38), b.fn.intxAsserted], [0, false]);
});

Deno.test("Streamer sends one MSI message for each transfer, refused ones too", () => {
  const b = bench();
  const base = b.fn.capabilities.find(({ id }) => id === 5)!.offset;
  b.fn.configWrite(base + 4, 4, 0xfee0_0000);
  b.fn.configWrite(base + 2, 2, 1);
  b.program(SOURCE, DESTINATION, 256);
  b.write(0x04, 5);
  b.clock.advance(1);
  b.program(SOURCE, DESTINATION, 2 ** 21);
  b.write(0x04, 5);
  assertEquals([b.messages(), b.fn.intxAsserted], [2, false]);
});

const huge = 2n ** 64n - 1n;
const refusals: readonly [
  name: string,
  source: number | bigint,
  destination: number | bigint,
  length: number | bigint,
  error: number,
][] = [
  ["a length beyond 1 MiB", SOURCE, DESTINATION, 0x10_0001, 1],
  ["a length of 2^64 - 1", SOURCE, DESTINATION, huge, 1],
  ["a source of 2^52", 2n ** 52n, DESTINATION, 1, 2],
  ["a source of 2^64 - 1", huge, DESTINATION, 1, 2],
  ["a destination of 2^52", SOURCE, 2n ** 52n, 1, 2],
  ["a destination of 2^64 - 1", SOURCE, huge, 1, 2],
  ["a source that runs over 2^52", 2n ** 52n - 1n, DESTINATION, 2, 2],
  ["a destination on the source", SOURCE, SOURCE, 1, 3],
  ["a destination that starts on the source's last byte", SOURCE, SOURCE + 99, 100, 3],
  ["a source that starts on the destination's last byte", SOURCE + 99, SOURCE, 100, 3],
];
for (const [name, source, destination, length, error] of refusals) {
  Deno.test(`Streamer refuses ${name}, and touches nothing`, () => {
    const b = bench();
    b.program(source, destination, length);
    b.write(0x04, 1);
    assertEquals(b.outcome(), [REFUSED, error, 0]);
    b.clock.advance(100);
    assertEquals([b.inFlight(), b.clock.pending, b.iommu.drainFaults().length], [0, 0, 0]);
    const { errors } = b.device.inspect() as Counts;
    assertEquals([errors!.refused, errors!.guestErrors], [1, 1]);
  });
}

Deno.test("Streamer takes the last byte of the address space for what the bus makes of it", () => {
  const b = bench();
  b.program(2n ** 52n - 1n, DESTINATION, 1);
  b.write(0x04, 1);
  assertEquals([...b.outcome(), b.read(0x2c)], [FAULT, 4, 0, -Fault.UNMAPPED]);
});

Deno.test("Streamer takes neighbours, and a length of 0 as done", () => {
  const b = bench();
  b.program(SOURCE, SOURCE + 100, 0);
  b.write(0x04, 1);
  assertEquals(b.outcome(), [DONE, 0, 0]);
  b.iommu.map(DOMAIN, 0x5000 as Iova, 0 as Gpa, PAGE, Access.READ_WRITE);
  b.program(0x5000, 0x5064, 100);
  b.write(0x04, 1);
  b.clock.advance(1);
  assertEquals(b.outcome(), [DONE, 0, 100]);
});

Deno.test("Streamer moves the longest transfer there is in one tick when told to", () => {
  const b = bench();
  b.iommu.setBypass("on");
  b.iommu.detach(ENDPOINT);
  b.ram.write(0xf_ffff as Gpa, Uint8Array.of(9));
  b.program(0, 0x10_0000, 0x10_0000);
  b.write(0x30, 0x10_0000);
  b.write(0x04, 1);
  b.clock.advance(1);
  assertEquals(b.outcome(), [DONE, 0, 0x10_0000]);
  assertEquals(b.ram.readU8(0x1f_ffff as Gpa), 9);
});

Deno.test("Streamer reports which side the bus refused and why, and holds nothing", () => {
  const b = bench();
  b.program(DESTINATION, SOURCE, 16);
  b.write(0x04, 1);
  assertEquals([...b.outcome(), b.read(0x2c)], [FAULT, 4, 0, -Fault.PERMISSION]);
  b.program(SOURCE, 0x30_0000, 16);
  b.write(0x04, 1);
  assertEquals([...b.outcome(), b.read(0x2c)], [FAULT, 5, 0, -Fault.UNMAPPED]);
  assertEquals(b.inFlight(), 0);
  b.program(SOURCE, DESTINATION, 16);
  b.write(0x04, 1);
  assertEquals([...b.outcome(), b.read(0x2c)], [RUNNING, 0, 0, 0]);
});

Deno.test("Streamer ignores and counts what is written while it runs", () => {
  const b = bench();
  b.program(SOURCE, DESTINATION, 512);
  b.write(0x04, 1);
  for (const offset of [0x10, 0x14, 0x18, 0x1c, 0x20, 0x24, 0x30, 0x34, 0x04]) b.write(offset, 1);
  const { registers, errors } = b.device.inspect() as Counts;
  assertEquals([registers!.source, registers!.chunk, registers!.onRevoke], [
    "0x100000",
    256,
    "finish",
  ]);
  assertEquals([errors!.writesWhileRunning, errors!.guestErrors], [9, 9]);
  b.clock.advance(2);
  assertEquals(b.outcome(), [DONE, 0, 512]);
});

Deno.test("Streamer takes no CHUNK of 0 or beyond 1 MiB, and no unknown ON_REVOKE", () => {
  const b = bench();
  for (const chunk of [0, 0x10_0001, 0xffff_ffff]) b.write(0x30, chunk);
  for (const policy of [2, 0xffff_ffff]) b.write(0x34, policy);
  assertEquals([b.read(0x30), b.read(0x34)], [256, 0]);
  assertEquals((b.device.inspect() as Counts).errors!.badValues, 5);
});

Deno.test("Streamer with FINISH makes an unmap wait for the end of the transfer", () => {
  const b = bench();
  const bytes = b.fillSource();
  b.program(SOURCE, DESTINATION, 512);
  b.write(0x04, 1);
  b.clock.advance(1);
  const unmap = b.iommu.unmap(DOMAIN, DESTINATION as Iova, PAGE);
  assertEquals([unmap.done, b.outcome()], [false, [RUNNING, 0, 256]]);
  assertEquals((b.device.inspect() as Counts).pinned!.revoked, true);
  let seen: number[] = [];
  unmap.whenDone(() => seen = b.outcome());
  b.clock.advance(1);
  assertEquals([unmap.done, b.outcome(), seen], [true, [DONE, 0, 512], [DONE, 0, 512]]);
  assertEquals(b.destination().subarray(0, 512), bytes.subarray(0, 512));
});

Deno.test("Streamer with ABORT ends the transfer within the unmap", () => {
  const b = bench();
  b.fillSource();
  b.write(0x34, 1);
  b.program(SOURCE, DESTINATION, 512);
  b.write(0x04, 5);
  b.clock.advance(1);
  const before = b.destination();
  const unmap = b.iommu.unmap(DOMAIN, SOURCE as Iova, PAGE);
  assertEquals([unmap.done, b.outcome()], [true, [ABORTED, 7, 256]]);
  assertEquals([b.inFlight(), b.clock.pending, b.read(0x38)], [0, 0, 1]);
  b.clock.advance(10);
  assertEquals(b.destination(), before);
  const { transfers } = b.device.inspect() as Counts;
  assertEquals([transfers!.aborted, transfers!.revocations], [1, 1]);
});

Deno.test("Streamer with ABORT lets a detach go that waits for both of its pins", () => {
  const b = bench();
  b.write(0x34, 1);
  b.program(SOURCE, DESTINATION, 512);
  b.write(0x04, 1);
  const detach = b.iommu.detach(ENDPOINT);
  assertEquals([detach.done, b.outcome(), b.inFlight()], [true, [ABORTED, 7, 0], 0]);
});

Deno.test("Streamer takes a new transfer from within the end of the old one", () => {
  const b = bench();
  b.write(0x34, 1);
  b.program(SOURCE, DESTINATION, 512);
  b.write(0x04, 1);
  b.iommu.unmap(DOMAIN, SOURCE + PAGE as Iova, PAGE);
  b.clock.advance(1);
  const unmap = b.iommu.unmap(DOMAIN, SOURCE as Iova, PAGE);
  unmap.whenDone(() => {
    b.program(SOURCE + 2 * PAGE, DESTINATION, 256);
    b.write(0x04, 1);
  });
  assertEquals(b.outcome(), [RUNNING, 0, 0]);
  b.clock.advance(1);
  assertEquals([b.outcome(), b.inFlight()], [[DONE, 0, 256], 0]);
});

Deno.test("Streamer.STOP ends the transfer that runs, and nothing else", () => {
  const b = bench();
  b.write(0x04, 2);
  assertEquals(b.outcome(), [IDLE, 0, 0]);
  b.program(SOURCE, DESTINATION, 512);
  b.write(0x04, 1);
  b.clock.advance(1);
  b.write(0x04, 3);
  assertEquals([b.outcome(), b.inFlight(), b.clock.pending], [[ABORTED, 8, 256], 0, 0]);
});

for (const [policy, name] of [[0, "FINISH"], [1, "ABORT"]] as const) {
  Deno.test(`Streamer with ${name} stops at once when bus mastering is turned off`, () => {
    const b = bench();
    b.fillSource();
    b.write(0x34, policy);
    b.program(SOURCE, DESTINATION, 512);
    b.write(0x04, 1);
    b.clock.advance(1);
    const before = b.destination();
    b.fn.configWrite(PCI_COMMAND, 2, 0x0002);
    assertEquals([b.outcome(), b.inFlight()], [[FAULT, 6, 256], 0]);
    b.clock.advance(10);
    assertEquals(b.destination(), before);
  });
}

Deno.test("Streamer.reset() in mid transfer releases both pins, and moves nothing more", () => {
  const b = bench();
  b.fillSource();
  b.program(SOURCE, DESTINATION, 512);
  b.write(0x04, 5);
  b.clock.advance(1);
  const unmap = b.iommu.unmap(DOMAIN, DESTINATION as Iova, 4 * PAGE);
  const before = b.destination();
  b.fn.reset();
  assertEquals([unmap.done, b.inFlight(), b.clock.pending], [true, 0, 0]);
  b.clock.advance(10);
  assertEquals([b.destination(), b.fn.intxAsserted], [before, false]);
  b.fn.configWrite(PCI_COMMAND, 2, ENABLED);
  assertEquals([...b.outcome(), b.read(0x30), b.read(0x38)], [IDLE, 0, 0, 256, 0]);
});

Deno.test("Streamer.reset() lets go last: who waited for the transfer finds the device reset, and may start anew", () => {
  const b = bench();
  b.program(SOURCE, DESTINATION, 512);
  b.write(0x04, 5);
  b.clock.advance(1);
  const seen: unknown[] = [];
  b.iommu.unmap(DOMAIN, DESTINATION as Iova, PAGE).whenDone(() => {
    seen.push(b.outcome(), b.read(0x10));
    b.program(SOURCE, DESTINATION + PAGE, 256);
    b.write(0x04, 1);
  });
  b.device.reset();
  assertEquals(seen, [[IDLE, 0, 0], 0]);
  assertEquals([b.outcome(), b.read(0x10)], [[RUNNING, 0, 0], SOURCE]);
  b.clock.advance(1);
  assertEquals([b.outcome(), b.inFlight()], [[DONE, 0, 256], 0]);
});

Deno.test("Streamer lets go of both pins, and interrupts, when one who waited for the first fails", () => {
  const b = bench();
  b.program(SOURCE, DESTINATION, 256);
  b.write(0x04, 5);
  const unmap = b.iommu.unmap(DOMAIN, SOURCE as Iova, PAGE);
  unmap.whenDone(() => {
    throw new Error("not the device's doing");
  });
  b.clock.advance(1);
  assertEquals([b.outcome(), b.inFlight(), b.read(0x38)], [[DONE, 0, 256], 0, 1]);
});

Deno.test("Streamer says what it wrote each tick, and ends with a fault when the memory does not take it", () => {
  const told: [number, number][] = [];
  const bytes = new Uint8Array(0x1000);
  let fault: Status = 0;
  let released = 0;
  class Copying extends FakeMemory {
    override pin(address: Iova, length: number): Pin {
      return {
        slices: [bytes.subarray(address, address + length)],
        length,
        revoked: false,
        onRevoke: null,
        wrote: (offset, count) => (told.push([offset, count]), fault),
        release: () => void released++,
      };
    }
  }
  const device = new Streamer(), clock = new VirtualClock();
  const interrupts = { mode: "intx", raise: () => {}, setIntx: () => {} } as const;
  device.attach({ memory: new Copying(), clock, interrupts });
  for (const [offset, value] of [[0x18, 0x800], [0x20, 600], [0x04, 5]]) {
    device.barWrite(0, offset!, 4, value!);
  }
  clock.advance(2);
  assertEquals(told, [[0, 256], [256, 256]]);
  fault = Fault.NO_MEMORY;
  clock.advance(1);
  assertEquals(told.at(-1), [512, 88]);
  const read = (offset: number) => device.barRead(0, offset, 4);
  assertEquals([read(0x08), read(0x0c), read(0x28), read(0x2c), read(0x38)], [
    FAULT,
    5,
    512,
    -Fault.NO_MEMORY,
    1,
  ]);
  assertEquals([released, clock.pending], [2, 0]);
});

Deno.test("Streamer.reset() by itself, without the function around it, releases both pins", () => {
  const b = bench();
  b.program(SOURCE, DESTINATION, 512);
  b.write(0x04, 5);
  b.clock.advance(1);
  b.device.reset();
  assertEquals([b.inFlight(), b.clock.pending, b.fn.intxAsserted], [0, 0, false]);
  assertEquals(b.outcome(), [IDLE, 0, 0]);
});

Deno.test("Streamer.barRead() is all ones where nothing can be read, and writes there are ignored", () => {
  const b = bench();
  const before = b.device.inspect();
  for (const offset of [0x04, 0x3c, 0x40, 0xffc]) {
    assertEquals(b.read(offset), 0xffff_ffff, offset.toString(16));
  }
  for (const offset of [0x00, 0x08, 0x0c, 0x28, 0x2c, 0x38, 0x40, 0xffc]) b.write(offset, 1);
  for (const size of [1, 2] as const) {
    b.fn.barWrite(0, 0x10, size, 1);
    assertEquals(b.fn.barRead(0, 0x10, size), 2 ** (8 * size) - 1);
  }
  assertEquals(b.device.barRead(1, 0, 4), 0xffff_ffff);
  assertEquals(b.device.inspect(), before);
});

Deno.test("Streamer.inspect() is plain JSON", () => {
  const b = bench();
  b.program(huge, 5, 512);
  b.program(SOURCE, DESTINATION, 512);
  b.write(0x04, 1);
  const state = b.device.inspect();
  assertEquals(JSON.parse(JSON.stringify(state)), state);
  assertEquals(state.pinned, {
    source: "0x100000..0x1001ff",
    destination: "0x200000..0x2001ff",
    revoked: false,
  });
});

Deno.test("Streamer.attach() refuses a second host, and there is no work without one", () => {
  const b = bench();
  assertThrows(() => b.device.attach({} as never), Error, "has a host already");
  assertThrows(() => new Streamer().barWrite(0, 0x04, 4, 5), Error, "no host yet");
  new Streamer().reset();
});

Deno.test("streamer names the module that exports it", async () => {
  assertEquals([streamer.type, streamer.create({}).type], ["streamer", "streamer"]);
  const module: Record<string, unknown> = await import(streamer.module);
  assert(Object.values(module).includes(streamer));
});
