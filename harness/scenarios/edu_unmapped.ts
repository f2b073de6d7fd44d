/**
 * Transfers that meet an address with nothing behind it. Behind an IOMMU that is
 * a hole between mappings, without one a hole in RAM. Bytes move in ascending
 * order and stop at the first bad one, which the fault record names. Not via `qemu`:
 * without an IOMMU the kernel's RAM lies around the scenario's, and VFIO has no holes
 * in pages.
 * @module
 */

import { Access, type Gpa, type Iova, PAGE_SIZE } from "../../core/address.ts";
import { edu, EduTiming } from "../../devices/edu/mod.ts";
import { scenario } from "../scenario.ts";
import { deviceBuffer, fillDevice } from "./_edu.ts";
import { faulted, noFaults } from "./_faults.ts";
import { ramBytes, takeLastPageBeforeHole } from "./_ram.ts";

/** A transfer, and how far it should come. */
interface Case {
  readonly name: string;
  readonly start: number;
  readonly count: number;
  /** RAM behind the bytes that move. */
  readonly gpa: Gpa;
  /** Bytes that move. */
  readonly moved: number;
}

export default scenario("edu-unmapped", {
  title: "A transfer stops at the first byte that is not there: the fault says where and why",
  tags: ["edu", "dma", "iommu"],
  memoryMib: 2,
}, async (t) => {
  const device = await t.plug(edu, {});
  const { endpoint, driver, target } = device;
  await driver.enableMsi();
  const window = await t.dmaBuffer(device, PAGE_SIZE);
  const cases: Case[] = [];
  let reason = "no-memory";

  if (t.mode === "identity") {
    const last = takeLastPageBeforeHole(t);
    const hole = last + PAGE_SIZE;
    cases.push(
      { name: "start in a hole", start: hole + 0x123, count: 512, gpa: last, moved: 0 },
      { name: "end in a hole", start: hole - 100, count: 512, gpa: hole - 100 as Gpa, moved: 100 },
    );
  } else {
    reason = "unmapped";
    const [low, high, torn] = t.memory.allocatePages(3);
    const domain = device.domain!;
    // A mapped page, a hole of one page, a mapped page; then a page with a hole inside.
    const iova = 0x30_0000;
    const tornIova = iova + 0x1_0000;
    await t.iommu.map(domain, iova as Iova, low!, PAGE_SIZE, Access.READ_WRITE);
    await t.iommu.map(domain, iova + 2 * PAGE_SIZE as Iova, high!, PAGE_SIZE, Access.READ_WRITE);
    await t.iommu.map(domain, tornIova as Iova, torn!, 1000, Access.READ_WRITE);
    const after = 1001;
    await t.iommu.map(
      domain,
      tornIova + after as Iova,
      torn! + after as Gpa,
      PAGE_SIZE - after,
      Access.READ_WRITE,
    );
    const lowEnd = iova + PAGE_SIZE;
    cases.push(
      { name: "start unmapped", start: lowEnd + 3000, count: 2000, gpa: high!, moved: 0 },
      {
        name: "end unmapped",
        start: lowEnd - 100,
        count: 512,
        gpa: low! + PAGE_SIZE - 100 as Gpa,
        moved: 100,
      },
      { name: "one byte in the middle", start: tornIova, count: 4096, gpa: torn!, moved: 1000 },
    );
  }

  for (const { name, start, count, gpa, moved } of cases) {
    const at = start + moved;
    await t.step(`${name}, read by the device`, async () => {
      const inDevice = t.randomBytes(PAGE_SIZE);
      await fillDevice(t, device, window, inDevice);
      const inRam = t.randomBytes(moved);
      t.memory.cpu.write(gpa, inRam);
      await driver.dmaToDevice(start, 0, count, "raise");
      await t.clock.advance(EduTiming.DMA_MS);
      await faulted(t, "one fault, at the first byte that is not there", [
        { endpoint, iova: at, access: Access.READ, reason },
      ]);
      t.equal("the interrupt comes all the same", await target.takeInterrupts(0), 1);
      inDevice.set(inRam);
      t.equal(
        `${moved} bytes are in the device, none after`,
        await deviceBuffer(t, device, window),
        inDevice,
      );
    });

    await t.step(`${name}, written by the device`, async () => {
      const inDevice = t.randomBytes(PAGE_SIZE);
      await fillDevice(t, device, window, inDevice);
      const page = gpa - gpa % PAGE_SIZE as Gpa;
      t.memory.cpu.write(page, t.randomBytes(PAGE_SIZE));
      const expected = ramBytes(t, page);
      expected.set(inDevice.subarray(0, moved), gpa % PAGE_SIZE);
      await driver.dmaFromDevice(0, start, count, "raise");
      await t.clock.advance(EduTiming.DMA_MS);
      await faulted(t, "one fault, at the first byte that is not there", [
        { endpoint, iova: at, access: Access.WRITE, reason },
      ]);
      t.equal("the interrupt comes all the same", await target.takeInterrupts(0), 1);
      t.equal(`${moved} bytes are in RAM, none after`, ramBytes(t, page), expected);
    });
  }
  await noFaults(t);
});
