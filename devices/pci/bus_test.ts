import { assert, assertEquals, assertThrows } from "@std/assert";
import { FakeDevice, host, hostDevice } from "./_test_fakes.ts";
import { requesterId } from "./bdf.ts";
import { PciBus } from "./bus.ts";
import { expressCapability } from "./capabilities.ts";
import type { BarLayout } from "./pci_device.ts";
import * as spec from "./spec.ts";

const BARS: readonly BarLayout[] = [
  { index: 0, size: 0x1000, kind: "mmio32" },
  { index: 1, size: 0x20, kind: "io" },
  { index: 2, size: 2 ** 33, kind: "mmio64" },
];

Deno.test("PciBus has a host bridge at 00:00.0 and nobody else", () => {
  const bus = new PciBus();
  assertEquals(bus.configRead(0, spec.PCI_CLASS_DEVICE, 2), 0x0600);
  assertEquals(bus.functions.map(([endpoint]) => endpoint), [0]);
  assertEquals(bus.configRead(8, 0, 4), 0xffff_ffff);
  assertEquals(bus.configRead(8, 0, 1), 0xff);
  bus.configWrite(8, 4, 2, 7);
});

Deno.test("PciBus.plug() takes the next free device, or the place it is told", () => {
  const bus = new PciBus();
  assertEquals([bus.plug(host().fn), bus.plug(host().fn, 0x18), bus.plug(host().fn)], [
    0x08,
    0x18,
    0x10,
  ]);
  assertEquals(bus.nextFree(), 0x20);
  assertThrows(() => bus.plug(host().fn, 0x18), RangeError, "00:03.0: one is there already");
  assertThrows(() => bus.plug(host().fn, 0x29), RangeError, "has no function 0");
  assertThrows(() => bus.plug(host().fn, 0x100), RangeError, "bus 0 has 0x00 to 0xff");
  for (let device = 4; device < 32; device++) bus.plug(host().fn);
  assertThrows(() => bus.nextFree(), RangeError, "all 32");
});

Deno.test("PciBus.plug() marks devices of several functions, also after a reset", () => {
  const bus = new PciBus();
  bus.plug(host().fn, 0x08);
  assertEquals(bus.configRead(0x08, spec.PCI_HEADER_TYPE, 1), 0);
  bus.plug(host().fn, 0x0b);
  bus.reset();
  assertEquals(bus.configRead(0x08, spec.PCI_HEADER_TYPE, 1), spec.PCI_HEADER_TYPE_MFD);
  assertEquals(bus.configRead(0x0b, spec.PCI_HEADER_TYPE, 1), spec.PCI_HEADER_TYPE_MFD);
});

Deno.test("PciBus.plug() marks a function 0 that comes back to a device with others", () => {
  const bus = new PciBus();
  bus.plug(host().fn, 0x08);
  bus.plug(host().fn, 0x0b);
  bus.plug(host().fn, 0x10);
  bus.unplug(0x08);
  bus.plug(host().fn, 0x08);
  assertEquals(bus.configRead(0x08, spec.PCI_HEADER_TYPE, 1), spec.PCI_HEADER_TYPE_MFD);
  assertEquals(bus.configRead(0x10, spec.PCI_HEADER_TYPE, 1), 0);
});

Deno.test("PciBus.replace() keeps the place and its BAR addresses, and the mark of several functions", () => {
  const bus = new PciBus();
  const before = host({ bars: BARS }).fn, after = host({ bars: BARS }).fn;
  assertThrows(() => bus.replace(0x08, after), RangeError, "00:01.0: none is there");
  bus.plug(before, 0x08);
  const given = bus.assignBars(0x08).map(({ address }) => address);
  bus.plug(host().fn, 0x0b);
  assertEquals(bus.replace(0x08, after), before);
  assertEquals([bus.get(0x08), bus.functions[1]?.[1]], [after, after]);
  assertEquals(bus.configRead(0x08, spec.PCI_HEADER_TYPE, 1), spec.PCI_HEADER_TYPE_MFD);
  bus.plug(host({ bars: BARS }).fn, 0x10);
  const others = bus.assignBars(0x10).map(({ address }) => address);
  assertEquals(others.filter((address) => given.includes(address)), []);
  bus.unplug(0x08);
  bus.plug(host({ bars: BARS }).fn, 0x18);
  assertEquals(bus.assignBars(0x18).map(({ address }) => address), given, "given back with it");
});

