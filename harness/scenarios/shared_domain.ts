/**
 * Two functions in one domain: one address space.
 * @module
 */

import { Access, PAGE_SIZE } from "../../core/address.ts";
import { edu } from "../../devices/edu/mod.ts";
import { scenario, VIAS } from "../scenario.ts";
import { deviceReads, deviceWrites, fillDevice } from "./_edu.ts";
import { faulted, noFaults } from "./_faults.ts";

export default scenario("shared-domain", {
  title: "Two functions in one domain see the same pages; one that is detached no longer does",
  tags: ["dma", "iommu"],
  modes: ["remap"],
  vias: VIAS,
}, async (t) => {
  const one = await t.plug(edu, {});
  const two = await t.plug(edu, {}, { domain: one.domain! });
  const buffer = await t.dmaBuffer(one, 2 * PAGE_SIZE);
  const bytes = t.randomBytes(PAGE_SIZE);
  t.equal("one domain", two.domain, one.domain);
  t.check("two endpoints", one.endpoint !== two.endpoint);

  await t.step("what one writes the other reads", async () => {
    await fillDevice(t, one, buffer, bytes);
    await deviceWrites(t, one, buffer.iova + 100, PAGE_SIZE);
    buffer.write(new Uint8Array(100));
    await deviceReads(t, two, buffer.iova + 100, PAGE_SIZE);
    buffer.write(new Uint8Array(2 * PAGE_SIZE));
    await deviceWrites(t, two, buffer.iova + 777, PAGE_SIZE);
    t.equal("it came through both", buffer.read(777, PAGE_SIZE), bytes);
  });

  await t.step("what is mapped through one appears to the other, and goes for both", async () => {
    const late = await t.dmaBuffer(two, PAGE_SIZE);
    await deviceWrites(t, one, late.iova, PAGE_SIZE);
    t.equal("appears", late.read(), bytes);
    await late.unmap();
    await deviceWrites(t, one, late.iova, 1);
    await deviceWrites(t, two, late.iova, 1);
    const fault = { iova: late.iova, access: Access.WRITE, reason: "unmapped" };
    await faulted(t, "goes", [
      { endpoint: one.endpoint, ...fault },
      { endpoint: two.endpoint, ...fault },
    ]);
  });

  await t.step("one leaves", async () => {
    await t.iommu.detach(two.endpoint);
    buffer.write(new Uint8Array(2 * PAGE_SIZE));
    await deviceWrites(t, two, buffer.iova, PAGE_SIZE);
    await faulted(t, "it reaches nothing", [{
      endpoint: two.endpoint,
      iova: buffer.iova,
      access: Access.WRITE,
      reason: "no-domain",
    }]);
    t.equal("and changes nothing", buffer.read(), new Uint8Array(2 * PAGE_SIZE));
    await deviceWrites(t, one, buffer.iova + PAGE_SIZE, PAGE_SIZE);
    t.equal("the other goes on", buffer.read(PAGE_SIZE, PAGE_SIZE), bytes);
  });
  await noFaults(t);
});
