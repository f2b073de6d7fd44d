/**
 * What a mapping allows is what a device can do, in each direction.
 * @module
 */

import { Access, accessName, type Iova, PAGE_SIZE } from "../../core/address.ts";
import { edu } from "../../devices/edu/mod.ts";
import { scenario, VIAS } from "../scenario.ts";
import { deviceBuffer, deviceReads, deviceWrites, fillDevice } from "./_edu.ts";
import { faulted, noFaults } from "./_faults.ts";
import { ramBytes } from "./_ram.ts";

const NONE = 0;
const READ = Access.READ, WRITE = Access.WRITE;

export default scenario("edu-permissions", {
  title: "A device reads only what it may read and writes only what it may write; the rest faults",
  tags: ["edu", "dma", "iommu"],
  modes: ["remap"],
  vias: VIAS,
}, async (t) => {
  const device = await t.plug(edu, {});
  const { endpoint } = device;
  const window = await t.dmaBuffer(device, PAGE_SIZE);

  // QEMU's client tells a server of a page that may only be written as of one that may be read too.
  const writeOnly = t.via === "qemu" ? [] : [WRITE];
  for (const access of [Access.READ_WRITE, READ, ...writeOnly, NONE]) {
    await t.step(`a page mapped ${accessName(access)}`, async () => {
      const page = await t.dmaBuffer(device, PAGE_SIZE, { access });
      const inRam = t.randomBytes(PAGE_SIZE);
      const inDevice = t.randomBytes(PAGE_SIZE);
      page.write(inRam);
      await fillDevice(t, device, window, inDevice);
      await noFaults(t);

      const readable = (access & READ) !== 0;
      await deviceReads(t, device, page.iova, PAGE_SIZE);
      await faulted(
        t,
        readable ? "a read does not fault" : "a read faults at its first byte",
        readable ? [] : [{ endpoint, iova: page.iova, access: READ, reason: "permission" }],
      );
      t.equal(
        readable ? "the device has its bytes" : "the device has learnt nothing",
        await deviceBuffer(t, device, window),
        readable ? inRam : inDevice,
      );

      await fillDevice(t, device, window, inDevice);
      const writable = (access & WRITE) !== 0;
      await deviceWrites(t, device, page.iova, PAGE_SIZE);
      await faulted(
        t,
        writable ? "a write does not fault" : "a write faults at its first byte",
        writable ? [] : [{ endpoint, iova: page.iova, access: WRITE, reason: "permission" }],
      );
      t.equal(
        writable ? "RAM has the device's bytes" : "RAM is as it was",
        page.read(),
        writable ? inDevice : inRam,
      );
    });
  }

  await t.step("two neighbours, of which only the first allows it", async () => {
    const [first, second] = t.memory.allocatePages(2);
    const iova = 0x20_0000 as Iova;
    const edge = iova + PAGE_SIZE as Iova;
    const domain = device.domain!;
    const inDevice = t.randomBytes(PAGE_SIZE);
    for (const [access, other] of [[READ, writeOnly[0] ?? NONE], [WRITE, READ]] as const) {
      await t.iommu.map(domain, iova, first!, PAGE_SIZE, access);
      await t.iommu.map(domain, edge, second!, PAGE_SIZE, other);
      t.memory.cpu.write(first!, t.randomBytes(PAGE_SIZE));
      t.memory.cpu.write(second!, t.randomBytes(PAGE_SIZE));
      await fillDevice(t, device, window, inDevice);
      const [before, after] = [ramBytes(t, first!), ramBytes(t, second!)];
      await noFaults(t);

      if (access === READ) await deviceReads(t, device, edge - 100, 300);
      else await deviceWrites(t, device, edge - 100, 300);
      await faulted(t, `a ${access === READ ? "read" : "write"} faults at the edge`, [
        { endpoint, iova: edge, access, reason: "permission" },
      ]);
      const found = await deviceBuffer(t, device, window);
      if (access === READ) {
        inDevice.set(before.subarray(PAGE_SIZE - 100));
        t.equal("the bytes before it are in the device, none after", found, inDevice);
      } else {
        before.set(inDevice.subarray(0, 100), PAGE_SIZE - 100);
      }
      t.equal("the first page is as it should be", ramBytes(t, first!), before);
      t.equal("the second page is as it was", ramBytes(t, second!), after);
      await t.iommu.unmap(domain, iova, 2 * PAGE_SIZE);
    }
  });
  await noFaults(t);
});
