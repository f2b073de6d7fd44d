/**
 * One transfer after the other, and the exact number of messages.
 * @module
 */

import { PAGE_SIZE } from "../../core/address.ts";
import { edu, EduInterrupt, EduTiming } from "../../devices/edu/mod.ts";
import { scenario, VIAS } from "../scenario.ts";
import { noFaults } from "./_faults.ts";

export default scenario("edu-back-to-back", {
  title:
    "Each transfer that asks for it sends one message, no more and no less, acknowledged or not",
  tags: ["edu", "dma", "interrupt"],
  vias: VIAS,
}, async (t) => {
  const device = await t.plug(edu, {});
  const { driver, target } = device;
  await driver.enableMsi();
  const source = await t.dmaBuffer(device, PAGE_SIZE);
  const destination = await t.dmaBuffer(device, PAGE_SIZE);
  source.write(t.randomBytes(PAGE_SIZE));

  await t.step("20 transfers, every third without an interrupt", async () => {
    for (let i = 0; i < 20; i++) {
      const interrupt = i % 3 === 0 ? "none" : "raise";
      if (i % 2 === 0) await driver.dmaToDevice(source.iova, 0, PAGE_SIZE, interrupt);
      else await driver.dmaFromDevice(0, destination.iova, PAGE_SIZE, interrupt);
      await t.clock.advance(EduTiming.DMA_MS);
    }
    // None was acknowledged: a message is sent all the same (rule 12).
    t.equal("13 messages", await target.takeInterrupts(0), 13);
    t.equal("they are taken", await target.takeInterrupts(0), 0);
    t.equal("the bytes are there", destination.read(), source.read());
    await driver.acknowledgeInterrupt(EduInterrupt.DMA);
  });

  await t.step("a command while a transfer runs is no second transfer", async () => {
    const before = destination.read();
    await driver.dmaToDevice(source.iova, 0, PAGE_SIZE, "raise");
    await t.clock.advance(EduTiming.DMA_MS / 2);
    await driver.dmaFromDevice(0, destination.iova + 1, 8, "raise");
    await t.clock.advance(EduTiming.DMA_MS / 2);
    t.equal("one message", await target.takeInterrupts(0), 1);
    await t.clock.advance(1000);
    t.equal("and no other", await target.takeInterrupts(0), 0);
    t.equal("nothing was written", destination.read(), before);
  });

  await t.step("two started at the instant at which one ends", async () => {
    for (let i = 0; i < 2; i++) {
      await driver.dmaFromDevice(0, destination.iova, PAGE_SIZE, "raise");
      await t.clock.advance(EduTiming.DMA_MS);
      t.check(`transfer ${i} has ended`, !await driver.dmaRunning());
    }
    t.equal("two messages", await target.takeInterrupts(0), 2);
  });
  await noFaults(t);
});
