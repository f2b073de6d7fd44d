import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { Access, Fault, type Gpa, type Status } from "../../../core/address.ts";
import type { Pin } from "../../../core/memory/memory.ts";
import type { Backing } from "./backing.ts";
import { ServerMemory } from "./server_memory.ts";

/** Memory that remembers how it was reached. */
class FakeBacking implements Backing {
  readonly bytes: Uint8Array;
  readonly length: number;
  readonly readable: boolean;
  log: string[] = [];
  fault: Status = 0;
  transferred = 0;

  constructor(length: number, readable = true) {
    this.bytes = new Uint8Array(length);
    this.length = length;
    this.readable = readable;
  }

  read(offset: number, into: Uint8Array): Status {
    this.log.push(`read ${offset} ${into.length}`);
    this.transferred = 0;
    if (this.fault !== 0) return this.fault;
    into.set(this.bytes.subarray(offset, offset + into.length));
    this.transferred = into.length;
    return 0;
  }

  write(offset: number, from: Uint8Array): Status {
    this.log.push(`write ${offset} ${from.length}`);
    this.transferred = 0;
    if (this.fault !== 0) return this.fault;
    this.bytes.set(from, offset);
    this.transferred = from.length;
    return 0;
  }
}

/** Memory with tasks of the turn at hand. */
function machine() {
  const tasks: (() => void)[] = [];
  const memory = new ServerMemory({ post: (task) => tasks.push(task) });
  const turn = () => tasks.splice(0).forEach((task) => task());
  return { memory, turn };
}

/** A pin of a window of 4 KiB over bytes that are all 0xee. */
function pinned(access: number, readable = true) {
  const { memory, turn } = machine();
  const backing = new FakeBacking(0x1000, readable);
  backing.bytes.fill(0xee);
  const far = memory.showFar(backing);
  const pin = memory.pin(at(far), 0x1000, access);
  assert(typeof pin !== "number");
  return { backing, memory, turn, far, pin, view: pin.slices[0]! };
}

const at = (start: number, offset = 0) => (start + offset) as Gpa;

Deno.test("ServerMemory shows mapped bytes and far ones, each in a window of its own", () => {
  const { memory } = machine();
  const mapped = new Uint8Array(0x3001);
  const near = memory.showMapped("file", mapped);
  const backing = new FakeBacking(0x2000);
  const far = memory.showFar(backing);
  assertEquals(memory.windows, 2);
  memory.writeU32(at(near, 4), 0x1234_5678);
  memory.writeU32(at(far, 4), 0x8765_4321);
  assertEquals(new DataView(mapped.buffer).getUint32(4, true), 0x1234_5678);
  assertEquals(new DataView(backing.bytes.buffer).getUint32(4, true), 0x8765_4321);
  assert(memory.regionAt(new Float64Array([0, near / 4096])) !== null);
  assertEquals(memory.regionAt(new Float64Array([0, far / 4096])), null);
  // The part of a page at the file's end stays out of reach.
  assertEquals(memory.readU8(at(near, 0x3000)), Fault.NO_MEMORY);
  memory.hideMapped(near);
  memory.hideFar(far);
  assertEquals([memory.readU8(at(near)), memory.readU8(at(far))], [
    Fault.NO_MEMORY,
    Fault.NO_MEMORY,
  ]);
  assertEquals([memory.windows, memory.size], [0, 0]);
});

Deno.test("ServerMemory's far scalars are little-endian, of their size, and fault as their backing does", () => {
  const { memory } = machine();
  const backing = new FakeBacking(0x1000);
  const far = memory.showFar(backing);
  assertEquals(memory.writeU8(at(far), 0x1ff), 0);
  assertEquals(memory.writeU16(at(far, 2), 0x1_2345), 0);
  assertEquals(memory.writeU32(at(far, 4), 2 ** 32 - 2), 0);
  assertEquals(memory.writeU64(at(far, 8), 2 ** 53 - 1), 0);
  assertEquals(backing.log, ["write 0 1", "write 2 2", "write 4 4", "write 8 8"]);
  assertEquals(
    [
      memory.readU8(at(far)),
      memory.readU16(at(far, 2)),
      memory.readU32(at(far, 4)),
      memory.readU64(at(far, 8)),
    ],
    [0xff, 0x2345, 2 ** 32 - 2, 2 ** 53 - 1],
  );
  backing.bytes[15] = 0xff;
  assertEquals(memory.readU64(at(far, 8)), Fault.TOO_WIDE);
  assertEquals(memory.atomicLoad(at(far, 2), 4), Fault.STRADDLES);
  assertEquals(memory.atomicStore(at(far, 4), 4, 5), 0);
  assertEquals(memory.atomicLoad(at(far, 4), 4), 5);
  assertEquals(memory.readU32(at(far, 0xffe)), Fault.NO_MEMORY, "past the window's end");
  backing.fault = Fault.PERMISSION;
  assertEquals(memory.readU32(at(far)), Fault.PERMISSION);
  assertEquals(memory.writeU32(at(far), 1), Fault.PERMISSION);
});

