/**
 * One IOVA, another page each time: what a translation that outlived its mapping
 * would give away.
 * @module
 */

import { Access, type Iova, PAGE_SIZE } from "../../core/address.ts";
import { edu } from "../../devices/edu/mod.ts";
import { scenario, VIAS } from "../scenario.ts";
import { deviceBuffer, deviceReads, deviceWrites } from "./_edu.ts";
import { faulted, noFaults } from "./_faults.ts";
import { ramBytes } from "./_ram.ts";

const ROUNDS = 32;
const IOVA = 0x40_0000 as Iova;

export default scenario("remap-same-iova", {
  title: "A device sees the page that is mapped now, never one that was mapped there before",
  tags: ["dma", "iommu"],
  modes: ["remap"],
  vias: VIAS,
}, async (t) => {
  const device = await t.plug(edu, {});
  const { endpoint } = device;
  const domain = device.domain!;
  const window = await t.dmaBuffer(device, PAGE_SIZE);

  await t.step(`${ROUNDS} pages in turns`, async () => {
    const pages = t.memory.allocatePages(ROUNDS);
    const contents = pages.map((page) => {
      const bytes = t.randomBytes(PAGE_SIZE);
      t.memory.cpu.write(page, bytes);
      return bytes;
    });
    for (const [round, page] of pages.entries()) {
      await t.iommu.map(domain, IOVA, page, PAGE_SIZE, Access.READ_WRITE);
      await deviceReads(t, device, IOVA, PAGE_SIZE);
      await deviceWrites(t, device, IOVA + 8, 8);
      contents[round]!.copyWithin(8, 0, 8);
      const found = await deviceBuffer(t, device, window);
      t.equal(`page ${round} is read`, found.subarray(16), contents[round]!.subarray(16));
      await t.iommu.unmap(domain, IOVA, PAGE_SIZE);
      await deviceWrites(t, device, IOVA, PAGE_SIZE);
      await faulted(t, `and gone with its mapping`, [
        { endpoint, iova: IOVA, access: Access.WRITE, reason: "unmapped" },
      ]);
    }
    for (const [round, page] of pages.entries()) {
      t.equal(
        `page ${round} holds what was written in its turn`,
        ramBytes(t, page),
        contents[round],
      );
    }
  });

  await t.step("the same page, with less allowed", async () => {
    const [page] = t.memory.allocatePages(1);
    await t.iommu.map(domain, IOVA, page!, PAGE_SIZE, Access.READ_WRITE);
    await deviceWrites(t, device, IOVA, PAGE_SIZE);
    await t.iommu.unmap(domain, IOVA, PAGE_SIZE);
    await t.iommu.map(domain, IOVA, page!, PAGE_SIZE, Access.READ);
    await deviceReads(t, device, IOVA, PAGE_SIZE);
    await noFaults(t, "it can still be read");
    await deviceWrites(t, device, IOVA, PAGE_SIZE);
    await faulted(t, "and no longer written", [
      { endpoint, iova: IOVA, access: Access.WRITE, reason: "permission" },
    ]);
    await t.iommu.unmap(domain, IOVA, PAGE_SIZE);
  });

  await t.step("a page of what was a large mapping", async () => {
    const length = 4 * PAGE_SIZE;
    const start = t.memory.allocateContiguous(length);
    const [other] = t.memory.allocatePages(1);
    t.memory.cpu.write(start, t.randomBytes(length));
    t.memory.cpu.write(other!, t.randomBytes(PAGE_SIZE));
    await t.iommu.map(domain, IOVA, start, length, Access.READ_WRITE);
    for (let at = 0; at < length; at += PAGE_SIZE) {
      await deviceReads(t, device, IOVA + at, PAGE_SIZE);
    }
    await t.iommu.unmap(domain, IOVA, length);
    await t.iommu.map(domain, IOVA + PAGE_SIZE as Iova, other!, PAGE_SIZE, Access.READ);
    await deviceReads(t, device, IOVA + PAGE_SIZE, PAGE_SIZE);
    await noFaults(t);
    t.equal(
      "the new one is read",
      await deviceBuffer(t, device, window),
      ramBytes(t, other!),
    );
    for (const at of [0, 2 * PAGE_SIZE, 3 * PAGE_SIZE]) {
      await deviceReads(t, device, IOVA + at, 1);
      await faulted(t, `nothing is left at offset ${at}`, [
        { endpoint, iova: IOVA + at, access: Access.READ, reason: "unmapped" },
      ]);
    }
  });
});
