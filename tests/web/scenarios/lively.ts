/**
 * Two devices that read, and fault, while mappings come and go, for some snapshots' time.
 * @module
 */

import { Access, edu, type Iova, PAGE_SIZE, scenario } from "../../../mod.ts";

const SECONDS = 2.5;
const SPARE = 0x40_0000 as Iova;

export default scenario("lively", {
  title: "Two devices read, fault, map and unmap for some seconds",
  tags: ["dashboard"],
  modes: ["remap"],
  vias: ["direct", "vfio-user", "qemu"],
}, async (t) => {
  const devices = [await t.plug(edu, {}), await t.plug(edu, {})];
  const pages = [
    await t.dmaBuffer(devices[0]!, PAGE_SIZE),
    await t.dmaBuffer(devices[1]!, PAGE_SIZE),
  ];
  const [page] = t.memory.allocatePages(1);
  const started = performance.now();
  for (let round = 0; performance.now() - started < SECONDS * 1000; round++) {
    const at = round % 2;
    const { driver, domain } = devices[at]!;
    const read = async (iova: Iova): Promise<void> => {
      await driver.dmaToDevice(iova, 0, 64);
      await t.clock.advance(100);
    };
    await read(pages[at]!.iova);
    if (round % 9 !== 0) continue;
    await t.iommu.map(domain!, SPARE, page!, PAGE_SIZE, Access.READ);
    await read(SPARE);
    await t.iommu.unmap(domain!, SPARE, PAGE_SIZE);
    await read(SPARE);
  }
  t.check("there was time", performance.now() > started);
});
