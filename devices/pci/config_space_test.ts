import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { ConfigSpace } from "./config_space.ts";
import { registerBlock, type RegisterObserver } from "./registers.ts";

function space(): ConfigSpace {
  const config = new ConfigSpace(256);
  config.place(
    0x40,
    registerBlock(0x10, [
      { at: 0, size: 4, initial: 0x1234_5678, writable: 0x00ff_ff00 },
      { at: 4, size: 2, initial: 0xffff, clearable: 0x0ff0 },
      { at: 6, size: 1, initial: 0x5a },
      { at: 8, size: 4, initial: 1, writable: 0xffff_ffff, kept: 0xffff_0000 },
    ]),
  );
  return config;
}

Deno.test("ConfigSpace.write() keeps read-only bits", () => {
  const config = space();
  config.write(0x40, 4, 0xaaaa_aaaa);
  assertEquals(config.read(0x40, 4), 0x12aa_aa78);
  config.write(0x46, 1, 0xff);
  assertEquals(config.read(0x46, 1), 0x5a);
});

Deno.test("ConfigSpace.write() clears what is written by ones, byte by byte", () => {
  const config = space();
  config.write(0x44, 1, 0x30);
  assertEquals(config.read(0x44, 2), 0xffcf);
  config.write(0x44, 2, 0xffff);
  assertEquals(config.read(0x44, 2), 0xf00f);
});

Deno.test("ConfigSpace.read() gives all ones beyond the end, and writes there are ignored", () => {
  const config = space();
  const before = config.snapshot();
  assertEquals([config.read(0xff, 4), config.read(0x100, 2), config.read(-2, 4)], [
    0xffff_ff00,
    0xffff,
    0x0000_ffff,
  ]);
  const into = new Uint8Array(6);
  config.readBytes(0xfe, into);
  assertEquals([...into], [0, 0, 255, 255, 255, 255]);
  for (const offset of [-4, 0x100, 2 ** 40]) config.writeBytes(offset, new Uint8Array(9).fill(255));
  assertEquals(config.snapshot(), before);
});

Deno.test("ConfigSpace.writeBytes() does what writes of single bytes do", () => {
  const write = fc.tuple(fc.integer({ min: 0x38, max: 0x58 }), fc.uint8Array({ maxLength: 24 }));
  fc.assert(fc.property(fc.array(write), (writes) => {
    const whole = space(), single = space();
    for (const [offset, bytes] of writes) {
      whole.writeBytes(offset, bytes);
      bytes.forEach((byte, index) => single.write(offset + index, 1, byte));
    }
    assertEquals(whole.snapshot(), single.snapshot());
  }));
});

Deno.test("ConfigSpace.read() of any size and alignment shows the same bytes", () => {
  const config = space(), bytes = config.snapshot(), view = new DataView(bytes.buffer);
  for (let offset = 0x3c; offset < 0x52; offset++) {
    assertEquals(config.read(offset, 1), view.getUint8(offset));
    assertEquals(config.read(offset, 2), view.getUint16(offset, true));
    assertEquals(config.read(offset, 4), view.getUint32(offset, true));
  }
});

Deno.test("ConfigSpace.functionReset() keeps what is to be kept, powerOn() nothing", () => {
  const config = space();
  config.write(0x48, 4, 0xabcd_ef01);
  config.write(0x40, 4, 0);
  config.functionReset();
  assertEquals([config.read(0x48, 4), config.read(0x40, 4)], [0xabcd_0001, 0x1234_5678]);
  config.powerOn();
  assertEquals(config.read(0x48, 4), 1);
});

Deno.test("ConfigSpace.setInitial() survives resets, set() does not", () => {
  const config = space();
  config.set(0x40, 1, 0x11);
  config.setInitial(0x41, 1, 0x22);
  config.powerOn();
  assertEquals(config.read(0x40, 2), 0x2278);
  assertThrows(() => config.set(0xfd, 4, 0), RangeError, "ends at 0xff");
});

Deno.test("ConfigSpace.observe() tells of reads and of each dword written, in order", () => {
  const config = new ConfigSpace(256);
  const log: string[] = [];
  const watcher = (name: string): RegisterObserver => ({
    reading: (_, at, length) => log.push(`${name} reads ${at}+${length}`),
    written: (registers, write) =>
      log.push(
        `${name} ${write.bits(0, 4).toString(16)} was ${write.before(0, 4)} is ${
          registers.get(0, 4)
        }`,
      ),
  });
  config.place(0x40, registerBlock(8, [{ at: 0, size: 4, writable: 0xff }], watcher("a")));
  config.place(0x48, registerBlock(4, [], watcher("b")));
  config.writeBytes(0x3e, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11));
  assertEquals(log.splice(0), ["a 6050403 was 0 is 3", "a 0 was 3 is 3", "b b was 0 is 0"]);
  config.readBytes(0x46, new Uint8Array(4));
  assertEquals(log.splice(0), ["a reads 6+2", "b reads 0+2"]);
  config.get(0x40, 4);
  config.set(0x40, 4, 9);
  config.powerOn();
  assertEquals(log, [], "the model's own accesses and resets are not told");
});

Deno.test("ConfigSpace.place() refuses what does not fit or overlaps", () => {
  const config = space(), block = registerBlock(4, []);
  assertThrows(() => config.place(0x4c, block), RangeError, "others are there already");
  assertThrows(() => config.place(0xfe, block), RangeError, "ends at 0xff");
  assertThrows(
    () => config.place(0x80, { length: 4, initial: new Uint8Array(3) }),
    RangeError,
    "has 3 bytes instead of 4",
  );
  assertThrows(() => new ConfigSpace(512 as 256), RangeError, "256, or 4096");
});

Deno.test("registerBlock() refuses registers that overlap or are outside", () => {
  assertThrows(() => registerBlock(4, [{ at: 2, size: 4 }]), RangeError, "the block has 4 bytes");
  assertThrows(
    () => registerBlock(4, [{ at: 0, size: 4 }, { at: 3, size: 1 }]),
    RangeError,
    "overlaps another",
  );
});
