/**
 * A device with 65 536 mappings and ten thousand faults, made while the page looks on.
 * @module
 */

import { Access, type Iova, PAGE_SIZE, scenario, streamer } from "../../../mod.ts";

/** Mappings that are there at the end. */
export const MAPPINGS = 65_536;
/** Faults that happen. */
export const FAULTS = 10_000;

const FIRST = 0x4000_0000;

export default scenario("crowded", {
  title: "65 536 mappings and 10 000 faults",
  tags: ["dashboard", "scale"],
  modes: ["remap"],
  vias: ["direct"],
  timeoutMs: 60_000,
}, async (t) => {
  const { driver, domain } = await t.plug(streamer, {});
  const [page] = t.memory.allocatePages(1);
  for (let i = 0; i < MAPPINGS; i++) {
    // With holes between them, so that no two become one.
    const iova = FIRST + i * 2 * PAGE_SIZE as Iova;
    await t.iommu.map(domain!, iova, page!, PAGE_SIZE, Access.READ_WRITE);
    if (i % 256 === 0) t.progress(i, MAPPINGS + FAULTS);
  }
  for (let i = 0; i < FAULTS; i++) {
    const hole = FIRST + (i * 2 + 1) * PAGE_SIZE;
    await driver.start({ source: hole, destination: FIRST, length: 64 });
    await t.clock.advance(1);
    if (i % 256 === 0) t.progress(MAPPINGS + i, MAPPINGS + FAULTS);
  }
  t.check("all are there", true);
});
