import { assertEquals } from "@std/assert";
import { edu } from "../../devices/edu/mod.ts";
import type { BarIndex } from "../../devices/pci/pci_device.ts";
import type { PciTarget } from "../../devices/pci/pci_driver.ts";
import * as spec from "../../devices/pci/spec.ts";
import { endServerProcesses } from "../via/vfio_user_process.ts";
import { watched } from "./_test_watch.ts";
import { readDetail } from "./device_detail.ts";

/** A function with these base address registers and nothing else. */
function withBars(registers: readonly number[]): PciTarget {
  const nothing = (): Promise<never> => Promise.reject(new Error("Nothing of this is read"));
  return {
    endpoint: 8,
    configRead: (offset) => {
      return Promise.resolve(registers[(offset - spec.PCI_BASE_ADDRESS_0) / 4] ?? 0);
    },
    configWrite: nothing,
    barRead: nothing,
    barWrite: nothing,
    barRead64: nothing,
    barWrite64: nothing,
    takeInterrupts: nothing,
    intxAsserted: nothing,
    reset: nothing,
    inspect: () => Promise.resolve({}),
  };
}

Deno.test("readDetail() has the sizes that a target knows, of BARs without an address too", async () => {
  // 32 bits without an address, 64 bits and prefetchable, I/O, and one that is not there.
  const target = withBars([0, 0x8000_000c, 0x1, 0xc001, 0, 0]);
  const sizes = [0x1000, 0x20_0000, null, 0x20, null, null];
  const asked: BarIndex[] = [];
  const sized = {
    ...target,
    barSize: (bar: BarIndex): number | null => {
      asked.push(bar);
      return sizes[bar]!;
    },
  };
  assertEquals((await readDetail(sized, null)).bars, [
    { index: 0, kind: "mmio32", address: null, size: 0x1000, prefetchable: false },
    { index: 1, kind: "mmio64", address: 0x1_8000_0000, size: 0x20_0000, prefetchable: true },
    { index: 3, kind: "io", address: 0xc000, size: 0x20, prefetchable: false },
  ]);
  // The upper half of a wide one is no BAR.
  assertEquals(asked, [0, 1, 3, 4, 5]);
  assertEquals((await readDetail(target, null)).bars.map(({ index, size }) => [index, size]), [
    [1, null],
    [3, null],
  ]);
});

Deno.test({
  name: "readDetail() tells of BARs behind vfio-user what it tells of them in the process",
  // The process with the devices is one of the runner's.
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    const barsVia = async (via: "direct" | "vfio-user") => {
      const heard = await watched(async (t) => void await t.plug(edu, {}), { via });
      return heard.of("left-detail").map(({ detail }) => detail.bars);
    };
    try {
      const bars = await barsVia("vfio-user");
      assertEquals(bars, await barsVia("direct"));
      assertEquals(bars.map((each) => each.map(({ size }) => size)), [[0x10_0000]]);
    } finally {
      await endServerProcesses();
    }
  },
});
