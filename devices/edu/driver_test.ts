import { assertEquals, assertRejects } from "@std/assert";
import type { PciTarget } from "../pci/pci_driver.ts";
import { fakeBench } from "./_test_bench.ts";
import { EduDriver } from "./driver.ts";

/** A target that records accesses, over a configuration space of plain bytes. */
function recorder(config: Record<number, number> = {}) {
  const bytes = new Uint8Array(256);
  for (const [offset, byte] of Object.entries(config)) bytes[Number(offset)] = byte;
  const log: string[] = [];
  const target = new Proxy({ endpoint: 0x0018 } as PciTarget, {
    get(known, name: keyof PciTarget) {
      if (name === "endpoint") return known.endpoint;
      return (...args: (number | bigint)[]) => {
        const [at, size, value] = args.map(Number) as [number, number, number];
        if (name === "configRead") {
          let read = 0;
          for (let i = size - 1; i >= 0; i--) read = read * 256 + bytes[at + i]!;
          return Promise.resolve(read);
        }
        if (name === "configWrite") {
          for (let i = 0; i < size; i++) bytes[at + i] = Math.floor(value / 256 ** i) & 0xff;
        }
        log.push(`${name} ${args.map((arg) => "0x" + arg.toString(16)).join(" ")}`);
        return Promise.resolve(name === "barRead64" ? 0n : 0);
      };
    },
  });
  return { log, driver: new EduDriver(target) };
}

Deno.test("EduDriver.startDma() programs all registers 8 bytes wide, the command last", async () => {
  const { log, driver } = recorder();
  await driver.startDma({
    source: 0x4_0000,
    destination: 2n ** 64n - 1n,
    count: 16,
    direction: "from-device",
    interrupt: "raise",
  });
  assertEquals(log, [
    "barWrite64 0x0 0x80 0x40000",
    "barWrite64 0x0 0x88 0xffffffffffffffff",
    "barWrite64 0x0 0x90 0x10",
    "barWrite64 0x0 0x98 0x7",
  ]);
});

Deno.test("EduDriver.startDma() refuses what 64 bits do not hold, and writes nothing", async () => {
  const { log, driver } = recorder();
  for (const bad of [-1, 0.5, 2 ** 53, NaN, -1n, 2n ** 64n]) {
    await assertRejects(
      () => driver.startDma({ source: bad, destination: 0, count: 0, direction: "to-device" }),
      RangeError,
      "Cannot program DMA source",
    );
    await assertRejects(
      () => driver.startDma({ source: 0, destination: 0, count: bad, direction: "to-device" }),
      RangeError,
      "Cannot program DMA count",
    );
  }
  assertEquals(log, []);
});

Deno.test("EduDriver.dmaToDevice() and dmaFromDevice() take offsets into the buffer", async () => {
  const { log, driver } = recorder();
  await driver.dmaToDevice(0x1000, 0x20, 8);
  await driver.dmaFromDevice(0x30, 0x2000, 9, "raise");
  assertEquals(log, [
    "barWrite64 0x0 0x80 0x1000",
    "barWrite64 0x0 0x88 0x40020",
    "barWrite64 0x0 0x90 0x8",
    "barWrite64 0x0 0x98 0x1",
    "barWrite64 0x0 0x80 0x40030",
    "barWrite64 0x0 0x88 0x2000",
    "barWrite64 0x0 0x90 0x9",
    "barWrite64 0x0 0x98 0x7",
  ]);
});

Deno.test("EduDriver.enableMsi() finds the capability behind others, and leaves one vector on", async () => {
  const { log, driver } = recorder({
    0x06: 0x10,
    0x34: 0x42, // The low two bits are reserved and must be masked.
    0x40: 0x01,
    0x41: 0x60,
    0x60: 0x05,
    0x61: 0x00,
    0x62: 0xb0, // 64-bit, and an 8-vector enable left by someone else.
  });
  await driver.enableMsi({ address: 0x1_fee0_0000, data: 0x4123 });
  assertEquals(log, [
    "configWrite 0x64 0x4 0xfee00000",
    "configWrite 0x68 0x4 0x1",
    "configWrite 0x6c 0x2 0x4123",
    "configWrite 0x62 0x2 0x81",
  ]);
  log.length = 0;
  await driver.disableMsi();
  assertEquals(log, ["configWrite 0x62 0x2 0x80"]);
});

Deno.test("EduDriver.enableMsi() keeps to the 32-bit form where the capability has it", async () => {
  const { log, driver } = recorder({ 0x06: 0x10, 0x34: 0x50, 0x50: 0x05 });
  await assertRejects(
    () => driver.enableMsi({ address: 2 ** 32, data: 1 }),
    RangeError,
    "takes 32 bits",
  );
  assertEquals(log, []);
  await driver.enableMsi({ address: 0xfee0_0000, data: 0x41 });
  assertEquals(log, [
    "configWrite 0x54 0x4 0xfee00000",
    "configWrite 0x58 0x2 0x41",
    "configWrite 0x52 0x2 0x1",
  ]);
});

Deno.test("EduDriver.enableMsi() refuses a function without MSI, or with a list that goes round", async () => {
  const none = { 0x34: 0x40, 0x40: 0x05 }; // Capabilities List bit clear.
  const other = { 0x06: 0x10, 0x34: 0x40, 0x40: 0x01 };
  const circle = { 0x06: 0x10, 0x34: 0x40, 0x40: 0x01, 0x41: 0x44, 0x44: 0x09, 0x45: 0x40 };
  const gone = Object.fromEntries(Array.from({ length: 256 }, (_, i) => [i, 0xff]));
  for (const config of [none, other, circle, gone]) {
    await assertRejects(() => recorder(config).driver.enableMsi(), Error, "endpoint 0x0018");
  }
});

Deno.test("EduDriver drives a computation and a round trip of bytes", async () => {
  const { driver, clock, memory, target } = fakeBench();
  await driver.enableMsi();
  await driver.setFactorialInterrupt("on");
  await driver.startFactorial(10);
  assertEquals(await driver.factorialRunning(), true);
  clock.advance(1);
  assertEquals([await driver.factorialRunning(), await driver.factorialResult()], [false, 3628800]);
  assertEquals(await driver.interruptStatus(), 0x1);
  await driver.acknowledgeInterrupt(0x1);
  await driver.setFactorialInterrupt("off");

  memory.poke(0x1000, [1, 2, 3, 4]);
  await driver.dmaToDevice(0x1000, 0x800, 4, "raise");
  assertEquals(await driver.dmaRunning(), true);
  clock.advance(100);
  assertEquals(await driver.dmaRunning(), false);
  await driver.dmaFromDevice(0x800, 0x2000, 4);
  clock.advance(100);
  assertEquals([...memory.peek(0x2000, 4)], [1, 2, 3, 4]);
  assertEquals([await driver.interruptStatus(), await target.takeInterrupts(0)], [0x100, 2]);
});
