import { assertEquals, assertRejects } from "@std/assert";
import type { PciTarget } from "../pci/pci_driver.ts";
import { StreamerDriver } from "./driver.ts";

/** A target that records accesses, over a configuration space of plain bytes. */
function recorder(config: Record<number, number> = {}) {
  const log: string[] = [];
  const target = new Proxy({ endpoint: 0x0018 } as PciTarget, {
    get(known, name: keyof PciTarget) {
      if (name === "endpoint") return known.endpoint;
      return (...args: (number | bigint)[]) => {
        if (name === "configRead") return Promise.resolve(config[Number(args[0])] ?? 0);
        log.push(`${name} ${args.map((arg) => "0x" + arg.toString(16)).join(" ")}`);
        return Promise.resolve(name === "barRead" ? 1 : undefined);
      };
    },
  });
  return { log, driver: new StreamerDriver(target) };
}

Deno.test("StreamerDriver.start() programs all registers, the command last", async () => {
  const { log, driver } = recorder();
  await driver.start({ source: 1, destination: 2n ** 64n - 1n, length: 3, interrupt: "raise" });
  await driver.start({ source: 4, destination: 5, length: 6 });
  assertEquals(log, [
    "barWrite64 0x0 0x10 0x1",
    "barWrite64 0x0 0x18 0xffffffffffffffff",
    "barWrite64 0x0 0x20 0x3",
    "barWrite 0x0 0x4 0x4 0x5",
    "barWrite64 0x0 0x10 0x4",
    "barWrite64 0x0 0x18 0x5",
    "barWrite64 0x0 0x20 0x6",
    "barWrite 0x0 0x4 0x4 0x1",
  ]);
});

Deno.test("StreamerDriver.start() refuses what 64 bits do not hold, and writes nothing", async () => {
  const { log, driver } = recorder();
  for (const bad of [-1, 0.5, 2 ** 53, NaN, -1n, 2n ** 64n]) {
    for (const field of ["source", "destination", "length"]) {
      const copy = { source: 0, destination: 0, length: 0, [field]: bad };
      await assertRejects(() => driver.start(copy), RangeError, `Cannot program ${field}`);
    }
  }
  assertEquals(log, []);
});

Deno.test("StreamerDriver writes what each method is named after", async () => {
  const { log, driver } = recorder();
  await driver.setOnRevoke("abort");
  await driver.setOnRevoke("finish");
  await driver.setChunk(64);
  await driver.stop();
  await driver.acknowledgeInterrupt(1);
  assertEquals(log, [
    "barWrite 0x0 0x34 0x4 0x1",
    "barWrite 0x0 0x34 0x4 0x0",
    "barWrite 0x0 0x30 0x4 0x40",
    "barWrite 0x0 0x4 0x4 0x2",
    "barWrite 0x0 0x3c 0x4 0x1",
  ]);
});

Deno.test("StreamerDriver.outcome() reads status, error and bytes done", async () => {
  const { log, driver } = recorder();
  assertEquals(await driver.outcome(), { status: 1, error: 1, bytesDone: 1 });
  assertEquals([await driver.running(), await driver.faultReason()], [true, 1]);
  assertEquals(log.slice(0, 3), [
    "barRead 0x0 0x8 0x4",
    "barRead 0x0 0xc 0x4",
    "barRead 0x0 0x28 0x4",
  ]);
});
