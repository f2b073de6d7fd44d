/**
 * Dirty tracking by GPA: what live migration of a guest's RAM asks for. Not via `qemu`:
 * there QEMU alone can ask for dirty pages.
 * @module
 */

import { type Gpa, PAGE_SIZE } from "../../core/address.ts";
import { edu } from "../../devices/edu/mod.ts";
import { streamer } from "../../devices/streamer/mod.ts";
import { scenario } from "../scenario.ts";
import { deviceReads, deviceWrites } from "./_edu.ts";
import { noFaults } from "./_faults.ts";

const PAGES = 32;

export default scenario("dirty-gpa", {
  title:
    "Pages of RAM that devices or CPUs write are reported by GPA, each just once until written again",
  tags: ["dma", "dirty"],
}, async (t) => {
  const device = await t.plug(edu, {});
  const engine = await t.plug(
    streamer,
    {},
    device.domain === null ? {} : { domain: device.domain },
  );
  const buffer = await t.dmaBuffer(device, PAGES * PAGE_SIZE);
  const at = (index: number) => buffer.iova + index * PAGE_SIZE;
  const dirty = async (name: string, ...indexes: readonly number[]) => {
    const expected = indexes.map((index) => Number(buffer.pages[index])).sort((a, b) => a - b);
    t.equal(name, (await t.memory.takeDirtyPages()).map(Number), expected);
  };

  await deviceWrites(t, device, at(1), 1);
  await dirty("nothing is reported before tracking is on");
  await t.memory.startDirtyTracking();
  await dirty("nor what was written before it");

  await t.step("first round", async () => {
    await deviceWrites(t, device, at(7), PAGE_SIZE);
    await deviceWrites(t, device, at(20) - 1, 2);
    t.memory.cpu.writeU8(buffer.pages[3]! + 9 as Gpa, 1);
    await deviceWrites(t, device, at(9), 0);
    await dirty("the pages written, by whomever", 3, 7, 19, 20);
    await dirty("the fetch has cleared them");
  });

  await t.step("second round", async () => {
    await deviceReads(t, device, at(7), PAGE_SIZE);
    buffer.read();
    await dirty("reads dirty nothing");
    await deviceWrites(t, device, at(7), 1);
    await deviceWrites(t, device, at(7) + 5, 1);
    await dirty("a page that is written again is reported again", 7);
  });

  await t.step("DMA that takes its time", async () => {
    buffer.write(t.randomBytes(2048));
    await engine.driver.start({ source: at(0), destination: at(11) + 100, length: 2048 });
    await t.clock.advance(4);
    await t.memory.takeDirtyPages();
    await t.clock.advance(1000);
    t.equal("the bytes are there", buffer.read(11 * PAGE_SIZE + 100, 2048), buffer.read(0, 2048));
    await dirty("what it wrote after a fetch in between is reported", 11);
  });
  await noFaults(t);
});
