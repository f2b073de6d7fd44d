import { assertEquals, assertThrows } from "@std/assert";
import { FakeDevice, type FakeDeviceParts, hostDevice } from "./_test_fakes.ts";
import type { BarIndex, BarLayout, DeviceState } from "./pci_device.ts";
import { PciFunction } from "./pci_function.ts";

/** A fake that can be saved. */
class Saved extends FakeDevice {
  value = 0;
  pauses = 0;
  throws = false;

  pause(): void {
    this.pauses++;
    if (this.throws) throw new Error("told to");
  }

  resume(): void {
    this.pauses--;
  }

  save(): DeviceState {
    if (this.throws) throw new Error("told to");
    return { value: this.value };
  }

  restore(state: unknown): string | null {
    if (this.throws) throw new Error("told to");
    const { value } = state as { value: number };
    if (typeof value !== "number") return "no value";
    this.value = value;
    this.host.interrupts.setIntx(value > 0);
    return null;
  }
}

const PARTS: FakeDeviceParts = {
  interrupts: { pin: 1, msix: { vectors: 3, bar: 0, tableOffset: 0, pendingOffset: 0x100 } },
};

function saved() {
  return hostDevice(new Saved(PARTS));
}

Deno.test("PciFunction.save() and restore() carry what software wrote, the MSI-X table and the device", () => {
  const from = saved();
  from.device.value = 5;
  from.fn.configWrite(0x04, 2, 0x0406);
  from.fn.configWrite(0x10, 4, 0xe000_0000);
  from.fn.configWrite(0x3c, 1, 11);
  from.fn.barWrite(0, 0x10, 4, 0xfee0_0000);
  from.fn.barWrite(0, 0x1c, 4, 0);
  const snapshot = from.fn.save()!;

  const to = saved();
  assertEquals(to.fn.restore(structuredClone(snapshot)), null);
  assertEquals([to.device.value, to.fn.barAddress(0), to.fn.configRead(0x3c, 1)], [
    5,
    0xe000_0000,
    11,
  ]);
  assertEquals([to.fn.decodes(0), to.fn.barRead(0, 0x10, 4), to.fn.barRead(0, 0x1c, 4)], [
    true,
    0xfee0_0000,
    0,
  ]);
  // INTx is disabled by the command register; the status shows its level.
  assertEquals([to.fn.intxAsserted, to.fn.configRead(0x06, 2) & 8], [false, 8]);
  to.fn.configWrite(0x04, 2, 0x0006);
  assertEquals(to.fn.intxAsserted, true);
});

Deno.test("PciFunction.restore() brings along the MSI vectors that are pending, and sends them once unmasked", () => {
  const parts: FakeDeviceParts = { interrupts: { msi: { vectors: 4, perVectorMasking: true } } };
  const from = hostDevice(new Saved(parts));
  from.fn.configWrite(0x04, 2, 4);
  from.fn.configWrite(0x42, 2, 0x21);
  from.fn.configWrite(0x44, 4, 0xfee0_0000);
  from.fn.configWrite(0x50, 4, 0xf);
  for (const vector of [1, 3]) from.device.host.interrupts.raise(vector);
  const snapshot = from.fn.save()!;
  // Bits of vectors that are not there.
  snapshot.config.fill(0xff, 0x55, 0x58);

  const to = hostDevice(new Saved(parts));
  assertEquals(to.fn.restore({ ...snapshot, state: { value: "no" } }), "no value");
  assertEquals(to.fn.configRead(0x54, 4), 0, "refused");
  assertEquals(to.fn.restore(snapshot), null);
  assertEquals([to.fn.configRead(0x54, 4), to.sink.take()], [0b1010, []]);
  to.fn.configWrite(0x50, 4, 0b0010);
  assertEquals([to.fn.configRead(0x54, 4), to.sink.take()], [0b0010, [3]]);
});

Deno.test("PciFunction.restore() leaves read-only bits alone", () => {
  const { fn } = saved();
  const before = fn.config.snapshot();
  const snapshot = fn.save()!;
  snapshot.config.fill(0xff, 0x0c);
  snapshot.config.set(before.subarray(0x2c, 0x30), 0x2c);
  assertEquals(fn.restore(snapshot), null);
  for (const at of [0x0e, 0x34, 0x3d, 0x40]) assertEquals(fn.configRead(at, 1), before[at]!);
});

Deno.test("PciFunction.restore() refuses what is not of such a function, and changes nothing", () => {
  const { fn, device } = saved();
  device.value = 1;
  fn.configWrite(0x04, 2, 6);
  const good = fn.save()!;
  const config = (at: number, value: number) => ({ ...good, config: good.config.with(at, value) });
  const bad = [
    { ...good, config: new Uint8Array(255) },
    { ...good, config: new Uint8Array(4096) },
    config(0, 0),
    config(2, 0),
    config(8, 9),
    config(0x2c, 9),
    { ...good, msix: new Uint8Array(0) },
    { ...good, msix: good.msix.with(48, 8) },
    { ...good, state: { value: "no" }, config: good.config.with(0x3c, 7) },
    { ...good, state: null, config: good.config.with(0x3c, 7) },
  ];
  for (const snapshot of bad) {
    assertEquals(typeof fn.restore(snapshot), "string");
    assertEquals([fn.save(), device.value], [good, 1]);
  }
});

