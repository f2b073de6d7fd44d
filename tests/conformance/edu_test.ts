/**
 * edu against its numbered rules: each case names the rule it holds the device
 * to, and quotes it. Values come from the rules and from QEMU's `edu.rst`, not from
 * the model's tables.
 */

import { assert, assertEquals } from "@std/assert";
import { Fault } from "../../core/address.ts";
import type { EduOptions } from "../../devices/edu/edu.ts";
import { type EduBench, fakeBench, functionBench } from "../../devices/edu/_test_bench.ts";

type Host = "fake host" | "PciFunction";
const BOTH: readonly Host[] = ["fake host", "PciFunction"];

interface Case {
  readonly rule: number;
  /** The rule's own words. */
  readonly quote: string;
  /** What of it this case shows. */
  readonly criterion: string;
  readonly options: EduOptions;
  /** What it runs over; the real function alone where the rule is the function's to keep. */
  readonly hosts: readonly Host[];
  readonly run: (bench: EduBench) => Promise<void>;
}

const CASES: Case[] = [];

function rule(
  number: number,
  quote: string,
  criterion: string,
  run: Case["run"],
  options: EduOptions = {},
  hosts: readonly Host[] = BOTH,
): void {
  CASES.push({ rule: number, quote, criterion, run, options, hosts });
}

// ---------------------------------------------------------------------------
// What the cases say often

const ALL_ONES = { 1: 0xff, 2: 0xffff, 4: 0xffff_ffff } as const;
const ALL_ONES_64 = 0xffff_ffff_ffff_ffffn;
const SIZES = [1, 2, 4] as const;

const SOURCE = 0x80, DESTINATION = 0x88, COUNT = 0x90, COMMAND = 0x98;
const BUFFER = 0x40000;
const FACTORIAL_MS = 1, DMA_MS = 100;

const read = (b: EduBench, offset: number) => b.target.barRead(0, offset, 4);
const write = (b: EduBench, offset: number, value: number) =>
  b.target.barWrite(0, offset, 4, value);
const read64 = (b: EduBench, offset: number) => b.target.barRead64(0, offset);
const write64 = (b: EduBench, offset: number, value: bigint) =>
  b.target.barWrite64(0, offset, value);

const pattern = (length: number, seed = 1) =>
  Uint8Array.from({ length }, (_, i) => (i * 7 + seed * 31 + (i >> 8)) & 0xff);

async function program(
  b: EduBench,
  source: number | bigint,
  destination: number | bigint,
  count: number | bigint,
  command: number | bigint,
): Promise<void> {
  await write64(b, SOURCE, BigInt(source));
  await write64(b, DESTINATION, BigInt(destination));
  await write64(b, COUNT, BigInt(count));
  await write64(b, COMMAND, BigInt(command));
}

/** One transfer from its registers to its end. */
async function transfer(...args: Parameters<typeof program>): Promise<void> {
  await program(...args);
  args[0].clock.advance(DMA_MS);
}

/** Fills edu's buffer with `bytes` by DMA, and forgets that it happened. */
async function fillBuffer(b: EduBench, bytes: Uint8Array): Promise<void> {
  b.memory.poke(0x900_0000, bytes);
  await transfer(b, 0x900_0000, BUFFER, bytes.length, 1);
  b.memory.accesses.length = 0;
}

/** Edu's buffer, fetched by DMA. */
async function dumpBuffer(b: EduBench): Promise<Uint8Array> {
  await transfer(b, BUFFER, 0x800_0000, 4096, 3);
  return b.memory.peek(0x800_0000, 4096);
}

interface Errors {
  guestErrors: number;
  outOfBounds: number;
  clampedAddresses: number;
  dmaFaults: number;
  lastDmaError: null | {
    reason: string;
    address: string;
    transferred: number;
    timeNs: number;
  };
}

async function errors(b: EduBench): Promise<Errors> {
  return (await b.target.inspect()).errors as Errors;
}

async function setConfigBits(b: EduBench, offset: number, mask: number, bits: number) {
  const value = await b.target.configRead(offset, 2);
  await b.target.configWrite(offset, 2, (value & ~mask) | bits);
}

/** Offset of a capability by its ID, and the IDs of all, in list order. */
async function capabilities(b: EduBench): Promise<{ id: number; offset: number }[]> {
  const found = [];
  let offset = await b.target.configRead(0x34, 1);
  while (offset !== 0 && found.length < 48) {
    found.push({ id: await b.target.configRead(offset, 1), offset });
    offset = await b.target.configRead(offset + 1, 1);
  }
  return found;
}

/** Gives every register that holds a value one of its own, with nothing running. */
async function distinct(b: EduBench): Promise<void> {
  await write(b, 0x08, 5);
  b.clock.advance(FACTORIAL_MS);
  await write(b, 0x04, 0x1234_5678);
  await write(b, 0x20, 0x80);
  await write(b, 0x60, 0xa5a5_0000);
  await transfer(
    b,
    0x1111_2222_3333_4444n,
    0x5555_6666_7777_8888n,
    0x0123_4567_89ab_cdefn,
    0xfedc_ba98_7654_3211n,
  );
}

/** What each 4-byte read gives after {@linkcode distinct}; offsets that are not here read all ones. */
const DISTINCT_32: ReadonlyMap<number, number> = new Map([
  [0x00, 0x0100_00ed],
  [0x04, 0xedcb_a987],
  [0x08, 120],
  [0x20, 0x80],
  [0x24, 0xa5a5_0000],
  [SOURCE, 0x3333_4444],
  [DESTINATION, 0x7777_8888],
  [COUNT, 0x89ab_cdef],
  [COMMAND, 0x7654_3210],
]);
const DISTINCT_64: ReadonlyMap<number, bigint> = new Map([
  [SOURCE, 0x1111_2222_3333_4444n],
  [DESTINATION, 0x5555_6666_7777_8888n],
  [COUNT, 0x0123_4567_89ab_cdefn],
  [COMMAND, 0xfedc_ba98_7654_3210n],
]);

/** Offsets that the width cases visit: the register block, the buffer's addresses, the BAR's end. */
const OFFSETS: readonly number[] = [
  ...Array.from({ length: 0x140 }, (_, i) => i),
  ...[0x1000, 0x3fff8, 0x40000, 0x40008, 0x40ff8, 0x41000, 0x80000, 0xffff8].flatMap((base) =>
    Array.from({ length: 8 }, (_, i) => base + i)
  ),
];

