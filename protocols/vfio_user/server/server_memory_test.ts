import { assert, assertEquals } from "@std/assert";
import { Access, Fault, type Gpa, type Status } from "../../../core/address.ts";
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

/** Memory with tasks of the turn at hand, and pins that the test claims. */
function machine() {
  const tasks: (() => void)[] = [];
  const state = { pinned: false };
  const memory = new ServerMemory({ post: (task) => tasks.push(task), pinned: () => state.pinned });
  const turn = () => tasks.splice(0).forEach((task) => task());
  return { memory, state, turn };
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

Deno.test("ServerMemory minds a copy as long as a pin may hold it, and writes it back on release", () => {
  const { memory, state, turn } = machine();
  const backing = new FakeBacking(0x1000);
  const far = memory.showFar(backing);
  state.pinned = true;
  const pin = memory.pin(at(far), 0x100, Access.WRITE);
  assert(typeof pin !== "number");
  pin.slices[0]!.fill(3, 0, 0x10);
  turn();
  assertEquals([backing.bytes[0xf], memory.bounces], [3, 1]);
  pin.slices[0]!.fill(4, 0x20, 0x30);
  backing.log = [];
  pin.release();
  pin.release();
  assertEquals([backing.log, memory.bounces], [["write 32 16"], 0]);
});

Deno.test("ServerMemory writes back two changed bytes at any distance", () => {
  for (const readable of [true, false]) {
    for (let distance = 1; distance < 140; distance++) {
      const { memory, state } = machine();
      const backing = new FakeBacking(0x1000, readable);
      const far = memory.showFar(backing);
      state.pinned = true;
      const pin = memory.pin(at(far), 0x100, Access.WRITE);
      assert(typeof pin !== "number");
      const [view] = pin.slices;
      const [one, two] = [~view![8]!, ~view![8 + distance]!];
      view![8] = one;
      view![8 + distance] = two;
      pin.release();
      assertEquals([backing.bytes[8], backing.bytes[8 + distance]], [one & 0xff, two & 0xff]);
    }
  }
});

/** A write-only pin of 4 KiB over bytes that are all 0xee. */
function writeOnly() {
  const { memory, state, turn } = machine();
  const backing = new FakeBacking(0x1000, false);
  backing.bytes.fill(0xee);
  const far = memory.showFar(backing);
  state.pinned = true;
  const pin = memory.pin(at(far), 0x1000, Access.WRITE);
  assert(typeof pin !== "number");
  return { backing, memory, turn, pin, view: pin.slices[0]! };
}

Deno.test("ServerMemory writes of what it could not read only what a device has written, but for a few bytes beside", () => {
  const { backing, memory, turn, pin, view } = writeOnly();
  view.fill(5, 0x100, 0x180);
  view.fill(0, 0x180, 0x200);
  turn();
  view.fill(0, 0x100, 0x104);
  view.fill(7, 0x800, 0x801);
  pin.release();
  assert(backing.log.every((line) => line.startsWith("write")), "nothing was read");
  assertEquals(memory.bounces, 0);
  const { bytes } = backing;
  const wanted = (index: number): number =>
    index === 0x800 ? 7 : index < 0x104 ? 0 : index < 0x180 ? 5 : 0;
  const beside = [0x100, 0x200, 0x800, 0x801];
  bytes.forEach((byte, index) => {
    const written = index >= 0x100 && index < 0x200 || index === 0x800;
    const near = beside.some((edge) => index >= edge - 3 && index < edge + 3);
    if (written) assertEquals(byte, wanted(index), `byte ${index}`);
    else if (!near) assertEquals(byte, 0xee, `byte ${index}`);
  });
});

Deno.test("ServerMemory writes nothing of what it could not read when a device has written nothing", () => {
  const { backing, memory, turn, pin } = writeOnly();
  turn();
  pin.release();
  assertEquals([backing.log, memory.bounces], [[], 0]);
});

Deno.test("ServerMemory writes all that a device has written over what could not be read, whatever it holds", () => {
  let state = 1;
  const random = () =>
    Uint8Array.from({ length: 0x1000 }, () => (state = state * 48271 % 0x7fff_ffff) >>> 8 & 0xff);
  for (let round = 0; round < 300; round++) {
    const { backing, pin, view } = writeOnly();
    const data = random();
    // A byte in 256 is what was there before.
    const length = 1 + (data[0]! + 256 * data[1]!) % 0x1000;
    view.set(data.subarray(0, length));
    pin.release();
    assertEquals(backing.bytes.subarray(0, length), data.subarray(0, length));
    assertEquals(
      backing.bytes.subarray(length + 3),
      new Uint8Array(0x1000).fill(0xee, length + 3).subarray(length + 3),
    );
  }
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
  const { memory, state } = machine();
  state.pinned = true;
  const far = memory.showFar(new FakeBacking(0x100_0000));
  let pins = 0;
  while (pins < 100 && typeof memory.pin(at(far), 0x100_0000, Access.WRITE) !== "number") pins++;
  assertEquals(pins, 4);
});