Deno.test("PciBus.ecamRead() finds the register by requester ID and offset", () => {
  const bus = new PciBus();
  const endpoint = bus.plug(host({ capabilities: [expressCapability()] }).fn);
  assertEquals(bus.ecamRead(endpoint * 4096 + spec.PCI_DEVICE_ID, 2), 0x5678);
  bus.ecamWrite(endpoint * 4096 + spec.PCI_INTERRUPT_LINE, 1, 9);
  assertEquals(bus.configRead(endpoint, spec.PCI_INTERRUPT_LINE, 1), 9);
  assertEquals(bus.ecamRead(endpoint * 4096 + 0xffc, 4), 0);
  assertEquals(bus.ecamRead(0xffff * 4096, 4), 0xffff_ffff);
});

Deno.test("PciBus.assignBars() gives every BAR an aligned place of its own that answers", () => {
  const bus = new PciBus();
  const machines = [0, 1, 2].map(() => host({ bars: BARS }));
  for (const { fn } of machines) bus.plug(fn);
  const assigned = bus.assignBars();
  assertEquals(assigned.length, 9);
  for (const one of assigned) {
    assertEquals(one.address % one.size, 0);
    assertEquals(bus.get(one.endpoint)?.barAddress(one.bar), one.address);
    assertEquals(one.address >= 2 ** 32, one.size === 2 ** 33, "64-bit BARs go above 4 GiB");
    for (const other of assigned) {
      if (other === one || other.space !== one.space) continue;
      assert(one.address + one.size <= other.address || other.address + other.size <= one.address);
    }
    assertEquals(bus.read(one.space, one.address, 4), 0xffff_ffff, "nothing is enabled");
  }
  for (const { endpoint } of assigned) bus.configWrite(endpoint, spec.PCI_COMMAND, 2, 3);
  for (const { endpoint, bar, space, address, size } of assigned) {
    const value = endpoint << 8 | bar;
    bus.write(space, address + size - 4, 4, value);
    assertEquals(bus.read(space, address + size - 4, 4), value);
  }
  assertEquals(machines.map(({ device }) => device.log.length), [6, 6, 6]);
});

Deno.test("PciBus.assignBars() of one function leaves those of others, and unplug() gives back", () => {
  const bus = new PciBus({ memory: { start: 0xf000_0000, length: 0x2000 } });
  const bars: BarLayout[] = [{ index: 0, size: 0x1000, kind: "mmio32" }];
  const first = bus.plug(host({ bars }).fn);
  assertEquals(bus.assignBars(first).map(({ address }) => address), [0xf000_0000]);
  const second = bus.plug(host({ bars }).fn);
  assertEquals(bus.assignBars(second).map(({ address }) => address), [0xf000_1000]);
  assertEquals(bus.assignBars(second).map(({ address }) => address), [0xf000_1000], "again");
  const third = bus.plug(host({ bars }).fn);
  bus.configWrite(third, spec.PCI_COMMAND, 2, 6);
  assertThrows(() => bus.assignBars(third), RangeError, "no room is left");
  assertEquals(
    [bus.configRead(third, spec.PCI_COMMAND, 2), bus.configRead(third, spec.PCI_BASE_ADDRESS_0, 4)],
    [6, 0],
    "sizing leaves the registers as they were",
  );
  assertEquals([bus.unplug(first), bus.unplug(first)], [true, false]);
  assertEquals(bus.assignBars(third).map(({ address }) => address), [0xf000_0000]);
  assertThrows(() => bus.assignBars(first), RangeError, "00:01.0: no function is there");
});