// ---------------------------------------------------------------------------
// 2.1 PCI identity

rule(
  1,
  "Vendor 0x1234, device 0x11e8, revision 0x10, class word 0x00ff",
  "the header says so, subsystem 0x1af4:0x1100",
  async (b) => {
    const header = async (offset: number, size: 1 | 2 | 4) =>
      await b.target.configRead(offset, size);
    assertEquals(await header(0x00, 2), 0x1234);
    assertEquals(await header(0x02, 2), 0x11e8);
    assertEquals(await header(0x08, 1), 0x10);
    assertEquals(await header(0x09, 1), 0x00, "programming interface");
    assertEquals(await header(0x0a, 2), 0x00ff, "class word");
    assertEquals(await header(0x2c, 2), 0x1af4);
    assertEquals(await header(0x2e, 2), 0x1100);
  },
);

rule(
  2,
  "BAR0: 32-bit, non-prefetchable memory, 1 MiB. Interrupt pin 1 (INTA)",
  "there is that BAR and no other, and that pin",
  async (b) => {
    assertEquals(b.device.bars.length, 1);
    const bar = b.device.bars[0]!;
    assertEquals([bar.index, bar.size, bar.kind], [0, 1 << 20, "mmio32"]);
    assertEquals(bar.prefetchable ?? false, false);
    assertEquals(await b.target.configRead(0x3d, 1), 1);
  },
);

rule(
  2,
  "BAR0: 32-bit, non-prefetchable memory, 1 MiB",
  "software that sizes the BARs finds it, and nothing in the others",
  async (b) => {
    for (let bar = 0; bar < 6; bar++) {
      await b.target.configWrite(0x10 + 4 * bar, 4, 0xffff_ffff);
      assertEquals(await b.target.configRead(0x10 + 4 * bar, 4), bar === 0 ? 0xfff0_0000 : 0);
    }
  },
  {},
  ["PciFunction"],
);

rule(
  3,
  "MSI capability: one vector, 64-bit address, no per-vector masking. No MSI-X",
  "the capability list holds MSI at 0x40 and nothing else",
  async (b) => {
    assertEquals(await capabilities(b), [{ id: 0x05, offset: 0x40 }]);
    // Multiple Message Capable 0, 64-bit capable, per-vector masking 0, disabled.
    assertEquals(await b.target.configRead(0x42, 2), 0x0080);
  },
);

rule(
  3,
  "Stock edu is a conventional PCI device (no PCIe capability, no extended config space)",
  "the model asks for no capability of its own",
  (b) => {
    const { capabilities = [], extendedCapabilities = [] } = b.device as {
      capabilities?: readonly unknown[];
      extendedCapabilities?: readonly unknown[];
    };
    assertEquals([capabilities.length, extendedCapabilities.length], [0, 0]);
    assertEquals(b.device.interrupts.msix, undefined);
    return Promise.resolve();
  },
);

// ---------------------------------------------------------------------------
// 2.2 Access rules

rule(
  4,
  "Offsets below 0x80: only 4-byte accesses. Offsets 0x80 and above: 4 or 8 bytes",
  "each register reads its value in each legal width",
  async (b) => {
    await distinct(b);
    for (const [offset, value] of DISTINCT_32) {
      assertEquals(await read(b, offset), value, `4 bytes at ${offset.toString(16)}`);
    }
    for (const [offset, value] of DISTINCT_64) {
      assertEquals(await read64(b, offset), value, `8 bytes at ${offset.toString(16)}`);
    }
  },
);

rule(
  4,
  "A 4/8-byte access of the wrong width: read gives all ones of that width",
  "8 bytes at each aligned offset below 0x80",
  async (b) => {
    await distinct(b);
    for (let offset = 0; offset < 0x80; offset += 8) {
      assertEquals(await read64(b, offset), ALL_ONES_64, `at ${offset.toString(16)}`);
    }
  },
);

rule(
  4,
  "A 4/8-byte access of the wrong width: … write is ignored",
  "8 bytes at each aligned offset below 0x80",
  async (b) => {
    await distinct(b);
    const before = await b.target.inspect();
    for (let offset = 0; offset < 0x80; offset += 8) {
      for (const value of [0n, 1n, 0x80n, 0x0000_0005_0000_0005n, ALL_ONES_64]) {
        await write64(b, offset, value);
      }
    }
    b.clock.advance(DMA_MS);
    assertEquals(await b.target.inspect(), before);
  },
);

rule(
  5,
  "1- and 2-byte and misaligned accesses … D: all ones",
  "reads at every offset",
  async (b) => {
    await distinct(b);
    for (const offset of OFFSETS) {
      for (const size of SIZES) {
        if (size === 4 && offset % 4 === 0) continue;
        const value = await b.target.barRead(0, offset, size);
        assertEquals(value, ALL_ONES[size], `${size} bytes at ${offset.toString(16)}`);
      }
      if (offset % 8 !== 0) {
        assertEquals(await read64(b, offset), ALL_ONES_64, `8 bytes at ${offset.toString(16)}`);
      }
    }
  },
);

rule(
  5,
  "1- and 2-byte and misaligned accesses … D: … ignored",
  "writes at every offset",
  async (b) => {
    await distinct(b);
    const before = await b.target.inspect();
    for (const offset of OFFSETS) {
      for (const size of SIZES) {
        if (size === 4 && offset % 4 === 0) continue;
        await b.target.barWrite(0, offset, size, ALL_ONES[size]);
      }
      if (offset % 8 !== 0) await write64(b, offset, ALL_ONES_64);
    }
    b.clock.advance(DMA_MS);
    assertEquals(await b.target.inspect(), before);
    assertEquals(await b.target.intxAsserted(), true, "raised by the set-up, and still");
  },
);

rule(
  6,
  "An offset not in the table (also write-only registers, the upper halves 0x84/0x8c/0x94/0x9c, and 0x40000.. ): read all ones",
  "aligned reads of both widths at every other offset",
  async (b) => {
    await distinct(b);
    await fillBuffer(b, pattern(4096));
    for (const offset of OFFSETS) {
      if (offset % 4 === 0 && !DISTINCT_32.has(offset)) {
        assertEquals(await read(b, offset), ALL_ONES[4], `4 bytes at ${offset.toString(16)}`);
      }
      if (offset % 8 === 0 && !DISTINCT_64.has(offset)) {
        assertEquals(await read64(b, offset), ALL_ONES_64, `8 bytes at ${offset.toString(16)}`);
      }
    }
  },
);

