/**
 * Isolation: the same addresses, other pages.
 * @module
 */

import { Access, type Iova, PAGE_SIZE } from "../../core/address.ts";
import { edu } from "../../devices/edu/mod.ts";
import { scenario, VIAS } from "../scenario.ts";
import { deviceReads, deviceWrites, fillDevice } from "./_edu.ts";
import { faulted, noFaults } from "./_faults.ts";

const LENGTH = 4 * PAGE_SIZE;
const IOVA = 0x10_0000 as Iova;
/** Mapped in one of the two domains alone. */
const PRIVATE = 0x80_0000 as Iova;

export default scenario("two-domains", {
  title: "Two functions in two domains use the same IOVAs, and each sees only its own pages",
  tags: ["dma", "iommu"],
  modes: ["remap"],
  vias: VIAS,
}, async (t) => {
  /** An edu with a pattern inside, and pages of its own at {@linkcode IOVA}. */
  const member = async () => {
    const device = await t.plug(edu, {});
    const buffer = await t.dmaBuffer(device, LENGTH, { iova: IOVA });
    const window = await t.dmaBuffer(device, PAGE_SIZE);
    const pattern = t.randomBytes(PAGE_SIZE);
    await fillDevice(t, device, window, pattern);
    buffer.write(t.randomBytes(LENGTH));
    return { device, buffer, pattern, expected: buffer.read() };
  };
  const one = await member();
  const two = await member();
  const both = [one, two];
  t.check("the domains differ", one.device.domain !== two.device.domain);
  const pages = both.flatMap(({ buffer }) => [...buffer.pages]);
  t.equal("the pages differ", new Set(pages).size, 8);

  await t.step("each writes its own, in turns", async () => {
    for (let page = 0; page < 4; page++) {
      for (const { device, pattern, expected } of both) {
        const offset = page * PAGE_SIZE + t.random(100);
        const count = 1 + t.random(PAGE_SIZE - 100);
        await deviceWrites(t, device, IOVA + offset, count);
        expected.set(pattern.subarray(0, count), offset);
      }
    }
    for (const [index, { buffer, expected }] of both.entries()) {
      t.equal(`device ${index} has written its pages and no others`, buffer.read(), expected);
    }
  });

  await t.step("each reads its own, in turns", async () => {
    for (const { device, buffer, expected } of both) {
      await deviceReads(t, device, IOVA + 5, PAGE_SIZE);
      await deviceWrites(t, device, IOVA + 2 * PAGE_SIZE + 5, PAGE_SIZE);
      expected.copyWithin(2 * PAGE_SIZE + 5, 5, PAGE_SIZE + 5);
      t.equal(`endpoint ${device.endpoint} has its own bytes`, buffer.read(), expected);
    }
  });
  await noFaults(t);

  await t.step("what only the other has is not there", async () => {
    const secret = await t.dmaBuffer(one.device, PAGE_SIZE, { iova: PRIVATE });
    const bytes = t.randomBytes(PAGE_SIZE);
    secret.write(bytes);
    await deviceReads(t, two.device, PRIVATE, 8);
    await deviceWrites(t, two.device, PRIVATE, 8);
    const fault = { endpoint: two.device.endpoint, iova: PRIVATE, reason: "unmapped" };
    await faulted(t, "the other faults, by its own name", [
      { ...fault, access: Access.READ },
      { ...fault, access: Access.WRITE },
    ]);
    t.equal("the page is as it was", secret.read(), bytes);
  });

  await t.step("unmapping in one domain is nothing to the other", async () => {
    await one.buffer.unmap();
    await deviceReads(t, two.device, IOVA, PAGE_SIZE);
    await noFaults(t, "the other still reads");
    await deviceReads(t, one.device, IOVA, PAGE_SIZE);
    await faulted(t, "the one does not", [{
      endpoint: one.device.endpoint,
      iova: IOVA,
      access: Access.READ,
      reason: "unmapped",
    }]);
  });
});
