/**
 * INTx is a level, shared by everything in a function that has something to say.
 * @module
 */

import { PAGE_SIZE } from "../../core/address.ts";
import { edu, EduInterrupt, EduTiming } from "../../devices/edu/mod.ts";
import { scenario, VIAS } from "../scenario.ts";
import { noFaults } from "./_faults.ts";

export default scenario("edu-intx-level", {
  title:
    "INTA stays asserted until the last of several reasons is acknowledged, and MSI takes its place",
  tags: ["edu", "interrupt", "pci"],
  vias: VIAS,
}, async (t) => {
  const device = await t.plug(edu, {});
  const { driver, target } = device;
  const page = await t.dmaBuffer(device, PAGE_SIZE);
  const asserted = async (name: string, expected: boolean) => {
    t.equal(name, await target.intxAsserted(), expected);
  };

  await t.step("three reasons, acknowledged one by one", async () => {
    await driver.setFactorialInterrupt("on");
    await driver.startFactorial(4);
    await driver.dmaToDevice(page.iova, 0, PAGE_SIZE, "raise");
    await driver.raiseInterrupt(0x8000_0000);
    await t.clock.advance(EduTiming.DMA_MS);
    const all = 0x8000_0000 + EduInterrupt.DMA + EduInterrupt.FACTORIAL;
    t.equal("all three show", await driver.interruptStatus(), all);
    await asserted("asserted", true);
    await driver.acknowledgeInterrupt(EduInterrupt.FACTORIAL);
    await asserted("one acknowledged", true);
    await driver.acknowledgeInterrupt(0x8000_0000);
    await asserted("two acknowledged", true);
    await driver.acknowledgeInterrupt(0x10);
    await asserted("one that was not raised acknowledged", true);
    await driver.acknowledgeInterrupt(EduInterrupt.DMA);
    await asserted("all acknowledged", false);
  });

  await t.step("raising nothing asserts nothing", async () => {
    await driver.raiseInterrupt(0);
    await asserted("with nothing pending", false);
    t.equal("no status", await driver.interruptStatus(), 0);
  });

  await t.step("MSI takes over, and gives back", async () => {
    await driver.raiseInterrupt(0x2);
    await asserted("asserted", true);
    await driver.enableMsi();
    await asserted("not with MSI on", false);
    t.equal("no message for what was raised before", await target.takeInterrupts(0), 0);
    await driver.raiseInterrupt(0x4);
    t.equal("one for what is raised now", await target.takeInterrupts(0), 1);
    await driver.raiseInterrupt(0);
    t.equal("and one for nothing new, since bits are pending", await target.takeInterrupts(0), 1);
    await asserted("the pin stays out of it", false);
    await driver.disableMsi();
    await asserted("asserted again with MSI off", true);
    await driver.acknowledgeInterrupt(0x6);
    await asserted("acknowledged", false);
  });

  await t.step("another function has a pin of its own", async () => {
    const other = await t.plug(edu, {});
    await other.driver.raiseInterrupt(1);
    await asserted("quiet", false);
    t.check("the other's is asserted", await other.target.intxAsserted());
  });
  await noFaults(t);
});