rule(
  6,
  "An offset not in the table …: … write ignored",
  "aligned writes of both widths at every other offset, and to what is read-only",
  async (b) => {
    await distinct(b);
    const before = await b.target.inspect();
    const writable = [0x04, 0x08, 0x20, 0x60, 0x64, SOURCE, DESTINATION, COUNT, COMMAND];
    for (const offset of OFFSETS) {
      if (offset % 4 === 0 && !writable.includes(offset)) await write(b, offset, 0xffff_ffff);
      if (offset % 8 === 0 && !DISTINCT_64.has(offset)) await write64(b, offset, ALL_ONES_64);
    }
    b.clock.advance(DMA_MS);
    assertEquals(await b.target.inspect(), before);
  },
);

rule(
  6,
  "The DMA buffer at 0x40000 is **not** visible through BAR0",
  "a write there does not reach it",
  async (b) => {
    await fillBuffer(b, pattern(4096));
    await write(b, BUFFER, 0x1234_5678);
    await write64(b, BUFFER + 8, 0n);
    assertEquals(await dumpBuffer(b), pattern(4096));
  },
);

rule(
  7,
  "A 4-byte write to a 64-bit register stores the zero-extended value: it clears the high half",
  "for each of them",
  async (b) => {
    for (const offset of [SOURCE, DESTINATION, COUNT]) {
      await write64(b, offset, 0xffff_eeee_dddd_ccccn);
      await write(b, offset, 0x8765_4321);
      assertEquals(await read64(b, offset), 0x8765_4321n);
    }
    await transfer(b, 0, BUFFER, 0, 0xffff_ffff_ffff_ffffn);
    assertEquals(await read64(b, COMMAND), 0xffff_ffff_ffff_fffen);
    await write(b, COMMAND, 0x8000_0001);
    assertEquals(await read64(b, COMMAND), 0x8000_0001n);
  },
);

// ---------------------------------------------------------------------------
// 2.3 Registers

rule(8, "0x00 identification 0x010000ed", "and it is read-only", async (b) => {
  assertEquals(await b.driver.identification(), 0x0100_00ed);
  await write(b, 0x00, 0);
  assertEquals(await b.driver.identification(), 0x0100_00ed);
});

rule(
  8,
  "0x04 liveness: reads the bitwise inverse of the last write; 0 at start",
  "for patterns of all kinds",
  async (b) => {
    assertEquals(await read(b, 0x04), 0);
    for (const value of [0, 1, 0x7fff_ffff, 0x8000_0000, 0xdead_beef, 0xffff_ffff]) {
      assertEquals(await b.driver.liveness(value), 0xffff_ffff - value);
    }
  },
);

rule(
  8,
  "a write while computing is ignored; otherwise stores the operand and sets bit 0 of status",
  "5! is not disturbed by a 7 that comes too early, and 7! goes after it",
  async (b) => {
    await b.driver.startFactorial(5);
    assertEquals(await read(b, 0x20), 0x01);
    await b.driver.startFactorial(7);
    assertEquals(await read(b, 0x08), 5);
    b.clock.advance(FACTORIAL_MS);
    assertEquals([await read(b, 0x08), await read(b, 0x20)], [120, 0]);
    await b.driver.startFactorial(7);
    assertEquals(await b.driver.factorialRunning(), true);
    b.clock.advance(FACTORIAL_MS);
    assertEquals(await b.driver.factorialResult(), 5040);
  },
);

rule(
  8,
  "Until done, 0x08 reads the operand. Result is n! modulo 2^32. Then bit 0 clears",
  "the instant before the end, and the end",
  async (b) => {
    await b.driver.startFactorial(13);
    b.clock.advance(FACTORIAL_MS - 1e-6);
    assertEquals([await read(b, 0x08), await read(b, 0x20)], [13, 1]);
    b.clock.advance(1e-6);
    assertEquals([await read(b, 0x08), await read(b, 0x20)], [1932053504, 0]);
  },
);

rule(
  8,
  "if bit 7 is set **at that time** interrupt bit 0x1 is raised",
  "and with bit 7 clear it is not",
  async (b) => {
    await b.driver.startFactorial(3);
    b.clock.advance(FACTORIAL_MS);
    assertEquals(await b.driver.interruptStatus(), 0);
    await b.driver.setFactorialInterrupt("on");
    await b.driver.startFactorial(3);
    assertEquals(await b.driver.interruptStatus(), 0);
    b.clock.advance(FACTORIAL_MS);
    assertEquals(await b.driver.interruptStatus(), 0x1);
    assertEquals(await b.target.intxAsserted(), true);
    assertEquals(await read(b, 0x20), 0x80, "bit 7 stays");
  },
);

const VECTORS: readonly (readonly [n: number, result: number])[] = [
  [0, 1],
  [1, 1],
  [2, 2],
  [5, 120],
  [12, 479001600],
  [13, 1932053504],
  [20, 2192834560],
  [33, 2147483648],
  [34, 0],
  [35, 0],
  [0x7fff_ffff, 0],
  [0x8000_0000, 0],
  [0xffff_ffff, 0],
];
for (const [n, result] of VECTORS) {
  rule(
    9,
    "0->1, 1->1, 5->120, 12->479001600, 13->1932053504, 20->2192834560, 33->2147483648, n>=34->0",
    `${n}! is ${result}`,
    async (b) => {
      await b.driver.startFactorial(n);
      b.clock.advance(FACTORIAL_MS);
      assertEquals(await b.driver.factorialRunning(), false);
      assertEquals(await b.driver.factorialResult(), result);
    },
  );
}

rule(
  10,
  "only bit 7 of the value matters (set or clear); bit 0 cannot be written",
  "idle and computing",
  async (b) => {
    for (
      const [value, status] of [[0xffff_ffff, 0x80], [0xffff_ff7f, 0], [0x01, 0], [0x81, 0x80]]
    ) {
      await write(b, 0x20, value!);
      assertEquals(await read(b, 0x20), status!, `idle, ${value!.toString(16)}`);
    }
    b.clock.advance(FACTORIAL_MS);
    assertEquals(await b.driver.interruptStatus(), 0, "nothing was computed");
    await b.driver.startFactorial(4);
    for (const [value, status] of [[0xffff_fffe, 0x81], [0, 0x01], [0x80, 0x81], [0x7f, 0x01]]) {
      await write(b, 0x20, value!);
      assertEquals(await read(b, 0x20), status!, `computing, ${value!.toString(16)}`);
    }
    b.clock.advance(FACTORIAL_MS);
    assertEquals([await read(b, 0x20), await read(b, 0x08)], [0, 24]);
  },
);

