/**
 * Transfers that meet a hole in RAM, with no IOMMU to tell of it. Not via `qemu`: the kernel's RAM lies
 * around the scenario's there.
 * @module
 */

import { type Gpa, PAGE_SIZE } from "../../core/address.ts";
import { edu } from "../../devices/edu/mod.ts";
import { scenario } from "../scenario.ts";
import { cutShort } from "./_cut_short.ts";
import { takeLastPageBeforeHole } from "./_ram.ts";

export default scenario("edu-hole-in-ram", {
  title: "A transfer stops at the first byte behind the end of RAM: the fault says where and why",
  tags: ["edu", "dma"],
  modes: ["identity"],
  memoryMib: 2,
}, async (t) => {
  const device = await t.plug(edu, {});
  const window = await t.dmaBuffer(device, PAGE_SIZE);
  const last = takeLastPageBeforeHole(t);
  const hole = last + PAGE_SIZE;
  await cutShort(t, device, window, "no-memory", [
    { name: "start in a hole", start: hole + 0x123, count: 512, gpa: last, moved: 0 },
    { name: "end in a hole", start: hole - 100, count: 512, gpa: hole - 100 as Gpa, moved: 100 },
  ]);
});
