/**
 * As many mappings as a large guest's NVMe or NIC driver holds. Not via `qemu`: VFIO's
 * type 1 takes 65 535 mappings for a container, and each would be a command to the guest.
 * @module
 */

import { Access, type Iova, PAGE_SIZE } from "../../core/address.ts";
import { edu } from "../../devices/edu/mod.ts";
import { scenario } from "../scenario.ts";
import { deviceReads, deviceWrites } from "./_edu.ts";
import { faulted, noFaults } from "./_faults.ts";
import { ramBytes } from "./_ram.ts";

const MAPPINGS = 65_536;
/** Fewer than mappings: each is reached at many IOVAs. */
const PAGES = 512;
const TRANSFERS = 1_000;
const IOVA = 2 ** 40;

export default scenario("many-mappings", {
  title:
    "A device with 65 536 mappings reaches the right page through each, and none once all are unmapped",
  tags: ["dma", "iommu", "scale"],
  modes: ["remap"],
  memoryMib: 4,
  timeoutMs: 60_000,
}, async (t) => {
  const device = await t.plug(edu, { dmaMask: 2 ** 52 - 1 });
  const domain = device.domain!;
  const window = await t.dmaBuffer(device, PAGE_SIZE);
  const pages = t.memory.allocatePages(PAGES);
  /** What each page should hold. */
  const model = pages.map((page) => {
    const bytes = t.randomBytes(PAGE_SIZE);
    t.memory.cpu.write(page, bytes);
    return bytes;
  });
  /** Which page is behind each mapping. */
  const behind = Array.from({ length: MAPPINGS }, () => t.random(PAGES));

  await t.step(`${MAPPINGS} mappings`, async () => {
    for (const [index, page] of behind.entries()) {
      const iova = IOVA + index * PAGE_SIZE as Iova;
      await t.iommu.map(domain, iova, pages[page]!, PAGE_SIZE, Access.READ_WRITE);
      t.progress(index, MAPPINGS + TRANSFERS);
    }
  });

  await t.step(`${TRANSFERS} random transfers`, async () => {
    let wrong = 0;
    for (let done = 0; done < TRANSFERS; done++) {
      const count = 1 + t.random(PAGE_SIZE);
      const from = t.random(MAPPINGS * PAGE_SIZE - count + 1);
      const to = t.random(MAPPINGS * PAGE_SIZE - count + 1);
      const expected = new Uint8Array(count);
      eachByte(from, count, (mapping, offset, at) => {
        expected[at] = model[behind[mapping]!]![offset]!;
      });
      await deviceReads(t, device, IOVA + from, count);
      await deviceWrites(t, device, window.iova, count);
      if (!window.read(0, count).every((byte, at) => byte === expected[at])) wrong++;
      await deviceWrites(t, device, IOVA + to, count);
      eachByte(to, count, (mapping, offset, at) => {
        model[behind[mapping]!]![offset] = expected[at]!;
      });
      t.progress(MAPPINGS + done, MAPPINGS + TRANSFERS);
    }
    t.equal("reads that brought other bytes than the mapped ones", wrong, 0);
    const found = pages.filter((page, index) =>
      ramBytes(t, page).some((byte, at) => byte !== model[index]![at])
    );
    t.equal("pages that hold other bytes than those written", found.map(Number), []);
    await noFaults(t);
  });

  await t.step("all unmapped in one call", async () => {
    const length = MAPPINGS * PAGE_SIZE;
    t.equal("bytes unmapped", await t.iommu.unmap(domain, IOVA as Iova, length), length);
    for (let sample = 0; sample < 64; sample++) {
      // The first and the last are looked at in any case.
      const mapping = sample < 2 ? sample * (MAPPINGS - 1) : t.random(MAPPINGS);
      const iova = IOVA + mapping * PAGE_SIZE + t.random(PAGE_SIZE);
      await deviceReads(t, device, iova, 1);
      await faulted(t, `sample ${sample} is gone`, [
        { endpoint: device.endpoint, iova, access: Access.READ, reason: "unmapped" },
      ]);
    }
    await deviceReads(t, device, window.iova, PAGE_SIZE);
    await noFaults(t, "a buffer elsewhere is still there");
  });
});

/** Where each byte of a range lies: mapping, offset in it, and position in the range. */
function eachByte(
  start: number,
  count: number,
  visit: (mapping: number, offset: number, at: number) => void,
): void {
  for (let at = 0; at < count; at++) {
    const address = start + at;
    visit(Math.floor(address / PAGE_SIZE), address % PAGE_SIZE, at);
  }
}