rule(
  11,
  "Setting bit 7 while computing must still give an interrupt",
  "at the last instant at which bit 0 is seen set",
  async (b) => {
    await b.driver.startFactorial(6);
    b.clock.advance(FACTORIAL_MS - 1e-6);
    assertEquals(await b.driver.factorialRunning(), true);
    await b.driver.setFactorialInterrupt("on");
    assertEquals(await b.driver.interruptStatus(), 0);
    b.clock.advance(1e-6);
    assertEquals(await b.driver.interruptStatus(), 0x1);
  },
);

rule(
  11,
  "setting it after does not",
  "at the first instant at which bit 0 is seen clear; clearing it in time takes the interrupt back",
  async (b) => {
    await b.driver.startFactorial(6);
    b.clock.advance(FACTORIAL_MS);
    assertEquals(await b.driver.factorialRunning(), false);
    await b.driver.setFactorialInterrupt("on");
    b.clock.advance(10 * FACTORIAL_MS);
    assertEquals(await b.driver.interruptStatus(), 0);
    await b.driver.startFactorial(6);
    await b.driver.setFactorialInterrupt("off");
    b.clock.advance(FACTORIAL_MS);
    assertEquals(await b.driver.interruptStatus(), 0);
  },
);

rule(
  11,
  "Order: clear computing, then look at bit 7",
  "who is interrupted sees bit 0 clear and the result there",
  async (b) => {
    const seen: unknown[] = [];
    await b.driver.enableMsi();
    b.onMessage(() => seen.push([b.device.barRead(0, 0x20, 4), b.device.barRead(0, 0x08, 4)]));
    await b.driver.setFactorialInterrupt("on");
    await b.driver.startFactorial(5);
    b.clock.advance(FACTORIAL_MS);
    assertEquals(seen, [[0x80, 120]]);
  },
);

// ---------------------------------------------------------------------------
// 2.4 Interrupts

rule(12, "status |= v", "bits pile up, all 32 of them", async (b) => {
  for (const [bits, status] of [[2, 2], [0x8000_0000, 0x8000_0002], [2, 0x8000_0002]]) {
    await b.driver.raiseInterrupt(bits!);
    assertEquals(await b.driver.interruptStatus(), status!);
  }
});

rule(
  12,
  "if status != 0: MSI enabled -> send one message (also when no new bit appeared)",
  "one a raise, and the pin stays out of it",
  async (b) => {
    await b.driver.enableMsi();
    await b.driver.raiseInterrupt(4);
    assertEquals(await b.target.takeInterrupts(0), 1);
    await b.driver.raiseInterrupt(4);
    assertEquals(await b.target.takeInterrupts(0), 1);
    await b.driver.raiseInterrupt(0x10);
    await b.driver.raiseInterrupt(0x20);
    assertEquals(await b.target.takeInterrupts(0), 2);
    assertEquals(await b.target.intxAsserted(), false);
  },
);

rule(12, "else assert INTx", "and no message is sent", async (b) => {
  assertEquals(await b.target.intxAsserted(), false);
  await b.driver.raiseInterrupt(0x40);
  assertEquals(await b.target.intxAsserted(), true);
  await b.driver.enableMsi();
  assertEquals(await b.target.takeInterrupts(0), 0);
});

rule(
  12,
  "Raise(0) with status 0 does nothing; with status != 0 it re-sends",
  "as MSI",
  async (b) => {
    await b.driver.enableMsi();
    await b.driver.raiseInterrupt(0);
    assertEquals(await b.target.takeInterrupts(0), 0);
    await b.driver.raiseInterrupt(8);
    await b.target.takeInterrupts(0);
    await b.driver.raiseInterrupt(0);
    assertEquals(await b.target.takeInterrupts(0), 1);
    assertEquals(await b.driver.interruptStatus(), 8);
  },
);

rule(12, "Raise(0) with status 0 does nothing", "as INTx", async (b) => {
  await b.driver.raiseInterrupt(0);
  assertEquals(await b.target.intxAsserted(), false);
});

rule(
  13,
  "status &= ~v; if status is 0 and MSI is off, de-assert INTx",
  "when the last bit goes, and not before",
  async (b) => {
    await b.driver.raiseInterrupt(0x8000_0003);
    await b.driver.acknowledgeInterrupt(1);
    assertEquals(await b.driver.interruptStatus(), 0x8000_0002);
    assertEquals(await b.target.intxAsserted(), true);
    await b.driver.acknowledgeInterrupt(0x7fff_ffff);
    assertEquals(await b.driver.interruptStatus(), 0x8000_0000);
    assertEquals(await b.target.intxAsserted(), true);
    await b.driver.acknowledgeInterrupt(0x8000_0000);
    assertEquals(await b.driver.interruptStatus(), 0);
    assertEquals(await b.target.intxAsserted(), false);
  },
);

rule(13, "Under MSI no line change", "neither by raise nor by acknowledge", async (b) => {
  await b.driver.enableMsi();
  await b.driver.raiseInterrupt(1);
  assertEquals(await b.target.intxAsserted(), false);
  await b.driver.acknowledgeInterrupt(1);
  assertEquals(await b.target.intxAsserted(), false);
  assertEquals(await b.target.takeInterrupts(0), 1, "an acknowledge sends nothing");
});

rule(14, "INTx level stays until status is 0", "over other work of the device", async (b) => {
  await b.driver.raiseInterrupt(2);
  await b.driver.startFactorial(5);
  await transfer(b, 0, BUFFER, 4, 1);
  assertEquals(await b.target.intxAsserted(), true);
  await b.driver.acknowledgeInterrupt(0x101);
  assertEquals(await b.target.intxAsserted(), true);
  await b.driver.acknowledgeInterrupt(2);
  assertEquals(await b.target.intxAsserted(), false);
});

