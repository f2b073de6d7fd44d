/**
 * Transfers that meet a hole between mappings.
 * @module
 */

import { Access, type Gpa, type Iova, PAGE_SIZE } from "../../core/address.ts";
import { edu } from "../../devices/edu/mod.ts";
import { scenario, VIAS } from "../scenario.ts";
import { type CutShort, cutShort } from "./_cut_short.ts";

export default scenario("edu-unmapped", {
  title: "A transfer stops at the first byte that is not mapped: the fault says where and why",
  tags: ["edu", "dma", "iommu"],
  modes: ["remap"],
  vias: VIAS,
  memoryMib: 2,
}, async (t) => {
  const device = await t.plug(edu, {});
  const window = await t.dmaBuffer(device, PAGE_SIZE);
  const [low, high, torn] = t.memory.allocatePages(3);
  const domain = device.domain!;
  // A mapped page, a hole of one page, a mapped page.
  const iova = 0x30_0000;
  await t.iommu.map(domain, iova as Iova, low!, PAGE_SIZE, Access.READ_WRITE);
  await t.iommu.map(domain, iova + 2 * PAGE_SIZE as Iova, high!, PAGE_SIZE, Access.READ_WRITE);
  const lowEnd = iova + PAGE_SIZE;
  const cases: CutShort[] = [
    { name: "start unmapped", start: lowEnd + 3000, count: 2000, gpa: high!, moved: 0 },
    {
      name: "end unmapped",
      start: lowEnd - 100,
      count: 512,
      gpa: low! + PAGE_SIZE - 100 as Gpa,
      moved: 100,
    },
  ];
  // VFIO maps whole pages, and no transfer of an edu reaches over the whole of one.
  if (t.via !== "qemu") {
    const start = iova + 0x1_0000;
    const after = 1001;
    await t.iommu.map(domain, start as Iova, torn!, after - 1, Access.READ_WRITE);
    await t.iommu.map(
      domain,
      start + after as Iova,
      torn! + after as Gpa,
      PAGE_SIZE - after,
      Access.READ_WRITE,
    );
    cases.push({
      name: "one byte in the middle",
      start,
      count: PAGE_SIZE,
      gpa: torn!,
      moved: after - 1,
    });
  }
  await cutShort(t, device, window, "unmapped", cases);
});
