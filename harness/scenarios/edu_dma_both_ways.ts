/**
 * The plainest transfer there is, into the device and out of it.
 * @module
 */

import { PAGE_SIZE } from "../../core/address.ts";
import { edu, EduInterrupt, EduTiming } from "../../devices/edu/mod.ts";
import { scenario, VIAS } from "../scenario.ts";
import { noFaults } from "./_faults.ts";

export default scenario("edu-dma-both-ways", {
  title:
    "4 KiB go into edu and come out again unchanged, not before 100 ms, with one interrupt each",
  tags: ["edu", "dma", "interrupt"],
  vias: VIAS,
}, async (t) => {
  const device = await t.plug(edu, {});
  const { driver, target } = device;
  await driver.enableMsi();
  const source = await t.dmaBuffer(device, PAGE_SIZE);
  const destination = await t.dmaBuffer(device, PAGE_SIZE);
  const bytes = t.randomBytes(PAGE_SIZE);
  const old = t.randomBytes(PAGE_SIZE);
  source.write(bytes);
  destination.write(old);

  const oneInterrupt = async () => {
    t.equal("one message", await target.takeInterrupts(0), 1);
    t.equal("it says why", await driver.interruptStatus(), EduInterrupt.DMA);
    await driver.acknowledgeInterrupt(EduInterrupt.DMA);
  };

  await t.step("into the device", async () => {
    await driver.dmaToDevice(source.iova, 0, PAGE_SIZE, "raise");
    t.check("running", await driver.dmaRunning());
    await t.clock.advance(EduTiming.DMA_MS);
    t.check("ended", !await driver.dmaRunning());
    await oneInterrupt();
    t.equal("the source is as it was", source.read(), bytes);
  });

  await t.step("out of the device", async () => {
    // The device has its own copy by now, so what the source holds is of no matter.
    source.write(new Uint8Array(PAGE_SIZE));
    await driver.dmaFromDevice(0, destination.iova, PAGE_SIZE, "raise");
    await t.clock.advance(EduTiming.DMA_MS - 1);
    t.check("still running after 99 ms", await driver.dmaRunning());
    t.equal("not a byte has arrived", destination.read(), old);
    t.equal("no message", await target.takeInterrupts(0), 0);
    await t.clock.advance(1);
    t.check("ended after 100 ms", !await driver.dmaRunning());
    t.equal("every byte has arrived", destination.read(), bytes);
    await oneInterrupt();
  });

  await t.step("a piece of it, to another place", async () => {
    await driver.dmaFromDevice(0x123, destination.iova + 0x345, 0x77);
    await t.clock.advance(EduTiming.DMA_MS);
    const expected = bytes.slice();
    expected.set(bytes.subarray(0x123, 0x123 + 0x77), 0x345);
    t.equal("just that piece has changed", destination.read(), expected);
    t.equal("no message was asked for", await target.takeInterrupts(0), 0);
  });
  await noFaults(t);
});
