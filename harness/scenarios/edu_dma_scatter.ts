/**
 * 64 KiB through a device with a buffer of 4 KiB, in pieces of odd sizes at odd
 * places. Behind an IOMMU no two pages of the buffers are neighbours in RAM.
 * @module
 */

import { PAGE_SIZE } from "../../core/address.ts";
import { edu } from "../../devices/edu/mod.ts";
import { scenario, VIAS } from "../scenario.ts";
import { deviceReads, deviceWrites } from "./_edu.ts";
import { noFaults } from "./_faults.ts";

const PAGES = 16;
const LENGTH = PAGES * PAGE_SIZE;
/** The bytes go to here, so that every page edge falls elsewhere than in the source. */
const SHIFT = 777;

export default scenario("edu-dma-scatter", {
  title:
    "64 KiB over 16 scattered pages arrive byte by byte, and their neighbours stay as they were",
  tags: ["edu", "dma", "iommu"],
  vias: VIAS,
}, async (t) => {
  const device = await t.plug(edu, {});
  const source = await t.dmaBuffer(device, LENGTH);
  const destination = await t.dmaBuffer(device, LENGTH + 2 * PAGE_SIZE);
  const bytes = t.randomBytes(LENGTH);
  const expected = t.randomBytes(destination.length);
  source.write(bytes);
  destination.write(expected);
  const start = PAGE_SIZE + SHIFT;
  expected.set(bytes, start);

  if (t.mode !== "identity") {
    const steps = source.pages.slice(1).map((page, i) => page - source.pages[i]!);
    t.check(
      "the pages lie in no order",
      steps.some((step) => step < 0) && steps.some((step) => step > PAGE_SIZE),
    );
    const all = [...source.pages, ...destination.pages];
    t.check(
      "below and above 4 GiB",
      all.some((page) => page < 2 ** 32) && all.some((page) => page >= 2 ** 32),
    );
  }

  await t.step("piece by piece, in and out", async () => {
    let transfers = 0;
    let straddling = 0;
    for (let at = 0; at < LENGTH;) {
      const count = Math.min(LENGTH - at, 2049 + t.random(2048));
      const offset = t.random(PAGE_SIZE - count + 1);
      await deviceReads(t, device, source.iova + at, count, offset);
      await deviceWrites(t, device, destination.iova + start + at, count, offset);
      if (Math.floor(at / PAGE_SIZE) !== Math.floor((at + count - 1) / PAGE_SIZE)) straddling++;
      transfers++;
      at += count;
      t.progress(at, LENGTH);
    }
    t.check("at least 16 pieces", transfers >= 16, `${transfers}`);
    t.check("some straddle a page edge", straddling > 0);
  });

  await t.step("every page of RAM holds what it should", () => {
    for (const [index, page] of destination.pages.entries()) {
      const found = new Uint8Array(PAGE_SIZE);
      t.memory.cpu.read(page, found);
      const wanted = expected.subarray(index * PAGE_SIZE, (index + 1) * PAGE_SIZE);
      t.equal(`page ${index}`, found, wanted);
    }
    t.equal("the source is as it was", source.read(), bytes);
  });
  await noFaults(t);
});
