import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { VirtualClock } from "../../core/observe/virtual_clock.ts";
import { FakeMemory } from "../pci/_test_fakes.ts";
import type { PciHost } from "../pci/pci_device.ts";
import { Edu } from "./edu.ts";
import { EduRegister as Register } from "./spec.ts";
import { decodeEduState } from "./state.ts";

/** An edu in a host of nothing but memory, time and a level. */
function attached() {
  const clock = new VirtualClock();
  const memory = new FakeMemory();
  const edu = new Edu();
  const state = { level: false, messages: 0 };
  const host: PciHost = {
    memory,
    clock,
    interrupts: {
      mode: "msi",
      raise: () => state.messages++,
      setIntx: (asserted) => state.level = asserted,
    },
  };
  edu.attach(host);
  return { edu, clock, memory, state };
}

/** A round trip through JSON, as between two processes. */
function moved(from: Edu, to: Edu): string | null {
  return to.restore(JSON.parse(JSON.stringify(from.save())));
}

Deno.test("Edu.pause() stops the time of a computation and of a transfer, resume() goes on with the rest", () => {
  const { edu, clock, memory } = attached();
  memory.bytes.set([1, 2, 3], 0x100);
  edu.barWrite(0, Register.DMA_SOURCE, 4, 0x100);
  edu.barWrite(0, Register.DMA_DESTINATION, 4, 0x4_0000);
  edu.barWrite(0, Register.DMA_COUNT, 4, 3);
  edu.barWrite(0, Register.DMA_COMMAND, 4, 1);
  clock.advance(60);
  edu.barWrite(0, Register.FACTORIAL, 4, 5);
  clock.advance(0.25);
  edu.pause();
  edu.pause();
  clock.advance(1000);
  assertEquals([edu.barRead(0, Register.FACTORIAL, 4), edu.barRead(0, Register.DMA_COMMAND, 4)], [
    5,
    1,
  ]);
  edu.resume();
  edu.resume();
  clock.advance(0.7);
  assertEquals(edu.barRead(0, Register.FACTORIAL, 4), 5);
  clock.advance(0.1);
  assertEquals([edu.barRead(0, Register.FACTORIAL, 4), edu.barRead(0, Register.DMA_COMMAND, 4)], [
    120,
    1,
  ]);
  clock.advance(39);
  assertEquals(edu.barRead(0, Register.DMA_COMMAND, 4), 0);
});

Deno.test("Edu.restore() takes over registers, buffer, level and the time that is left", () => {
  const from = attached(), to = attached();
  from.memory.bytes.set([1, 2, 3, 4], 0x100);
  for (
    const [register, value] of [
      [Register.LIVENESS, 0x1234],
      [Register.INTERRUPT_RAISE, 0x40],
      [Register.DMA_SOURCE, 0x100],
      [Register.DMA_DESTINATION, 0x4_0000],
      [Register.DMA_COUNT, 4],
      [Register.DMA_COMMAND, 1],
    ] as const
  ) from.edu.barWrite(0, register, 4, value);
  from.clock.advance(100);
  from.edu.barWrite(0, Register.DMA_SOURCE, 4, 0x4_0000);
  from.edu.barWrite(0, Register.DMA_DESTINATION, 4, 0x200);
  from.edu.barWrite(0, Register.DMA_COMMAND, 4, 7);
  from.clock.advance(30);
  from.edu.pause();
  to.edu.pause();
  assertEquals(moved(from.edu, to.edu), null);
  assertEquals([to.state.level, to.edu.barRead(0, Register.LIVENESS, 4)], [true, ~0x1234 >>> 0]);
  to.edu.resume();
  to.clock.advance(69.9);
  assertEquals([to.memory.bytes[0x200], to.state.messages], [0, 0]);
  to.clock.advance(0.2);
  assertEquals([...to.memory.bytes.subarray(0x200, 0x204)], [1, 2, 3, 4]);
  assertEquals([to.edu.barRead(0, Register.INTERRUPT_STATUS, 4), to.state.messages], [0x140, 1]);
});

Deno.test("Edu.save() of work that has just begun can be restored at any time there is", () => {
  // Sums with these are rounded up.
  for (
    const [nowNs, register] of [[2 ** 30 - 2 ** -23, Register.DMA_COMMAND], [
      2 ** 30 - 2 ** -23,
      Register.FACTORIAL,
    ]] as const
  ) {
    const { memory } = attached();
    const from = new Edu(), to = attached();
    const clock = { nowNs, defer: () => ({ cancel: () => {} }) };
    const interrupts = { mode: "intx", raise: () => {}, setIntx: () => {} } as const;
    from.attach({ memory, clock, interrupts });
    from.barWrite(0, register, 4, 1);
    from.pause();
    to.edu.pause();
    assertEquals(moved(from, to.edu), null);
  }
});

Deno.test("Edu.save() and restore() are a round trip after any sequence of writes", () => {
  const registers = Object.values(Register);
  const steps = fc.array(
    fc.tuple(fc.constantFrom(...registers), fc.nat(0xffff_ffff), fc.nat(50)),
    { maxLength: 20 },
  );
  fc.assert(fc.property(steps, (writes) => {
    const from = attached(), to = attached();
    for (const [register, value, wait] of writes) {
      from.edu.barWrite(0, register, 4, value);
      from.clock.advance(wait / 10);
    }
    from.edu.pause();
    to.edu.pause();
    assertEquals(moved(from.edu, to.edu), null);
    assertEquals(to.edu.save(), from.edu.save());
    assertEquals(to.state.level, from.state.level);
  }));
});

Deno.test("Edu.restore() refuses whatever save() cannot have given, and changes nothing", () => {
  const { edu } = attached();
  edu.pause();
  const good = JSON.parse(JSON.stringify(edu.save())) as Record<string, unknown>;
  const bad: unknown[] = [
    null,
    5,
    "state",
    [],
    {},
    { ...good, version: 2 },
    { ...good, liveness: -1 },
    { ...good, liveness: 2 ** 32 },
    { ...good, liveness: 0.5 },
    { ...good, factorial: "1" },
    { ...good, source: 5 },
    { ...good, source: "0x1_0000" },
    { ...good, count: "0x1ffffffffffffffff" },
    { ...good, buffer: "" },
    { ...good, buffer: "zz".repeat(4096) },
    { ...good, buffer: "00".repeat(4097) },
    { ...good, status: 0x02 },
    { ...good, status: 0x01 },
    { ...good, status: 0x01, factorialMs: 2 },
    { ...good, status: 0x01, factorialMs: -1 },
    { ...good, status: 0x01, factorialMs: "1" },
    { ...good, factorialMs: 0.5 },
    { ...good, command: "0x1" },
    { ...good, command: "0x1", dmaMs: 101 },
    { ...good, dmaMs: 1 },
  ];
  for (const state of bad) {
    assertEquals(typeof edu.restore(state), "string", JSON.stringify(state).slice(0, 80));
    assertEquals(JSON.parse(JSON.stringify(edu.save())), good);
  }
  assertEquals(edu.restore({ ...good, status: 0x81, factorialMs: 1, liveness: 7 }), null);
});

Deno.test("decodeEduState() never throws, whatever it is given", () => {
  fc.assert(fc.property(fc.anything(), (value) => {
    assertEquals(typeof decodeEduState(value), "string");
  }));
});
