/**
 * How far a device reaches. edu drives 28 address lines unless it is made with
 * more, and drops the bits above (rule 20): an IOMMU puts pages from above 4 GiB
 * where even such a device can reach them.
 * @module
 */

import { Access, type Iova, MAX_ADDRESS, PAGE_SIZE } from "../../core/address.ts";
import { edu, EDU_DMA_MASK } from "../../devices/edu/mod.ts";
import { scenario, VIAS } from "../scenario.ts";
import { deviceReads, deviceWrites, eduErrors, fillDevice } from "./_edu.ts";
import { faulted, noFaults } from "./_faults.ts";
import { ramBytes, takeHighPage } from "./_ram.ts";

export default scenario("edu-dma-mask", {
  title: "A device with 28 address lines drops higher bits; one with 52 reaches RAM above 4 GiB",
  tags: ["edu", "dma", "iommu"],
  vias: VIAS,
}, async (t) => {
  const high = takeHighPage(t);
  t.check("there is RAM above 4 GiB", high >= 2 ** 32);

  await t.step("28 lines", async () => {
    const device = await t.plug(edu, {});
    const page = await t.dmaBuffer(device, PAGE_SIZE);
    const bytes = t.randomBytes(PAGE_SIZE);
    await fillDevice(t, device, page, bytes);
    page.write(new Uint8Array(PAGE_SIZE));
    await deviceWrites(t, device, page.iova + 3 * (EDU_DMA_MASK + 1), PAGE_SIZE);
    t.equal("the bits above are dropped", page.read(), bytes);
    t.equal("and the driver's mistake is counted", (await eduErrors(device)).clampedAddresses, 1);

    if (device.domain === null) return;
    await t.iommu.map(device.domain, 0x7000 as Iova, high, PAGE_SIZE, Access.READ_WRITE);
    await deviceWrites(t, device, 0x7000, PAGE_SIZE);
    t.equal("the IOMMU puts a high page within reach", ramBytes(t, high), bytes);
  });

  await t.step("52 lines", async () => {
    // As far as each of QEMU's IOMMUs translates.
    const end = t.via === "qemu" ? 2 ** 38 : MAX_ADDRESS + 1;
    const device = await t.plug(edu, { dmaMask: MAX_ADDRESS });
    const page = await t.dmaBuffer(device, PAGE_SIZE);
    const bytes = t.randomBytes(PAGE_SIZE);
    await fillDevice(t, device, page, bytes);
    let iova: number = high;
    if (device.domain !== null) {
      iova = end - PAGE_SIZE;
      await t.iommu.map(device.domain, iova as Iova, high, PAGE_SIZE, Access.READ_WRITE);
    }
    await deviceWrites(t, device, iova, PAGE_SIZE);
    t.equal("the high page is written", ramBytes(t, high), bytes);
    await noFaults(t);

    if (device.domain !== null) {
      await deviceReads(t, device, end - 100, 200);
      await faulted(t, "one past the last byte there is", [{
        endpoint: device.endpoint,
        iova: end,
        access: Access.READ,
        reason: "unmapped",
      }]);
    }
  });
  await noFaults(t);
});