rule(
  14,
  "INTx level stays until status is 0",
  "over a switch to MSI and back with status pending, and one with status acknowledged meanwhile",
  async (b) => {
    await b.driver.raiseInterrupt(1);
    await b.driver.enableMsi();
    assertEquals(await b.target.intxAsserted(), false);
    await b.driver.disableMsi();
    assertEquals(await b.target.intxAsserted(), true);
    await b.driver.enableMsi();
    await b.driver.acknowledgeInterrupt(1);
    await b.driver.disableMsi();
    assertEquals(await b.target.intxAsserted(), false);
    await b.driver.enableMsi();
    await b.driver.raiseInterrupt(2);
    await b.driver.disableMsi();
    assertEquals(await b.target.intxAsserted(), true);
    assertEquals(await b.target.takeInterrupts(0), 1);
  },
);

rule(
  14,
  "INTx disable (command bit 10) … per PCI",
  "keeps the pin down, and lets the level through again",
  async (b) => {
    await setConfigBits(b, 0x04, 0x400, 0x400);
    await b.driver.raiseInterrupt(1);
    assertEquals(await b.target.intxAsserted(), false);
    assertEquals(await b.driver.interruptStatus(), 1);
    assertEquals(await b.target.configRead(0x06, 2) & 0x8, 0x8, "pending, in the PCI status");
    await setConfigBits(b, 0x04, 0x400, 0);
    assertEquals(await b.target.intxAsserted(), true);
  },
  {},
  ["PciFunction"],
);

rule(
  14,
  "bus-master gating of MSI: per PCI",
  "no message leaves while it is off, and the status keeps the bits",
  async (b) => {
    await b.driver.enableMsi();
    await setConfigBits(b, 0x04, 0x4, 0);
    await b.driver.raiseInterrupt(1);
    assertEquals(await b.target.takeInterrupts(0), 0);
    assertEquals(await b.target.intxAsserted(), false);
    assertEquals(await b.driver.interruptStatus(), 1);
    await setConfigBits(b, 0x04, 0x4, 0x4);
    await b.driver.raiseInterrupt(0);
    assertEquals(await b.target.takeInterrupts(0), 1);
  },
  {},
  ["PciFunction"],
);

rule(
  15,
  "Sources: 0x1 factorial, 0x100 DMA, any bit through 0x60",
  "each by itself, then all",
  async (b) => {
    await b.driver.setFactorialInterrupt("on");
    await b.driver.startFactorial(1);
    b.clock.advance(FACTORIAL_MS);
    assertEquals(await b.driver.interruptStatus(), 0x1);
    await b.driver.acknowledgeInterrupt(0x1);
    await transfer(b, 0, BUFFER, 1, 5);
    assertEquals(await b.driver.interruptStatus(), 0x100);
    await b.driver.acknowledgeInterrupt(0x100);
    for (let bit = 0; bit < 32; bit++) {
      await b.driver.raiseInterrupt(2 ** bit);
      assertEquals(await b.driver.interruptStatus(), 2 ** (bit + 1) - 1);
    }
  },
);

// ---------------------------------------------------------------------------
// 2.5 DMA

rule(
  16,
  "Command write without bit 0: ignored wholly",
  "nothing is stored and nothing starts",
  async (b) => {
    await program(b, 0x1000, BUFFER, 16, 0xffff_ffff_ffff_fffen);
    assertEquals(await read64(b, COMMAND), 0n);
    await write(b, COMMAND, 6);
    assertEquals(await read64(b, COMMAND), 0n);
    b.clock.advance(2 * DMA_MS);
    assertEquals(b.memory.accesses, []);
    assertEquals(await b.driver.interruptStatus(), 0);
  },
);

rule(
  16,
  "With bit 0 and no transfer running: store, start a 100 ms timer (virtual clock)",
  "nothing moves before, everything at that instant",
  async (b) => {
    b.memory.poke(0x1000, pattern(16));
    await program(b, 0x1000, BUFFER, 16, 1);
    b.clock.advance(DMA_MS - 1e-6);
    assertEquals([await read64(b, COMMAND), b.memory.accesses.length], [1n, 0]);
    b.clock.advance(1e-6);
    assertEquals(await read64(b, COMMAND), 0n);
    assertEquals(b.memory.accesses, [{ kind: "read", address: 0x1000, length: 16 }]);
  },
);

for (const width of [4, 8] as const) {
  rule(
    16,
    "While running, writes to 0x80..0x98 are ignored; reads work",
    `${width} bytes wide; the transfer is the one that was started, and ends when it would have`,
    async (b) => {
      b.memory.poke(0x1000, pattern(16));
      await program(b, 0x1000, BUFFER, 16, 1);
      b.clock.advance(60);
      for (const offset of [SOURCE, DESTINATION, COUNT, COMMAND]) {
        for (const value of [0, 3, 5, 7, 0x2000]) {
          if (width === 4) await write(b, offset, value);
          else await write64(b, offset, BigInt(value) << 32n | BigInt(value));
        }
      }
      assertEquals(
        await Promise.all([SOURCE, DESTINATION, COUNT, COMMAND].map((offset) => read64(b, offset))),
        [0x1000n, 0x40000n, 16n, 1n],
      );
      b.clock.advance(40);
      assertEquals(await b.driver.dmaRunning(), false);
      assertEquals(b.memory.accesses, [{ kind: "read", address: 0x1000, length: 16 }]);
      assertEquals(await b.driver.interruptStatus(), 0);
      b.clock.advance(5 * DMA_MS);
      assertEquals(b.memory.accesses.length, 1);
      assertEquals((await dumpBuffer(b)).subarray(0, 16), pattern(16));
    },
  );
}

rule(
  16,
  "While running, writes to 0x80..0x98 are ignored",
  "all other registers work",
  async (b) => {
    await program(b, 0x1000, BUFFER, 16, 1);
    assertEquals(await b.driver.liveness(1), 0xffff_fffe);
    await b.driver.startFactorial(5);
    await b.driver.raiseInterrupt(2);
    b.clock.advance(FACTORIAL_MS);
    assertEquals([await b.driver.factorialResult(), await b.driver.interruptStatus()], [120, 2]);
    assertEquals(await b.driver.dmaRunning(), true);
  },
);

