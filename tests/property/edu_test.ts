/** edu against a model that keeps everything in the plainest way: random register traffic on both. */

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { Fault } from "../../core/address.ts";
import { type EduBench, fakeBench, functionBench } from "../../devices/edu/_test_bench.ts";

type Width = 1 | 2 | 4 | 8;

type Step =
  | { kind: "read"; offset: number; width: Width }
  | { kind: "write"; offset: number; width: Width; value: bigint }
  | { kind: "dma"; words: [bigint, bigint, bigint, bigint] }
  | { kind: "advance"; ms: number }
  | { kind: "msi"; on: boolean }
  | { kind: "reset" };

const DENIED = { start: 0x3000, length: 0x1000 };
const RAM = Uint8Array.from({ length: 0x6000 }, (_, i) => (i * 13 + (i >> 8) * 5) & 0xff);
const READABLE = [0x00, 0x04, 0x08, 0x20, 0x24, 0x80, 0x88, 0x90, 0x98];

/** Registers in a map of bigints, bytes in maps, deadlines as numbers. */
class NaiveEdu {
  registers = new Map<number, bigint>();
  buffer = new Map<bigint, number>();
  ram = new Map<bigint, number>(Array.from(RAM, (byte, i) => [BigInt(i), byte]));
  now = 0;
  factorialAt = Infinity;
  dmaAt = Infinity;
  msi = false;
  messages = 0;
  faults = 0;
  outOfBounds = 0;
  clamped = 0;

  get(offset: number): bigint {
    return offset === 0 ? 0x10000edn : this.registers.get(offset) ?? 0n;
  }

  legal(offset: number, width: Width): boolean {
    return offset % width === 0 && (width === 4 || (width === 8 && offset >= 0x80));
  }

  read(offset: number, width: Width): bigint {
    const known = this.legal(offset, width) && READABLE.includes(offset);
    return (known ? this.get(offset) : ~0n) & (2n ** BigInt(8 * width) - 1n);
  }

  write(offset: number, width: Width, value: bigint): void {
    if (!this.legal(offset, width)) return;
    if (offset === 0x04) this.registers.set(offset, value ^ 0xffff_ffffn);
    if (offset === 0x08 && this.factorialAt === Infinity) {
      this.registers.set(offset, value);
      this.factorialAt = this.now + 1;
      this.registers.set(0x20, this.get(0x20) | 1n);
    }
    if (offset === 0x20) this.registers.set(offset, (value & 0x80n) + (this.get(offset) & 1n));
    if (offset === 0x60) this.raise(value);
    if (offset === 0x64) this.registers.set(0x24, this.get(0x24) & ~value);
    if (this.dmaAt !== Infinity) return;
    if ([0x80, 0x88, 0x90].includes(offset)) this.registers.set(offset, value);
    if (offset === 0x98 && value % 2n === 1n) {
      this.registers.set(offset, value);
      this.dmaAt = this.now + 100;
    }
  }

  raise(bits: bigint): void {
    this.registers.set(0x24, this.get(0x24) | bits);
    if (this.get(0x24) !== 0n && this.msi) this.messages++;
  }

  advance(ms: number): void {
    this.now += ms;
    if (this.factorialAt <= this.now) {
      this.factorialAt = Infinity;
      let result = 1n;
      for (let n = this.get(0x08); n > 0n && result !== 0n; n--) result = result * n % 2n ** 32n;
      this.registers.set(0x08, result);
      this.registers.set(0x20, this.get(0x20) & 0x80n);
      if (this.get(0x20) !== 0n) this.raise(1n);
    }
    if (this.dmaAt <= this.now) {
      this.dmaAt = Infinity;
      const command = this.get(0x98);
      this.move((command & 2n) !== 0n);
      this.registers.set(0x98, command - 1n);
      if ((command & 4n) !== 0n) this.raise(0x100n);
    }
  }

  move(toBus: boolean): void {
    const [local, wanted] = toBus
      ? [this.get(0x80), this.get(0x88)]
      : [this.get(0x88), this.get(0x80)];
    const bus = wanted % 2n ** 28n;
    if (bus !== wanted) this.clamped++;
    const count = this.get(0x90);
    if (local < 0x40000n || local + count > 0x41000n) return void this.outOfBounds++;
    for (let i = 0n; i < count; i++) {
      if (bus + i >= DENIED.start && bus + i < DENIED.start + DENIED.length) {
        return void this.faults++;
      }
      if (toBus) this.ram.set(bus + i, this.buffer.get(local + i) ?? 0);
      else this.buffer.set(local + i, this.ram.get(bus + i) ?? 0);
    }
  }

  reset(): void {
    const { ram, now, messages } = this;
    Object.assign(this, new NaiveEdu(), { ram, now, messages });
  }
}

