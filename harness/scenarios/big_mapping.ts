/**
 * One mapping of 1 GiB beside mappings of 4 KiB. It reaches over far more guest
 * physical space than there is RAM: what a mapping allows and what is there are
 * two things. Not via `qemu`: VFIO maps memory that is there, and this mapping reaches
 * over what is not.
 * @module
 */

import { Access, type Gpa, type Iova, PAGE_SIZE } from "../../core/address.ts";
import { IommuError } from "../../core/iommu/iommu_error.ts";
import { edu } from "../../devices/edu/mod.ts";
import { scenario } from "../scenario.ts";
import { deviceReads, deviceWrites, fillDevice } from "./_edu.ts";
import { faulted, noFaults } from "./_faults.ts";
import { ramBytes, takeLastPageBeforeHole } from "./_ram.ts";

const GIB = 2 ** 30;
/** On no 1 GiB boundary, and far above what 32 bits hold. */
const IOVA = 2 ** 44 + 5 * PAGE_SIZE;

export default scenario("big-mapping", {
  title:
    "A mapping of 1 GiB works as one, beside mappings of 4 KiB, and faults where there is no RAM",
  tags: ["dma", "iommu", "scale"],
  modes: ["remap"],
  memoryMib: 2,
}, async (t) => {
  const device = await t.plug(edu, { dmaMask: 2 ** 52 - 1 });
  const { endpoint } = device;
  const domain = device.domain!;
  const last = takeLastPageBeforeHole(t);
  const [before, after] = t.memory.allocatePages(2);
  await t.iommu.map(domain, IOVA as Iova, 0 as Gpa, GIB, Access.READ_WRITE);
  await t.iommu.map(domain, IOVA - PAGE_SIZE as Iova, before!, PAGE_SIZE, Access.READ_WRITE);
  await t.iommu.map(domain, IOVA + GIB as Iova, after!, PAGE_SIZE, Access.READ_WRITE);
  const window = await t.dmaBuffer(device, PAGE_SIZE);
  const bytes = t.randomBytes(PAGE_SIZE);
  await fillDevice(t, device, window, bytes);

  await t.step("where there is RAM", async () => {
    await deviceWrites(t, device, IOVA + last, PAGE_SIZE);
    t.equal("its last page", ramBytes(t, last), bytes);
    t.memory.cpu.write(0 as Gpa, t.randomBytes(PAGE_SIZE));
    await deviceReads(t, device, IOVA, 16);
    await deviceWrites(t, device, window.iova, 16);
    t.equal("its first bytes", window.read(0, 16), ramBytes(t, 0 as Gpa, 16));
    bytes.set(window.read(0, 16));
    await noFaults(t);
  });

  await t.step("across its start, from a page of 4 KiB", async () => {
    await deviceWrites(t, device, IOVA - 100, 200);
    await noFaults(t);
    t.equal("the page", ramBytes(t, before! + PAGE_SIZE - 100 as Gpa, 100), bytes.slice(0, 100));
    t.equal("the big one", ramBytes(t, 0 as Gpa, 100), bytes.slice(100, 200));
  });

  await t.step("where there is none", async () => {
    const fault = { endpoint, access: Access.WRITE, reason: "no-memory" };
    const end = last + PAGE_SIZE;
    await deviceWrites(t, device, IOVA + end - 100, 200);
    await faulted(t, "off the end of RAM", [{ ...fault, iova: IOVA + end }]);
    t.equal(
      "the bytes before it are there",
      ramBytes(t, end - 100 as Gpa, 100),
      bytes.slice(0, 100),
    );
    await deviceWrites(t, device, IOVA + GIB / 2, 1);
    await faulted(t, "in the middle", [{ ...fault, iova: IOVA + GIB / 2 }]);
    await deviceReads(t, device, IOVA + GIB - 1, 2);
    await faulted(t, "at its last byte, with a page of 4 KiB behind it", [
      { ...fault, access: Access.READ, iova: IOVA + GIB - 1 },
    ]);
    await deviceWrites(t, device, IOVA + GIB, PAGE_SIZE);
    await noFaults(t, "that page works");
    t.equal("and holds the bytes", ramBytes(t, after!), bytes);
  });

  await t.step("unmapped whole or not at all", async () => {
    let refusal = "none";
    try {
      await t.iommu.unmap(domain, IOVA as Iova, PAGE_SIZE);
    } catch (error) {
      refusal = error instanceof IommuError ? error.code : String(error);
    }
    t.equal("a part of it is refused", refusal, "range");
    await deviceWrites(t, device, IOVA, PAGE_SIZE);
    await noFaults(t, "and it works as before");
    t.equal("all of it goes", await t.iommu.unmap(domain, IOVA as Iova, GIB), GIB);
    for (const offset of [0, last, GIB / 2, GIB - 1]) {
      await deviceReads(t, device, IOVA + offset, 1);
      await faulted(t, `nothing is left at offset ${offset}`, [
        { endpoint, iova: IOVA + offset, access: Access.READ, reason: "unmapped" },
      ]);
    }
    await deviceReads(t, device, IOVA - PAGE_SIZE, PAGE_SIZE);
    await deviceReads(t, device, IOVA + GIB, PAGE_SIZE);
    await noFaults(t, "its neighbours are still there");
  });
});