rule(
  17,
  "direction 0 reads `count` bytes from bus address src to buffer offset dst-0x40000",
  "and touches no byte beside them",
  async (b) => {
    await fillBuffer(b, pattern(4096, 9));
    b.memory.poke(0x1001, pattern(100));
    await b.driver.dmaToDevice(0x1001, 0x123, 100);
    b.clock.advance(DMA_MS);
    const expected = pattern(4096, 9);
    expected.set(pattern(100), 0x123);
    assertEquals(await dumpBuffer(b), expected);
  },
);

rule(
  17,
  "direction 1 writes from buffer offset src-0x40000 to bus address dst",
  "and touches no byte beside them",
  async (b) => {
    await fillBuffer(b, pattern(4096));
    await b.driver.dmaFromDevice(0xf9c, 0x2ffe, 100);
    b.clock.advance(DMA_MS);
    assertEquals(b.memory.accesses, [{ kind: "write", address: 0x2ffe, length: 100 }]);
    assertEquals(b.memory.peek(0x2ffe, 100), pattern(4096).subarray(0xf9c));
    assertEquals([...b.memory.peek(0x2ffc, 2), ...b.memory.peek(0x3062, 2)], [0, 0, 0, 0]);
  },
);

for (const command of [0x1n, 0x3n, 0xf9n, 0xffff_ffff_ffff_fff9n, 0xffff_ffff_ffff_fffbn]) {
  rule(
    17,
    "Then clear bit 0 only (other command bits stay)",
    `command 0x${command.toString(16)}`,
    async (b) => {
      await transfer(b, BUFFER, BUFFER, 4, command);
      assertEquals(await read64(b, COMMAND), command - 1n);
      assertEquals(await b.driver.interruptStatus(), 0);
    },
  );
}

for (const command of [5, 7]) {
  rule(17, "then if bit 2 raise 0x100", `command ${command}, at the end and once`, async (b) => {
    await b.driver.enableMsi();
    await program(b, BUFFER, BUFFER, 4, command);
    b.clock.advance(DMA_MS - 1);
    assertEquals(await b.driver.interruptStatus(), 0);
    b.clock.advance(1);
    assertEquals(await b.driver.interruptStatus(), 0x100);
    b.clock.advance(5 * DMA_MS);
    assertEquals(await b.target.takeInterrupts(0), 1);
  });
}

rule(17, "then if bit 2 raise 0x100", "the handler may start the next transfer", async (b) => {
  b.memory.poke(0x1000, pattern(8));
  await transfer(b, 0x1000, BUFFER, 8, 5);
  await b.driver.acknowledgeInterrupt(0x100);
  await b.driver.dmaFromDevice(0, 0x2000, 8, "raise");
  b.clock.advance(DMA_MS);
  assertEquals(b.memory.peek(0x2000, 8), pattern(8));
  assertEquals(await b.driver.interruptStatus(), 0x100);
});

const LEGAL: readonly (readonly [address: number, count: number])[] = [
  [0x40000, 1],
  [0x40000, 4095],
  [0x40000, 4096],
  [0x40001, 4095],
  [0x40800, 0x800],
  [0x40fff, 1],
];
const EMPTY = [0x40000, 0x40800, 0x40fff, 0x41000];
/** Buffer-side ranges that are not all within it. */
const ILLEGAL: readonly (readonly [address: bigint, count: bigint])[] = [
  [0x40000n, 4097n],
  [0x40001n, 4096n],
  [0x40fffn, 2n],
  [0x41000n, 1n],
  [0x41001n, 0n],
  [0x3ffffn, 0n],
  [0x3ffffn, 1n],
  [0x3ffffn, 2n],
  [0x3f000n, 4096n],
  [0x0n, 4096n],
  [0x0n, 0x100000n],
  [0x40000n, 0x1_0000_0001n],
  [0x40000n, 0x1_0000_0000n],
  [0x40000n, 2n ** 63n],
  [0x40000n, 2n ** 64n - 1n],
  [0x40fffn, 2n ** 64n - 1n],
  // Would end inside the buffer if the sum wrapped at 2^64.
  [2n ** 64n - 1n, 0x40002n],
  [2n ** 64n - 0x1000n, 0x41000n],
  [2n ** 64n - 1n, 2n ** 64n - 1n],
  [0x1_0004_0000n, 16n],
  [0x8000_0000_0004_0000n, 16n],
];