Deno.test("PciBus.assignBars() puts a 64-bit BAR below 4 GiB when there is no room above", () => {
  const bus = new PciBus({ memory64: { start: 2 ** 40, length: 0 } });
  const endpoint = bus.plug(host({ bars: [{ index: 0, size: 0x1000, kind: "mmio64" }] }).fn);
  assertEquals(bus.assignBars(endpoint)[0]?.address, 0xe000_0000);
});

Deno.test("PciBus.assignBars() keeps a function quiet while it sizes and moves its BARs", () => {
  const bus = new PciBus();
  const { fn } = host({ bars: BARS });
  const endpoint = bus.plug(fn);
  bus.configWrite(endpoint, spec.PCI_COMMAND, 2, 3);
  let answered = 0;
  fn.config.observe(spec.PCI_BASE_ADDRESS_0, 24, {
    written: () => {
      if ([0, 1, 2].some((bar) => fn.decodes(bar))) answered++;
    },
  });
  bus.assignBars();
  assertEquals([answered, bus.configRead(endpoint, spec.PCI_COMMAND, 2)], [0, 3]);
});

Deno.test("PciBus.read() and write() of addresses that nobody claims give ones and do nothing", () => {
  const bus = new PciBus(), machine = host({ bars: BARS });
  const endpoint = bus.plug(machine.fn);
  bus.assignBars();
  bus.configWrite(endpoint, spec.PCI_COMMAND, 2, 3);
  const base = machine.fn.barAddress(0) ?? 0;
  assertEquals(bus.read("memory", base + 0x1000, 4), 0xffff_ffff);
  assertEquals(bus.read("memory", base + 0xffe, 4), 0xffff_ffff, "half inside");
  assertEquals(bus.read("io", base, 2), 0xffff, "the other space");
  bus.write("memory", base + 0x1000, 1, 1);
  const into = new Uint8Array(3);
  bus.readBytes("memory", 0x1000, into);
  bus.writeBytes("memory", 0x1000, into);
  assertEquals([...into], [255, 255, 255]);
  assertEquals(machine.device.log, []);
  bus.writeBytes("memory", base, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  bus.readBytes("memory", base + 4, into.subarray(0, 2));
  assertEquals(machine.device.log, ["write 0 0 4 4030201", "write 0 4 4 8070605", "read 0 4 2"]);
});

Deno.test("PciBus.lineAsserted() rotates pins by device and shares lines", () => {
  const bus = new PciBus();
  const machines = [1, 2, 4, 1, 1].map((pin) =>
    hostDevice(new FakeDevice({ interrupts: { pin: pin as 1 } }))
  );
  const endpoints = machines.map(({ fn }) => bus.plug(fn));
  assertEquals(endpoints.map((endpoint) => bus.interruptLine(endpoint)), [1, 3, 2, 0, 1]);
  assertEquals(bus.interruptLine(requesterId(0, 0)), null);
  const lines = (): boolean[] => [0, 1, 2, 3].map((line) => bus.lineAsserted(line));
  machines[0]?.device.host.interrupts.setIntx(true);
  machines[4]?.device.host.interrupts.setIntx(true);
  assertEquals(lines(), [false, true, false, false]);
  machines[0]?.device.host.interrupts.setIntx(false);
  assertEquals(lines(), [false, true, false, false]);
  bus.reset();
  assertEquals(lines(), [false, false, false, false]);
});

Deno.test("PciBus() refuses windows that do not fit their space", () => {
  assertThrows(() => new PciBus({ memory: { start: 0xffff_f000, length: 0x2000 } }), RangeError);
  assertThrows(() => new PciBus({ io: { start: 0xf000, length: 0x2000 } }), RangeError);
  assertThrows(() => new PciBus({ memory64: { start: 2 ** 52, length: 1 } }), RangeError);
});
