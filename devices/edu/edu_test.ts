import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Iova } from "../../core/address.ts";
import { fakeBench, fakeHost } from "./_test_bench.ts";
import { Edu } from "./edu.ts";
import { edu } from "./mod.ts";

function attached(options = {}) {
  const host = fakeHost();
  const device = new Edu(options);
  device.attach(host);
  return { device, host };
}

Deno.test("Edu() refuses a mask that is no safe integer of at least 0", () => {
  for (const dmaMask of [-1, 0.5, 2 ** 53, NaN, Infinity]) {
    assertThrows(() => new Edu({ dmaMask }), RangeError, "Cannot make an edu with dmaMask");
  }
});

Deno.test("Edu() takes 0 and 2^53 - 1 as masks", () => {
  for (const dmaMask of [0, Number.MAX_SAFE_INTEGER]) {
    const { mask } = new Edu({ dmaMask }).inspect().dma as { mask: string };
    assertEquals(BigInt(mask), BigInt(dmaMask));
  }
});

Deno.test("Edu.attach() refuses a second host", () => {
  const { device, host } = attached();
  assertThrows(() => device.attach(host), Error, "has a host already");
});

Deno.test("Edu.barWrite() without a host says that there is none", () => {
  assertThrows(() => new Edu().barWrite(0, 0x08, 4, 5), Error, "no host yet");
});

Deno.test("Edu.reset() and inspect() need no host", () => {
  const device = new Edu();
  device.reset();
  assertEquals((device.inspect().registers as { status: number }).status, 0);
});

Deno.test("Edu.barRead() of another BAR is all ones, and a write there is ignored", () => {
  const { device } = attached();
  device.barWrite(1, 0x04, 4, 1);
  device.barWrite64(1, 0x80, 1n);
  assertEquals(device.barRead(1, 0x00, 4), 0xffff_ffff);
  assertEquals(device.barRead64(1, 0x80), 2n ** 64n - 1n);
  assertEquals([device.barRead(0, 0x04, 4), device.barRead64(0, 0x80)], [0, 0n]);
});

Deno.test("Edu.barRead() is unsigned in every register", () => {
  const { device } = attached();
  device.barWrite(0, 0x08, 4, 0xffff_ffff);
  device.barWrite(0, 0x60, 4, 0xffff_ffff);
  for (const offset of [0x80, 0x88, 0x90]) device.barWrite(0, offset, 4, 0xffff_ffff);
  for (const offset of [0x08, 0x24, 0x80, 0x88, 0x90]) {
    assertEquals(device.barRead(0, offset, 4), 0xffff_ffff, offset.toString(16));
  }
  device.barWrite(0, 0x04, 4, 0);
  assertEquals(device.barRead(0, 0x04, 4), 0xffff_ffff);
});

Deno.test("Edu keeps one timer for each thing under way, and none after a reset", () => {
  const { device, host } = attached();
  for (let i = 0; i < 3; i++) {
    device.barWrite(0, 0x08, 4, 5);
    device.barWrite(0, 0x98, 4, 1);
  }
  assertEquals(host.clock.pending, 2);
  device.reset();
  assertEquals(host.clock.pending, 0);
});

Deno.test("Edu lets a handler that runs within the message acknowledge, and start anew", () => {
  const { device, host } = attached();
  host.interrupts.mode = "msi";
  let handled = 0;
  host.interrupts.onMessage = () => {
    assertEquals([device.barRead(0, 0x24, 4), device.barRead64(0, 0x98)], [0x100, 4n]);
    device.barWrite(0, 0x64, 4, 0x100);
    if (++handled < 3) device.barWrite64(0, 0x98, 5n);
  };
  device.barWrite64(0, 0x88, 0x4_0000n);
  device.barWrite64(0, 0x98, 5n);
  host.clock.advance(1000);
  assertEquals([handled, host.interrupts.messages], [3, 3]);
  assertEquals([device.barRead(0, 0x24, 4), host.interrupts.level], [0, false]);
});

Deno.test("Edu hands the memory views of its buffer, not copies", () => {
  const { device, host } = attached();
  const views: Uint8Array[] = [];
  host.memory.read = (_: Iova, into: Uint8Array) => (views.push(into), 0);
  device.barWrite64(0, 0x88, 0x4_0010n);
  device.barWrite64(0, 0x90, 32n);
  for (let i = 0; i < 2; i++) {
    device.barWrite64(0, 0x98, 1n);
    host.clock.advance(100);
  }
  assertEquals(views.map((view) => [view.byteOffset, view.length]), [[16, 32], [16, 32]]);
  assert(views[0]!.buffer === views[1]!.buffer);
});

Deno.test("Edu.inspect() is plain JSON, and changing it changes nothing", async () => {
  const b = fakeBench();
  await b.driver.startDma({
    source: 2n ** 64n - 1n,
    destination: 0,
    count: 2n ** 64n - 2n,
    direction: "to-device",
  });
  await b.driver.startFactorial(9);
  const before = b.device.inspect();
  assertEquals(JSON.parse(JSON.stringify(before)), before);
  assertEquals(before, {
    registers: {
      identification: 0x0100_00ed,
      liveness: 0,
      factorial: 9,
      status: 1,
      interruptStatus: 0,
      dmaSource: "0xffffffffffffffff",
      dmaDestination: "0x0",
      dmaCount: "0xfffffffffffffffe",
      dmaCommand: "0x1",
    },
    factorial: { computing: true },
    dma: {
      running: true,
      mask: "0xfffffff",
      transfers: 0,
      bytesToDevice: 0,
      bytesFromDevice: 0,
    },
    errors: {
      guestErrors: 0,
      outOfBounds: 0,
      clampedAddresses: 0,
      dmaFaults: 0,
      lastDmaError: null,
    },
  });
  b.clock.advance(100);
  const after = b.device.inspect();
  const errors = after.errors as { lastDmaError: { reason: string } };
  assertEquals(after.errors, {
    guestErrors: 2,
    outOfBounds: 1,
    clampedAddresses: 1,
    dmaFaults: 0,
    lastDmaError: { reason: "out-of-bounds", address: "0x0", transferred: 0, timeNs: 100e6 },
  });
  errors.lastDmaError.reason = "changed";
  const again = b.device.inspect().errors as typeof errors;
  assertEquals(again.lastDmaError.reason, "out-of-bounds");
});

Deno.test("Edu.inspect() counts transfers, and the bytes that moved each way", async () => {
  const b = fakeBench();
  await b.driver.dmaToDevice(0x1000, 0, 100);
  b.clock.advance(100);
  await b.driver.dmaFromDevice(0, 0x1000, 40);
  b.clock.advance(100);
  b.memory.deny(0x2008, 1, -1 as never);
  await b.driver.dmaFromDevice(0, 0x2000, 40);
  b.clock.advance(100);
  const dma = b.device.inspect().dma as Record<string, unknown>;
  assertEquals(
    [dma.transfers, dma.bytesToDevice, dma.bytesFromDevice, dma.running],
    [3, 100, 48, false],
  );
});

Deno.test("edu makes the model from plain JSON, and names the module that exports it", async () => {
  const device = edu.create(JSON.parse(`{"dmaMask":65535}`));
  assertEquals([edu.type, device.type], ["edu", "edu"]);
  assertEquals((device.inspect().dma as { mask: string }).mask, "0xffff");
  const module: Record<string, unknown> = await import(edu.module);
  assert(Object.values(module).includes(edu));
});
