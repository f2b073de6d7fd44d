import { assertEquals, assertRejects } from "@std/assert";
import type { BarLayout, PciDevice } from "../../devices/pci/pci_device.ts";
import type { PciTarget } from "../../devices/pci/pci_driver.ts";
import { NoMemory } from "../../devices/pci/no_memory.ts";
import { PciBus } from "../../devices/pci/bus.ts";
import { PciFunction } from "../../devices/pci/pci_function.ts";
import * as pci from "../../devices/pci/spec.ts";
import { RemoteBars } from "./remote_bars.ts";

class Barred implements PciDevice {
  readonly type = "barred";
  readonly ident = { vendorId: 0x1234, deviceId: 1, revisionId: 1, classCode: 0xff_0000 };
  constructor(readonly bars: readonly BarLayout[]) {}
  attach(): void {}
  barRead(): number {
    return 0;
  }
  barWrite(): void {}
  reset(): void {}
  inspect(): Record<string, unknown> {
    return {};
  }
}

const BARS: readonly BarLayout[] = [
  { index: 0, size: 0x1000, kind: "mmio32" },
  { index: 1, size: 0x10, kind: "io" },
  { index: 2, size: 0x10_0000, kind: "mmio64" },
  { index: 4, size: 0x2000, kind: "mmio32" },
];

function barred(bars: readonly BarLayout[] = BARS): PciFunction {
  return new PciFunction(new Barred(bars), {
    memory: new NoMemory(),
    clock: { nowNs: 0, defer: () => ({ cancel: () => {} }) },
    sink: { message: () => {}, intx: () => {} },
  });
}

function targetOf(fn: PciFunction): PciTarget {
  return {
    configRead: (offset: number, size: 1 | 2 | 4) => Promise.resolve(fn.configRead(offset, size)),
    configWrite: (offset: number, size: 1 | 2 | 4, value: number) =>
      Promise.resolve(fn.configWrite(offset, size, value)),
  } as PciTarget;
}

function registers(fn: PciFunction): number[] {
  const offsets = [pci.PCI_COMMAND, 0x10, 0x14, 0x18, 0x1c, 0x20, 0x24];
  return offsets.map((offset) => fn.configRead(offset, offset === pci.PCI_COMMAND ? 2 : 4));
}

Deno.test("RemoteBars.assign() puts the BARs of one device after the other where a bus does", async () => {
  const bus = new PciBus();
  const remote = new RemoteBars();
  for (let device = 0; device < 3; device++) {
    const ours = barred(), theirs = barred();
    bus.assignBars(bus.plug(theirs));
    theirs.configWrite(
      pci.PCI_COMMAND,
      2,
      pci.PCI_COMMAND_IO | pci.PCI_COMMAND_MEMORY | pci.PCI_COMMAND_MASTER,
    );
    await remote.assign(targetOf(ours));
    assertEquals(registers(ours), registers(theirs));
  }
});

Deno.test("RemoteBars.assign() takes no addresses for a device that there is no room for", async () => {
  const remote = new RemoteBars();
  const half = { size: 2 ** 28, kind: "mmio32" } as const;
  const both = barred([{ index: 0, ...half }, { index: 1, ...half }]);
  await assertRejects(() => remote.assign(targetOf(both)), RangeError, "no room is left");
  const one = barred([{ index: 0, ...half }]);
  await remote.assign(targetOf(one));
  assertEquals(one.barAddress(0), 0xe000_0000);
});