const offset = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...READABLE, 0x60, 0x64) },
  { weight: 1, arbitrary: fc.nat(0xa8) },
  { weight: 1, arbitrary: fc.integer({ min: 0x3fff0, max: 0x41010 }) },
);
const width = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom<Width[]>(4, 8) },
  { weight: 1, arbitrary: fc.constantFrom<Width[]>(1, 2) },
);
const value = fc.oneof(
  fc.constantFrom(0n, 1n, 3n, 5n, 7n, 12n, 13n, 33n, 34n, 0x80n, 0x100n, 0x40000n, 2n ** 64n - 1n),
  fc.bigInt(0n, 2n ** 64n - 1n),
);
const local = fc.oneof(
  { weight: 6, arbitrary: fc.bigInt(0x40000n, 0x40040n) },
  { weight: 1, arbitrary: fc.constantFrom(0x3ffffn, 0x40fffn, 0x41000n, 0x41001n, 2n ** 64n - 1n) },
);
const bus = fc.oneof(
  fc.bigInt(0n, 0x5fffn),
  fc.constantFrom(0x2ff0n, 0x3000n, 0x3ff8n, 0xfff_ffffn, 0x1000_0010n, 2n ** 64n - 8n),
);
const count = fc.oneof(
  { weight: 6, arbitrary: fc.bigInt(0n, 0x50n) },
  { weight: 1, arbitrary: fc.constantFrom(0n, 4095n, 4096n, 4097n, 2n ** 64n - 1n) },
);
const command = fc.tuple(fc.bigInt(0n, 7n), fc.bigInt(0n, 2n ** 61n - 1n)).map(
  ([low, high]) => low | 1n | (high % 5n === 0n ? high << 3n : 0n),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("read" as const), offset, width }) },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("write" as const), offset, width, value }),
  },
  {
    weight: 4,
    arbitrary: fc.tuple(local, bus, count, command).map(([near, far, length, bits]): Step => ({
      kind: "dma",
      words: (bits & 2n) === 0n ? [far, near, length, bits] : [near, far, length, bits],
    })),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("advance" as const),
      ms: fc.constantFrom(0, 0.5, 1, 49, 50, 99, 100),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("msi" as const), on: fc.boolean() }) },
  { weight: 1, arbitrary: fc.constant<Step>({ kind: "reset" }) },
);

async function compare(bench: EduBench, steps: readonly Step[]): Promise<void> {
  const { target, driver, memory, clock } = bench;
  const naive = new NaiveEdu();
  memory.poke(0, RAM);
  memory.deny(DENIED.start, DENIED.length, Fault.UNMAPPED);

  const read = async (offset: number, width: Width) =>
    width === 8
      ? await target.barRead64(0, offset)
      : BigInt(await target.barRead(0, offset, width));
  const write = async (offset: number, width: Width, value: bigint) => {
    const cut = BigInt.asUintN(8 * width, value);
    naive.write(offset, width, cut);
    if (width === 8) await target.barWrite64(0, offset, cut);
    else await target.barWrite(0, offset, width, Number(cut));
  };

  for (const step of [...steps, { kind: "advance" as const, ms: 100 }]) {
    switch (step.kind) {
      case "read":
        assertEquals(await read(step.offset, step.width), naive.read(step.offset, step.width));
        break;
      case "write":
        await write(step.offset, step.width, step.value);
        break;
      case "dma":
        for (const [i, word] of step.words.entries()) await write(0x80 + 8 * i, 8, word);
        break;
      case "advance":
        clock.advance(step.ms);
        naive.advance(step.ms);
        break;
      case "msi":
        await (step.on ? driver.enableMsi() : driver.disableMsi());
        naive.msi = step.on;
        break;
      case "reset":
        await target.reset();
        await target.configWrite(0x04, 2, 0x0006);
        naive.reset();
        break;
    }
    assertEquals(await target.intxAsserted(), !naive.msi && naive.get(0x24) !== 0n);
    assertEquals(await target.takeInterrupts(0), naive.messages);
    naive.messages = 0;
  }

  for (const offset of READABLE) {
    const width = offset < 0x80 ? 4 : 8;
    assertEquals(await read(offset, width), naive.read(offset, width), offset.toString(16));
  }
  const { outOfBounds, clampedAddresses, dmaFaults } = (await target.inspect())
    .errors as Record<string, number>;
  assertEquals(
    [outOfBounds, clampedAddresses, dmaFaults],
    [naive.outOfBounds, naive.clamped, naive.faults],
  );
  await driver.dmaFromDevice(0, 0x10_0000, 4096);
  clock.advance(100);
  for (const [i, byte] of memory.peek(0x10_0000, 4096).entries()) {
    const expected = naive.buffer.get(BigInt(0x40000 + i)) ?? 0;
    if (byte !== expected) assertEquals(byte, expected, `buffer byte ${i}`);
  }
  for (const [address, expected] of naive.ram) {
    const byte = memory.peekByte(Number(address));
    if (byte !== expected) assertEquals(byte, expected, `byte at ${address.toString(16)}`);
  }
}

for (const [host, make] of [["a fake host", fakeBench], ["PciFunction", functionBench]] as const) {
  Deno.test(`Edu in ${host} agrees with a naive model over random accesses, time, MSI switches and resets`, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80, size: "max" }), async (steps) => {
        const bench = make();
        await compare(bench, steps);
        assertEquals(bench.thrown, []);
      }),
      { numRuns: 100 },
    );
  });
}