Deno.test("ServerMemory.appendSlices() of far memory is a copy, written back at the end of the turn", () => {
  const { memory, turn } = machine();
  const backing = new FakeBacking(0x1000);
  backing.bytes.fill(1);
  const far = memory.showFar(backing);
  const views = memory.slices(at(far, 0x10), 0x100, Access.READ_WRITE);
  assert(typeof views !== "number");
  const [view] = views;
  view![0] = 9;
  view![0x80] = 8;
  assertEquals(backing.bytes[0x10], 1);
  // Meanwhile the other side changes what the device does not touch.
  backing.bytes[0x50] = 77;
  turn();
  assertEquals([backing.bytes[0x10], backing.bytes[0x90], backing.bytes[0x50]], [9, 8, 77]);
  assertEquals(memory.bounces, 0);
  backing.log = [];
  memory.slices(at(far), 0x100, Access.READ);
  turn();
  assertEquals(backing.log, ["read 0 256"], "what cannot be written is not minded");
});

Deno.test("ServerMemory writes back at the end of the turn exactly the bytes that differ", () => {
  for (let distance = 1; distance < 140; distance++) {
    const { memory, turn } = machine();
    const backing = new FakeBacking(0x1000);
    const far = memory.showFar(backing);
    const views = memory.slices(at(far), 0x100, Access.WRITE);
    assert(typeof views !== "number");
    views[0]![8] = 1;
    views[0]![8 + distance] = 2;
    // Meanwhile the other side changes all.
    backing.bytes.fill(77);
    turn();
    const wanted = new Uint8Array(0x1000).fill(77);
    wanted[8] = 1;
    wanted[8 + distance] = 2;
    assertEquals(backing.bytes, wanted);
  }
});

Deno.test("ServerMemory.settleViews() stores what was written so far, once, and the views stay", () => {
  for (const readable of [true, false]) {
    const { memory, turn } = machine();
    const backing = new FakeBacking(0x1000, readable);
    const far = memory.showFar(backing);
    memory.settleViews();
    const views = memory.slices(at(far), 0x10, Access.WRITE);
    assert(typeof views !== "number");
    backing.log = [];
    views[0]![2] = 5;
    memory.settleViews();
    memory.settleViews();
    assertEquals(backing.log, readable ? ["write 2 1"] : ["write 0 16"]);
    views[0]![3] = 6;
    turn();
    assertEquals(backing.log.slice(1), ["write 3 1"]);
    assertEquals([backing.bytes[2], backing.bytes[3], memory.bounces], [5, 6, 0]);
  }
});

Deno.test("ServerMemory.settleViews() keeps what a device writes while the memory is waited for", () => {
  const { memory, turn } = machine();
  const backing = new FakeBacking(0x1000);
  const far = memory.showFar(backing);
  const views = memory.slices(at(far), 0x10, Access.WRITE);
  assert(typeof views !== "number");
  views[0]![0] = 1;
  const write = backing.write.bind(backing);
  backing.write = (offset, from) => {
    views[0]![0] = 2;
    return write(offset, from);
  };
  memory.settleViews();
  backing.write = write;
  turn();
  assertEquals(backing.bytes[0], 2);
});

Deno.test("ServerMemory.slices() of what may not be read are written back whole", () => {
  const { memory, turn } = machine();
  const backing = new FakeBacking(0x1000, false);
  backing.bytes.fill(0xee);
  const far = memory.showFar(backing);
  for (let value = 0; value < 256; value++) {
    const views = memory.slices(at(far, 0x10), 0x20, Access.WRITE);
    assert(typeof views !== "number");
    views[0]!.fill(value);
    turn();
    assertEquals(backing.bytes.slice(0x10, 0x30), new Uint8Array(0x20).fill(value));
  }
  assertEquals([backing.bytes[0xf], backing.bytes[0x30], memory.bounces], [0xee, 0xee, 0]);
  assert(backing.log.every((line) => line === "write 16 32"));
});

