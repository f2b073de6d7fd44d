/**
 * Mappings need no page alignment: any range, to any place, of one byte and more. Not
 * via `qemu`: VFIO maps whole pages.
 * @module
 */

import { Access, type Gpa, type Iova, PAGE_SIZE } from "../../core/address.ts";
import { edu } from "../../devices/edu/mod.ts";
import { scenario } from "../scenario.ts";
import { deviceBuffer, deviceReads, deviceWrites, fillDevice } from "./_edu.ts";
import { faulted, noFaults } from "./_faults.ts";
import { ramBytes } from "./_ram.ts";

const IOVA = 0x12_3457;

export default scenario("byte-granular", {
  title: "4 KiB of IOVA pieced together from mappings of 1 to 100 bytes read and write as one",
  tags: ["dma", "iommu"],
  modes: ["remap"],
}, async (t) => {
  const device = await t.plug(edu, {});
  const domain = device.domain!;
  const window = await t.dmaBuffer(device, PAGE_SIZE);
  const pages = t.memory.allocatePages(4);
  for (const page of pages) t.memory.cpu.write(page, t.randomBytes(PAGE_SIZE));
  const ram = pages.map((page) => ramBytes(t, page));

  /** Where each byte of the range lies: piece after piece, each on another page than the last. */
  const places: { readonly page: number; readonly offset: number }[] = [];
  const used = [0, 0, 0, 0];
  let pieces = 0;
  await t.step("piece by piece", async () => {
    while (places.length < PAGE_SIZE) {
      const page = pieces % pages.length;
      const left = Math.min(PAGE_SIZE - places.length, PAGE_SIZE - used[page]!);
      const length = Math.min(left, 1 + t.random(100));
      const offset = used[page]!;
      const gpa = pages[page]! + offset as Gpa;
      await t.iommu.map(domain, IOVA + places.length as Iova, gpa, length, Access.READ_WRITE);
      for (let i = 0; i < length; i++) places.push({ page, offset: offset + i });
      // A gap after each piece, so that no two of them could be merged into one.
      used[page] = Math.min(PAGE_SIZE - 1, offset + length + t.random(10));
      pieces++;
    }
    t.check("at least 40 pieces", pieces >= 40, `${pieces}`);
  });

  await t.step("read as one", async () => {
    await deviceReads(t, device, IOVA, PAGE_SIZE);
    const expected = Uint8Array.from(places, ({ page, offset }) => ram[page]![offset]!);
    t.equal("the device has the pieces in order", await deviceBuffer(t, device, window), expected);
  });

  await t.step("written as one", async () => {
    const bytes = t.randomBytes(PAGE_SIZE);
    await fillDevice(t, device, window, bytes);
    await deviceWrites(t, device, IOVA, PAGE_SIZE);
    // In order, as the device writes: should two pieces share a byte the later one stays.
    for (const [at, { page, offset }] of places.entries()) ram[page]![offset] = bytes[at]!;
    for (const [index, page] of pages.entries()) {
      t.equal(`page ${index}, gaps and all`, ramBytes(t, page), ram[index]!);
    }
  });
  await noFaults(t);

  await t.step("a byte on either side is not mapped", async () => {
    const fault = { endpoint: device.endpoint, access: Access.READ, reason: "unmapped" };
    await deviceReads(t, device, IOVA - 1, 2);
    await faulted(t, "before", [{ ...fault, iova: IOVA - 1 }]);
    await deviceReads(t, device, IOVA + PAGE_SIZE - 1, 2);
    await faulted(t, "behind", [{ ...fault, iova: IOVA + PAGE_SIZE }]);
  });
});