for (const direction of [0, 2]) {
  const way = direction === 0 ? "to the device" : "from the device";
  const local = (b: EduBench, address: number | bigint, count: number | bigint, bits: number) =>
    direction === 0
      ? transfer(b, 0x5000, address, count, 1 | bits)
      : transfer(b, address, 0x5000, count, 3 | bits);

  rule(
    18,
    "buffer-side [addr, addr+count) within [0x40000, 0x41000) … A full 4096 bytes at 0x40000 is legal",
    `${way}, at the edges`,
    async (b) => {
      const base = pattern(4096, 3);
      for (const [address, count] of LEGAL) {
        await fillBuffer(b, base);
        b.memory.poke(0x5000, pattern(4096, 5));
        await local(b, address, count, 0);
        const at = address - BUFFER;
        if (direction === 0) {
          const expected = base.slice();
          expected.set(pattern(4096, 5).subarray(0, count), at);
          assertEquals(await dumpBuffer(b), expected, `${address.toString(16)}+${count}`);
        } else {
          const expected = pattern(4096, 5);
          expected.set(base.subarray(at, at + count));
          assertEquals(b.memory.peek(0x5000, 4096), expected, `${address.toString(16)}+${count}`);
        }
      }
      assertEquals((await errors(b)).guestErrors, 0);
      assertEquals((await errors(b)).lastDmaError, null);
    },
  );

  rule(18, "count 0 inside is a no-op", `${way}, also at 0x41000, its empty end`, async (b) => {
    b.memory.deny(0, 0x1000_0000, Fault.UNMAPPED);
    for (const address of EMPTY) {
      await local(b, address, 0, 4);
      assertEquals(await b.driver.interruptStatus(), 0x100, address.toString(16));
      await b.driver.acknowledgeInterrupt(0x100);
    }
    assertEquals(b.memory.accesses, []);
    const { guestErrors, dmaFaults, lastDmaError } = await errors(b);
    assertEquals([guestErrors, dmaFaults, lastDmaError], [0, 0, null]);
  });

  rule(
    18,
    "within [0x40000, 0x41000), no 64-bit wrap",
    `${way}, what is out of bounds counts as such`,
    async (b) => {
      let count = 0;
      for (const [address, length] of ILLEGAL) {
        await local(b, address, length, 0);
        const { guestErrors, outOfBounds } = await errors(b);
        count++;
        assertEquals([guestErrors, outOfBounds], [count, count], `${address}+${length}`);
      }
    },
  );

  rule(
    19,
    "A model must move nothing, finish (clear bit 0) and record a guest error",
    way,
    async (b) => {
      await fillBuffer(b, pattern(4096));
      b.memory.poke(0x5000, pattern(32, 2));
      for (const [address, length] of ILLEGAL) {
        await local(b, address, length, 0);
        assertEquals(await read64(b, COMMAND), BigInt(direction), `${address}+${length}`);
        const { lastDmaError } = await errors(b);
        assertEquals(lastDmaError?.reason, "out-of-bounds");
        assertEquals(BigInt(lastDmaError!.address), address);
        assertEquals(lastDmaError?.transferred, 0);
      }
      assertEquals(b.memory.accesses, []);
      assertEquals(b.memory.peek(0x5000, 32), pattern(32, 2));
      assertEquals(await b.driver.interruptStatus(), 0);
      assertEquals(await dumpBuffer(b), pattern(4096));
    },
  );

  rule(19, "D: still raise 0x100 when bit 2 is set", way, async (b) => {
    await b.driver.enableMsi();
    for (const [address, length] of ILLEGAL) {
      await local(b, address, length, 4);
      assertEquals(await b.driver.interruptStatus(), 0x100, `${address}+${length}`);
      assertEquals(await b.target.takeInterrupts(0), 1);
      await b.driver.acknowledgeInterrupt(0x100);
    }
  });

  const bus = (b: EduBench, address: bigint, count: number, bits = 0) =>
    direction === 0
      ? transfer(b, address, BUFFER, count, 1 | bits)
      : transfer(b, BUFFER, address, count, 3 | bits);

  rule(
    20,
    "the **bus-side start address** is ANDed with it (and logged)",
    `${way}, counted as a guest error once a transfer, and the transfer goes on`,
    async (b) => {
      const wanted: readonly (readonly [address: bigint, masked: number])[] = [
        [0xfff_fff0n, 0xfff_fff0],
        [0x1000_0000n, 0],
        [0x1234_5678n, 0x234_5678],
        [0x1_0000_5000n, 0x5000],
        [0xffff_ffff_ffff_f000n, 0xfff_f000],
      ];
      let clamped = 0;
      for (const [address, masked] of wanted) {
        b.memory.accesses.length = 0;
        await bus(b, address, 16);
        const kind = direction === 0 ? "read" : "write";
        assertEquals(b.memory.accesses, [{ kind, address: masked, length: 16 }]);
        if (BigInt(masked) !== address) clamped++;
        const { guestErrors, clampedAddresses, outOfBounds, lastDmaError } = await errors(b);
        assertEquals([guestErrors, clampedAddresses, outOfBounds], [clamped, clamped, 0]);
        assertEquals(lastDmaError, null);
      }
      assertEquals(clamped, 4);
    },
  );

  rule(
    20,
    "neither count nor the end address is checked, so a transfer may cross 2^28",
    `${way}: 2 bytes at 2^28 - 1`,
    async (b) => {
      b.memory.poke(0xfff_ffff, [0x11, 0x22]);
      if (direction !== 0) await fillBuffer(b, Uint8Array.of(0x33, 0x44));
      await bus(b, 0xfff_ffffn, 2);
      if (direction === 0) {
        assertEquals([...(await dumpBuffer(b)).subarray(0, 3)], [0x11, 0x22, 0]);
      } else assertEquals([...b.memory.peek(0xfff_ffff, 2)], [0x33, 0x44]);
      assertEquals((await errors(b)).guestErrors, 0);
    },
  );

  rule(
    20,
    "Buffer-side address is not masked",
    `${way}: with a mask of 0xff the buffer is still at 0x40000`,
    async (b) => {
      await bus(b, 0x12n, 4);
      assertEquals(b.memory.accesses.map(({ address }) => address), [0x12]);
      assertEquals((await errors(b)).guestErrors, 0);
      await local(b, 0x1004_0000n, 4, 0);
      assertEquals((await errors(b)).outOfBounds, 1);
    },
    { dmaMask: 0xff },
  );

  rule(
    20,
    "dma_mask (default 2^28-1)",
    `${way}: with a wide mask an address from 2^52 on is a fault, one below it is not`,
    async (b) => {
      await bus(b, 2n ** 52n - 16n, 16);
      assertEquals((await errors(b)).dmaFaults, 0);
      assertEquals(b.memory.accesses.length, 1);
      let faults = 0;
      for (const address of [2n ** 52n, 2n ** 53n - 1n, 2n ** 64n - 1n]) {
        await bus(b, address, 16, 4);
        const { dmaFaults, lastDmaError } = await errors(b);
        assertEquals(dmaFaults, ++faults);
        assertEquals([lastDmaError?.reason, lastDmaError?.transferred], ["unmapped", 0]);
        assertEquals(BigInt(lastDmaError!.address), address & (2n ** 53n - 1n));
        assertEquals(await b.driver.interruptStatus(), 0x100);
        await b.driver.acknowledgeInterrupt(0x100);
      }
      assertEquals(b.memory.accesses.length, 1);
      await bus(b, 2n ** 52n, 0);
      assertEquals((await errors(b)).dmaFaults, faults, "no byte was asked for");
      await bus(b, 2n ** 52n - 3n, 16);
      const { dmaFaults, lastDmaError } = await errors(b);
      assertEquals([dmaFaults, lastDmaError?.transferred], [faults + 1, 3]);
      assertEquals(lastDmaError?.address, "0x10000000000000");
    },
    { dmaMask: Number.MAX_SAFE_INTEGER },
  );

  rule(
    21,
    "Bus-master off …: bit 0 clears and the interrupt comes anyway. D: add an observable error counter",
    `${way}; the interrupt shows in the status`,
    async (b) => {
      await fillBuffer(b, pattern(16));
      await setConfigBits(b, 0x04, 0x4, 0);
      await bus(b, 0x6000n, 16, 4);
      assertEquals(await read64(b, COMMAND), BigInt(direction | 4));
      assertEquals(await b.driver.interruptStatus(), 0x100);
      assertEquals(await b.target.intxAsserted(), true);
      const { guestErrors, dmaFaults, lastDmaError } = await errors(b);
      assertEquals([guestErrors, dmaFaults], [0, 1]);
      assertEquals([lastDmaError?.reason, lastDmaError?.address], ["bus-master-off", "0x6000"]);
      assertEquals(b.memory.accesses, []);
      await setConfigBits(b, 0x04, 0x4, 0x4);
      assertEquals((await dumpBuffer(b)).subarray(0, 16), pattern(16));
    },
  );

  for (
    const [fault, reason] of [[Fault.UNMAPPED, "unmapped"], [
      Fault.PERMISSION,
      "permission",
    ]] as const
  ) {
    rule(
      21,
      "an IOMMU fault: … bit 0 clears and the interrupt comes anyway",
      `${way}, ${reason} in the middle: the bytes before it have moved, none after it`,
      async (b) => {
        const before = pattern(4096, 4);
        await fillBuffer(b, before);
        b.memory.poke(0x6f00, pattern(512, 6));
        b.memory.deny(0x7000, 0x1000, fault);
        await bus(b, 0x6f00n, 512, 4);
        assertEquals(await read64(b, COMMAND), BigInt(direction | 4));
        assertEquals(await b.driver.interruptStatus(), 0x100);
        const { dmaFaults, lastDmaError } = await errors(b);
        assertEquals(dmaFaults, 1);
        assertEquals(
          [lastDmaError?.reason, lastDmaError?.address, lastDmaError?.transferred],
          [reason, "0x7000", 256],
        );
        assertEquals(lastDmaError?.timeNs, b.clock.nowNs);
        if (direction === 0) {
          before.set(pattern(512, 6).subarray(0, 256));
          assertEquals(await dumpBuffer(b), before);
        } else {
          const expected = pattern(512, 6);
          expected.set(before.subarray(0, 256));
          assertEquals(b.memory.peek(0x6f00, 512), expected);
        }
      },
    );
  }

  rule(
    21,
    "an IOMMU fault: stock edu ignores the DMA result",
    `${way}: a mapping removed at 50 ms is gone at 100 ms, and the next transfer works`,
    async (b) => {
      const start = direction === 0
        ? () => b.driver.dmaToDevice(0xa000, 0, 64, "raise")
        : () => b.driver.dmaFromDevice(0, 0xa000, 64, "raise");
      await start();
      b.clock.advance(50);
      b.memory.deny(0xa000, 0x1000, Fault.UNMAPPED);
      b.clock.advance(50);
      assertEquals([await b.driver.dmaRunning(), await b.driver.interruptStatus()], [false, 0x100]);
      assertEquals((await errors(b)).dmaFaults, 1);
      await b.driver.dmaToDevice(0xb000, 0, 64);
      b.clock.advance(DMA_MS);
      assertEquals((await errors(b)).dmaFaults, 1);
    },
  );
}

