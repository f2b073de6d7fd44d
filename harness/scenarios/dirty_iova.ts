/**
 * Dirty tracking by IOVA: what live migration of a device's domain asks for. Not via
 * `qemu`: there QEMU alone can ask for dirty pages.
 * @module
 */

import { PAGE_SIZE } from "../../core/address.ts";
import { edu } from "../../devices/edu/mod.ts";
import { streamer } from "../../devices/streamer/mod.ts";
import { scenario } from "../scenario.ts";
import { deviceReads, deviceWrites } from "./_edu.ts";
import { faulted, noFaults } from "./_faults.ts";

const PAGES = 64;

export default scenario("dirty-iova", {
  title: "Pages that devices write are reported by IOVA, each just once until it is written again",
  tags: ["dma", "iommu", "dirty"],
  modes: ["remap"],
}, async (t) => {
  const device = await t.plug(edu, {});
  const domain = device.domain!;
  const buffer = await t.dmaBuffer(device, PAGES * PAGE_SIZE);
  const outside = await t.dmaBuffer(device, PAGE_SIZE);
  const page = (index: number) => buffer.iova + index * PAGE_SIZE;
  const dirty = async (name: string, ...pages: readonly number[]) => {
    t.equal(name, (await t.iommu.takeDirtyPages(domain)).map(Number), pages.map(page));
  };

  await deviceWrites(t, device, page(1), 1);
  await dirty("nothing is reported before tracking is on");
  await t.iommu.startDirtyTracking(domain, buffer.iova, buffer.length);
  await dirty("nor what was written before it");

  await t.step("first round", async () => {
    await deviceWrites(t, device, page(40), PAGE_SIZE);
    await deviceWrites(t, device, page(3) + 7, 1);
    await deviceWrites(t, device, page(33) - 1, 2);
    await deviceWrites(t, device, page(PAGES) - 1, 1);
    await deviceWrites(t, device, outside.iova, PAGE_SIZE);
    await deviceWrites(t, device, page(20), 0);
    await dirty("the pages written, ascending, both sides of an edge", 3, 32, 33, 40, PAGES - 1);
    await dirty("the fetch has cleared them");
  });

  await t.step("second round", async () => {
    await deviceReads(t, device, page(0), PAGE_SIZE);
    buffer.write(t.randomBytes(PAGE_SIZE), 5 * PAGE_SIZE);
    await dirty("reads by a device and writes by the CPU dirty nothing");
    await deviceWrites(t, device, page(3) + 8, 1);
    await deviceWrites(t, device, page(3) + 9, 1);
    await dirty("a page that is written again is reported again", 3);
  });
  await noFaults(t);

  await t.step("a write that runs off the end of the mapping", async () => {
    await deviceWrites(t, device, page(PAGES) - 10, 20);
    await faulted(t, "faults there", [{
      endpoint: device.endpoint,
      iova: page(PAGES),
      access: 2,
      reason: "unmapped",
    }]);
    await dirty("dirties what it reached", PAGES - 1);
    await deviceWrites(t, device, page(PAGES), 20);
    t.equal("one that reaches nothing faults", (await t.faults()).length, 1);
    await dirty("and dirties nothing");
  });

  await t.step("another device of the domain, with DMA that takes its time", async () => {
    const engine = await t.plug(streamer, {}, { domain });
    await engine.driver.start({
      source: outside.iova,
      destination: page(10) + PAGE_SIZE / 2,
      length: PAGE_SIZE,
    });
    await t.clock.advance(4);
    await t.iommu.takeDirtyPages(domain);
    await t.clock.advance(1000);
    await dirty("what it wrote after a fetch in between is reported", 10, 11);
  });

  await t.step("another domain keeps books of its own", async () => {
    const stranger = await t.plug(edu, {});
    const same = await t.dmaBuffer(stranger, PAGE_SIZE, { iova: buffer.iova });
    await deviceWrites(t, stranger, same.iova, PAGE_SIZE);
    await dirty("its writes are not reported here");
  });
  await noFaults(t);
});