Deno.test("ServerMemory.pin() stores what its holder wrote when it says so, and nothing else", () => {
  for (
    const [access, readable] of [[Access.WRITE, false], [Access.WRITE, true], [3, true]] as const
  ) {
    const bytes = fc.tuple(fc.nat(0xff0), fc.nat(0x40), fc.constantFrom(0, 0xee, 1, 0xff));
    const steps = fc.array(fc.record({ wrote: bytes, aside: bytes, theirs: bytes }));
    fc.assert(
      fc.property(steps, (all) => {
        const { backing, memory, turn, pin, view } = pinned(access, readable);
        const wanted = backing.bytes.slice();
        for (const { wrote, aside, theirs } of all) {
          // What it writes and does not tell of is lost.
          view.fill(aside[2], aside[0], aside[0] + aside[1]);
          const [offset, count, value] = wrote;
          const length = Math.min(count, 0x1000 - offset);
          view.fill(value, offset, offset + length);
          assertEquals(pin.wrote(offset, length), 0);
          wanted.fill(value, offset, offset + length);
          assertEquals(backing.bytes, wanted);
          turn();
          for (const to of [wanted, backing.bytes]) {
            to.fill(theirs[2], theirs[0], theirs[0] + theirs[1]);
          }
        }
        pin.release();
        turn();
        assertEquals([backing.bytes, memory.bounces], [wanted, 0]);
        const reads = backing.log.filter((line) => line.startsWith("read"));
        assertEquals(reads, access === Access.WRITE ? [] : ["read 0 4096"]);
      }),
      { numRuns: 40 },
    );
  }
});

Deno.test("ServerMemory.pin() keeps two pins of the same bytes apart", () => {
  const { memory } = machine();
  const backing = new FakeBacking(0x1000);
  const far = memory.showFar(backing);
  const pins = [memory.pin(at(far), 16, Access.WRITE), memory.pin(at(far), 16, Access.WRITE)];
  const [first, second] = pins;
  assert(typeof first === "object" && typeof second === "object");
  first.release();
  second.slices[0]!.fill(9);
  assertEquals([second.wrote(0, 16), memory.bounces], [0, 1]);
  second.release();
  assertEquals(backing.bytes.slice(0, 16), new Uint8Array(16).fill(9));
});

Deno.test("Pin.wrote() of far memory refuses what the holder cannot have written", () => {
  const { backing, memory, far, pin } = pinned(Access.WRITE);
  const reading = memory.pin(at(far), 16, Access.READ);
  assert(typeof reading !== "number");
  for (const [offset, length] of [[0, 0x1001], [0xfff, 2], [-1, 1], [0, -1], [NaN, 1]] as const) {
    assertThrows(() => pin.wrote(offset, length), RangeError, "it has 4096 bytes");
  }
  assertThrows(() => reading.wrote(0, 1), RangeError, "without WRITE");
  pin.release();
  pin.release();
  assertThrows(() => pin.wrote(0, 1), RangeError, "was released");
  assertEquals([backing.log, memory.bounces], [["read 0 16"], 0]);
});

Deno.test("Pin.wrote() of far memory gives the fault of its memory, and faults once its window is gone", () => {
  const { backing, memory, far, pin } = pinned(Access.WRITE);
  backing.fault = Fault.PERMISSION;
  assertEquals([pin.wrote(0, 8), memory.transferred], [Fault.PERMISSION, 0]);
  backing.fault = 0;
  backing.log = [];
  memory.hideFar(far);
  assertEquals(pin.wrote(0, 8), Fault.NO_MEMORY);
  pin.release();
  assertEquals([backing.log, memory.bounces], [[], 0]);
});

Deno.test("ServerMemory forgets the copies of a window that goes away", () => {
  const { memory, turn } = machine();
  const backing = new FakeBacking(0x1000);
  const far = memory.showFar(backing);
  const views = memory.slices(at(far), 8, Access.WRITE);
  assert(typeof views !== "number");
  views[0]![0] = 1;
  memory.hideFar(far);
  turn();
  assertEquals(backing.log, ["read 0 8"]);
});

Deno.test("ServerMemory bounds the copies that are out", () => {
  const { memory, turn } = machine();
  const far = memory.showFar(new FakeBacking(0x100_0000));
  const pins: Pin[] = [];
  const take = () => {
    const pin = memory.pin(at(far), 0x100_0000, Access.WRITE);
    if (typeof pin !== "number") pins.push(pin);
    return typeof pin;
  };
  while (pins.length < 100 && take() !== "number");
  assertEquals(pins.length, 4);
  assertEquals(memory.slices(at(far), 1, Access.WRITE), Fault.NO_MEMORY);
  pins.pop()!.release();
  assertEquals(take(), "object");
  for (const pin of pins) pin.release();
  const views = memory.slices(at(far), 0x100_0000, Access.WRITE);
  assert(typeof views !== "number");
  turn();
  pins.length = 0;
  while (pins.length < 100 && take() !== "number");
  assertEquals(pins.length, 4);
});