rule(
  21,
  "D: add an observable error counter, not a register change",
  "a transfer that faults leaves the registers as one that works does",
  async (b) => {
    await transfer(b, 0x1000, BUFFER, 16, 5);
    const worked = (await b.target.inspect()).registers;
    b.memory.deny(0x1000, 16, Fault.UNMAPPED);
    await b.driver.acknowledgeInterrupt(0x100);
    await transfer(b, 0x1000, BUFFER, 16, 5);
    assertEquals((await b.target.inspect()).registers, worked);
  },
);

rule(
  22,
  "Reset: all registers, buffer and timer cleared",
  "everything reads as it did at power-on",
  async (b) => {
    const fresh = await b.target.inspect();
    await distinct(b);
    await fillBuffer(b, pattern(4096));
    await transfer(b, 2n ** 63n, BUFFER, 5000, 5);
    b.memory.deny(0, 0x1000, Fault.UNMAPPED);
    await transfer(b, 0, BUFFER, 16, 5);
    assertEquals(await b.target.intxAsserted(), true);
    await b.target.reset();
    assertEquals(await b.target.intxAsserted(), false);
    await setConfigBits(b, 0x04, 0x6, 0x6);
    assertEquals(await b.target.inspect(), fresh);
    for (const offset of [0x04, 0x08, 0x20, 0x24, SOURCE, DESTINATION, COUNT, COMMAND]) {
      assertEquals(await read(b, offset), 0, offset.toString(16));
    }
    assertEquals(await dumpBuffer(b), new Uint8Array(4096));
  },
);

rule(
  22,
  "Reset: … timer cleared",
  "in mid-transfer and mid-computation: neither ends, and new ones take their full time",
  async (b) => {
    await b.driver.setFactorialInterrupt("on");
    await b.driver.dmaToDevice(0x1000, 0, 16, "raise");
    b.clock.advance(DMA_MS - 0.5);
    await b.driver.startFactorial(5);
    await b.target.reset();
    await setConfigBits(b, 0x04, 0x6, 0x6);
    b.clock.advance(0.25);
    await b.driver.startFactorial(6);
    await b.driver.dmaToDevice(0x2000, 0, 16);
    b.clock.advance(0.75);
    assertEquals(b.memory.accesses, []);
    assertEquals([await b.driver.factorialResult(), await b.driver.dmaRunning()], [6, true]);
    b.clock.advance(0.25);
    assertEquals([await b.driver.factorialResult(), await read(b, 0x20)], [720, 0]);
    b.clock.advance(DMA_MS);
    assertEquals(b.memory.accesses, [{ kind: "read", address: 0x2000, length: 16 }]);
    assertEquals(await b.driver.interruptStatus(), 0);
  },
);

// ---------------------------------------------------------------------------

const BENCHES: readonly { name: Host; make: (options: EduOptions) => EduBench }[] = [
  { name: "fake host", make: fakeBench },
  { name: "PciFunction", make: functionBench },
];

for (const { name, make } of BENCHES) {
  for (const { rule, quote, criterion, options, hosts, run } of CASES) {
    if (!hosts.includes(name)) continue;
    Deno.test(`edu rule ${rule}: "${quote}": ${criterion} (${name})`, async () => {
      const bench = make(options);
      await run(bench);
      assertEquals(bench.thrown, []);
    });
  }
}

Deno.test("every rule of 1 to 22 has a case", () => {
  for (let number = 1; number <= 22; number++) {
    assert(CASES.some(({ rule }) => rule === number), `rule ${number} has no case`);
  }
});
