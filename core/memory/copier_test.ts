import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { type Gpa, PAGE_SIZE } from "../address.ts";
import { Copier } from "./copier.ts";
import { RamRegion } from "./ram_region.ts";

const PAGES = 40;

function region(bytes?: Uint8Array): RamRegion {
  const length = PAGES * PAGE_SIZE;
  return new RamRegion({
    name: "ram",
    start: 0x10_0000 as Gpa,
    length,
    ...(bytes === undefined ? {} : { bytes }),
  });
}

/** Bytes that differ from their neighbours, and from those of another salt. */
function fill(bytes: Uint8Array, salt: number): void {
  for (let i = 0; i < bytes.length; i++) bytes[i] = (i * 31 + (i >> 8) * 7 + salt) & 0xff;
}

/** A copy: which of three buffers, from where to where, how much, and which way. */
const copies = fc.array(
  fc.record({
    buffer: fc.nat(2),
    into: fc.boolean(),
    offset: fc.oneof(fc.nat(PAGES * PAGE_SIZE - 1), fc.nat(PAGES - 1).map((n) => n * PAGE_SIZE)),
    at: fc.oneof(fc.nat(3 * PAGE_SIZE), fc.constant(0)),
    length: fc.oneof(
      fc.nat(40),
      fc.nat(3 * PAGE_SIZE),
      fc.constantFrom(PAGE_SIZE, 16 * PAGE_SIZE, 20 * PAGE_SIZE),
    ),
  }),
  { minLength: 4, maxLength: 30 },
);

Deno.test("Copier moves what a naive copy moves, and nothing else, with buffers that come again", () => {
  fc.assert(fc.property(copies, fc.nat(7), (steps, skew) => {
    const ram = region();
    fill(ram.bytes, 1);
    const naiveRam = ram.bytes.slice();
    const buffers = [0, 1, 2].map((salt) => {
      // Views into the middle of their buffers, each at another place in its word.
      const whole = new Uint8Array(24 * PAGE_SIZE + 16);
      fill(whole, 50 + salt);
      return { whole, bytes: whole.subarray(skew * salt), naive: whole.slice() };
    });
    const copier = new Copier();
    for (const { buffer, into, offset, at, length } of steps) {
      const { bytes, naive } = buffers[buffer]!;
      const run = Math.min(length, ram.length - offset, bytes.length - at);
      copier.offset[0] = offset;
      const base = bytes.byteOffset + at;
      if (into) {
        copier.copyIn(bytes, at, ram, run);
        for (let i = 0; i < run; i++) naiveRam[offset + i] = naive[base + i]!;
      } else {
        copier.copyOut(ram, bytes, at, run);
        for (let i = 0; i < run; i++) naive[base + i] = naiveRam[offset + i]!;
      }
    }
    assertEquals(ram.bytes, naiveRam);
    for (const { whole, naive } of buffers) assertEquals(whole, naive);
  }));
});

Deno.test("Copier moves overlapping ranges of one buffer as if through another", () => {
  for (const length of [5, 16, 17, 300, PAGE_SIZE + 3]) {
    for (const distance of [1, 3, 8, 100]) {
      for (const way of ["in", "out"] as const) {
        const ram = region();
        fill(ram.bytes, 9);
        const naive = ram.bytes.slice();
        const copier = new Copier();
        // Twice, for the buffer to be known by then.
        for (let time = 0; time < 3; time++) {
          copier.offset[0] = 0x800 + (way === "in" ? distance : 0);
          if (way === "in") {
            copier.copyIn(ram.bytes, 0x800, ram, length);
            naive.copyWithin(0x800 + distance, 0x800, 0x800 + length);
          } else {
            copier.copyOut(ram, ram.bytes, 0x800 + distance, length);
            naive.copyWithin(0x800 + distance, 0x800, 0x800 + length);
          }
        }
        assertEquals(ram.bytes, naive);
      }
    }
  }
});

Deno.test("Copier keeps to what it was told of a buffer that was resized or taken away", () => {
  const ram = region();
  fill(ram.bytes, 3);
  const copier = new Copier();
  const growing = new ArrayBuffer(PAGE_SIZE, { maxByteLength: 4 * PAGE_SIZE });
  for (let time = 0; time < 4; time++) {
    if (time === 2) growing.resize(2 * PAGE_SIZE);
    const bytes = new Uint8Array(growing);
    copier.offset[0] = 8;
    copier.copyOut(ram, bytes, 4, bytes.length - 4);
    assertEquals<Uint8Array>(bytes.subarray(4), ram.bytes.subarray(8, 4 + bytes.length));
  }
  const bytes = new Uint8Array(PAGE_SIZE);
  for (let time = 0; time < 3; time++) copier.copyOut(ram, bytes, 0, PAGE_SIZE);
  bytes.buffer.transfer();
  copier.copyOut(ram, bytes, 0, bytes.length);
  copier.copyIn(bytes, 0, ram, bytes.length);
});

Deno.test("Copier moves the bits of every value, those of a signalling NaN as well", () => {
  const ram = region();
  const patterns = [0x7ff0_0000_0000_0001n, 0xfff4_dead_beef_0001n, 0x7ff8_0000_0000_0000n, -1n];
  patterns.forEach((bits, i) => ram.view.setBigInt64(8 * i, BigInt.asIntN(64, bits), true));
  const into = new Uint8Array(64);
  const copier = new Copier();
  for (let time = 0; time < 3; time++) {
    into.fill(0);
    copier.offset[0] = 0;
    copier.copyOut(ram, into, 0, 32);
    assertEquals<Uint8Array>(into.subarray(0, 32), ram.bytes.subarray(0, 32));
  }
});

Deno.test("Copier moves what lies across two gibibytes of a region", () => {
  // Not touched, so not there: the system gives pages as they are written.
  const length = 2 ** 32;
  const ram = new RamRegion({ name: "ram", start: 0 as Gpa, length });
  const copier = new Copier();
  const whole = new Uint8Array(3 * PAGE_SIZE);
  fill(whole, 7);
  const back = new Uint8Array(3 * PAGE_SIZE + 5);
  for (let time = 0; time < 3; time++) {
    for (const edge of [2 ** 30, 2 ** 31, 3 * 2 ** 30]) {
      copier.offset[0] = edge - PAGE_SIZE - 3;
      copier.copyIn(whole, 0, ram, whole.length);
      copier.copyIn(whole, 1, ram, 100);
      copier.copyOut(ram, back, 5, whole.length);
      assertEquals(back.subarray(5, 105), whole.subarray(1, 101));
      assertEquals(back.subarray(105), whole.subarray(100));
    }
  }
});