Deno.test("PciFunction: a model that throws while it is paused, saved or restored is reported", () => {
  const { fn, device, errors } = saved();
  const snapshot = fn.save()!;
  device.throws = true;
  fn.pause();
  assertEquals([fn.save(), fn.restore(snapshot)], [null, "the model threw"]);
  assertEquals(errors.map(({ operation }) => operation.method), ["pause", "save", "restore"]);
});

Deno.test("PciFunction: a model without save cannot be saved, nor restored", () => {
  const { fn } = hostDevice(new FakeDevice(PARTS));
  const good = saved().fn.save()!;
  assertEquals([fn.migratable, fn.save()], [false, null]);
  assertEquals(fn.restore(good), "the model cannot be restored");
  fn.pause();
  fn.resume();
  assertEquals(fn.errorCount, 0);
});

/** A fake with a shared part in BAR 0. */
class Shared extends FakeDevice {
  bytes: Uint8Array = new Uint8Array(0);
  share(_bar: BarIndex, bytes: Uint8Array): void {
    this.bytes = bytes;
  }
}

const bar = (parts: Partial<BarLayout>): BarLayout => ({
  index: 0,
  size: 0x4000,
  kind: "mmio32",
  ...parts,
});

Deno.test("PciFunction: accesses to the shared part of a BAR are its bytes, and no business of the device", () => {
  const { fn, device } = hostDevice(
    new Shared({ bars: [bar({ shared: { offset: 0x1000, length: 0x1000 } })] }),
  );
  fn.configWrite(0x04, 2, 2);
  assertEquals(device.bytes.length, 0x1000);
  fn.barWrite(0, 0x1004, 4, 0x1234_5678);
  fn.barWrite64(0, 0x1ff8, 0x1122_3344_5566_7788n);
  assertEquals([...device.bytes.subarray(4, 8)], [0x78, 0x56, 0x34, 0x12]);
  device.bytes[0] = 9;
  assertEquals([fn.barRead(0, 0x1000, 1), fn.barRead64(0, 0x1ff8)], [9, 0x1122_3344_5566_7788n]);
  assertEquals(device.log, []);
  fn.barRead(0, 0xffc, 4);
  fn.barWrite(0, 0x2000, 4, 1);
  assertEquals(device.log, ["read 0 ffc 4", "write 0 2000 4 1"]);
});

Deno.test("PciFunction refuses shared parts and doorbells that are not where they may be", () => {
  const wrong: BarLayout[] = [
    bar({ shared: { offset: 0x800, length: 0x1000 } }),
    bar({ shared: { offset: 0, length: 0x800 } }),
    bar({ shared: { offset: 0, length: 0 } }),
    bar({ shared: { offset: 0x3000, length: 0x2000 } }),
    bar({ shared: { offset: -0x1000, length: 0x1000 } }),
    { index: 0, size: 0x100, kind: "io", shared: { offset: 0, length: 0x1000 } },
    bar({ doorbells: [{ offset: 2, size: 4 }] }),
    bar({ doorbells: [{ offset: 0x4000, size: 4 }] }),
    bar({ doorbells: [{ offset: -4, size: 4 }] }),
  ];
  for (const layout of wrong) {
    assertThrows(() => hostDevice(new Shared({ bars: [layout] })), RangeError);
  }
  assertThrows(
    () =>
      hostDevice(
        new Shared({ ...PARTS, bars: [bar({ shared: { offset: 0, length: 0x1000 } })] }),
      ),
    RangeError,
    "MSI-X table",
  );
  const { msix } = PARTS.interrupts!;
  const apart = { msix: { ...msix!, pendingOffset: 0x2ff8 } };
  const build = (offset: number) =>
    hostDevice(
      new Shared({ interrupts: apart, bars: [bar({ shared: { offset, length: 0x1000 } })] }),
    );
  assertThrows(() => build(0x2000), RangeError, "pending bits");
  build(0x1000);
  build(0x3000);
});

Deno.test("PciFunction takes the shared memory that its host gives", () => {
  const bytes = new Uint8Array(0x1000);
  const device = new Shared({ bars: [bar({ shared: { offset: 0, length: 0x1000 } })] });
  const { memory, clock, sink } = hostDevice(new FakeDevice());
  new PciFunction(device, { memory, clock, sink, sharedMemory: () => bytes });
  assertEquals(device.bytes === bytes, true);
});
