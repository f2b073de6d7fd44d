/**
 * What the IOMMU will not do, and that nothing has changed when it has refused.
 * @module
 */

import { Access, type Gpa, type Iova, PAGE_SIZE } from "../../core/address.ts";
import { IommuError } from "../../core/iommu/iommu_error.ts";
import { edu } from "../../devices/edu/mod.ts";
import { scenario, VIAS } from "../scenario.ts";
import { deviceReads, deviceWrites, fillDevice } from "./_edu.ts";
import { noFaults } from "./_faults.ts";

const NOBODY = 0xfff8;

export default scenario("iommu-refusals", {
  title: "Overlaps, partial unmaps and unknown names are refused by code, and change nothing",
  tags: ["iommu"],
  modes: ["remap"],
  vias: VIAS,
}, async (t) => {
  const device = await t.plug(edu, {});
  const domain = device.domain!;
  const iova = 0x10_0000 as Iova;
  const buffer = await t.dmaBuffer(device, 2 * PAGE_SIZE, { iova });
  const [page] = t.memory.allocatePages(1);
  const bytes = t.randomBytes(PAGE_SIZE);
  await fillDevice(t, device, buffer, bytes);

  const refused = async (name: string, code: string, call: () => Promise<unknown>) => {
    let found = "it was done";
    try {
      await call();
    } catch (error) {
      found = error instanceof IommuError ? error.code : `threw ${error}`;
    }
    t.equal(name, found, code);
  };
  const map = (start: number, gpa: number, length: number) =>
    t.iommu.map(domain, start as Iova, gpa as Gpa, length, Access.READ_WRITE);

  await t.step("map", async () => {
    await refused("the same again", "exists", () => map(iova, page!, PAGE_SIZE));
    await refused("one byte of it", "exists", () => map(iova + 17, page!, 1));
    await refused("a byte before and its first", "exists", () => map(iova - 1, page!, 2));
    await refused("around all of it", "exists", () => map(iova - 1, page!, 4 * PAGE_SIZE));
    await refused("nothing", "range", () => map(0x5000, page!, 0));
    await refused("a negative length", "range", () => map(0x5000, page!, -1));
    await refused("half a byte", "range", () => map(0x5000, page!, 0.5));
    await refused("beyond 2^52", "range", () => map(2 ** 52 - 1, page!, 2));
    await refused("to beyond 2^52", "range", () => map(0x5000, 2 ** 52 - 1, 2));
    await refused("in no domain", "no-domain", () => {
      return t.iommu.map(domain + 1000, iova, page!, PAGE_SIZE, Access.READ);
    });
  });

  await t.step("unmap", async () => {
    const unmap = (start: number, length: number) => t.iommu.unmap(domain, start as Iova, length);
    await refused("the first half of a mapping", "range", () => unmap(iova, PAGE_SIZE / 2));
    await refused("its last byte", "range", () => unmap(iova + PAGE_SIZE - 1, 1));
    await refused("a byte inside", "range", () => unmap(iova + 5, 1));
    await refused("one whole and part of the next", "range", () => unmap(iova, PAGE_SIZE + 1));
    await refused("nothing", "range", () => unmap(iova, 0));
    await refused("in no domain", "no-domain", () => t.iommu.unmap(domain + 1000, iova, PAGE_SIZE));
    t.equal("a hole is no error, and no byte", await unmap(0x5000, PAGE_SIZE), 0);
  });

  await t.step("domains and endpoints", async () => {
    const { endpoint } = device;
    await refused(
      "attach to no domain",
      "no-domain",
      () => t.iommu.attach(endpoint, domain + 1000),
    );
    await refused("attach nobody", "no-endpoint", () => t.iommu.attach(NOBODY, domain));
    await refused("detach nobody", "no-endpoint", () => t.iommu.detach(NOBODY));
    await refused("destroy no domain", "no-domain", () => t.iommu.destroyDomain(domain + 1000));
    await refused("destroy a domain in use", "busy", () => t.iommu.destroyDomain(domain));
  });

  await t.step("after all that", async () => {
    buffer.write(new Uint8Array(2 * PAGE_SIZE));
    await deviceWrites(t, device, iova + 100, PAGE_SIZE);
    t.equal("the device still writes its pages", buffer.read(100, PAGE_SIZE), bytes);
    await noFaults(t);
    await map(iova + 2 * PAGE_SIZE, page!, PAGE_SIZE);
    await map(iova - PAGE_SIZE, page!, PAGE_SIZE);
    await deviceReads(t, device, iova - PAGE_SIZE, PAGE_SIZE);
    await noFaults(t, "the places beside them are free");
    t.equal(
      "all four go in one unmap",
      await t.iommu.unmap(domain, iova - PAGE_SIZE as Iova, 4 * PAGE_SIZE),
      4 * PAGE_SIZE,
    );
  });
});
