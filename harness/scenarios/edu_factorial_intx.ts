/**
 * The same work, with an interrupt that is a level.
 * @module
 */

import { edu, EduInterrupt, EduTiming } from "../../devices/edu/mod.ts";
import { PCI_COMMAND, PCI_COMMAND_INTX_DISABLE } from "../../devices/pci/spec.ts";
import { scenario, VIAS } from "../scenario.ts";
import { noFaults } from "./_faults.ts";

export default scenario("edu-factorial-intx", {
  title: "edu asserts INTA when a factorial is there, and holds it until the driver acknowledges",
  tags: ["edu", "interrupt"],
  vias: VIAS,
}, async (t) => {
  const { target, driver } = await t.plug(edu, {});
  await driver.setFactorialInterrupt("on");

  await t.step("asserted from the result to the acknowledgement", async () => {
    await driver.startFactorial(10);
    t.check("quiet while computing", !await target.intxAsserted());
    await t.clock.advance(EduTiming.FACTORIAL_MS);
    t.equal("10!", await driver.factorialResult(), 3_628_800);
    t.check("asserted", await target.intxAsserted());
    await t.clock.advance(1000);
    t.check("a level: still asserted a second later", await target.intxAsserted());
    await driver.acknowledgeInterrupt(EduInterrupt.FACTORIAL);
    t.check("quiet again", !await target.intxAsserted());
    t.equal("no message was sent", await target.takeInterrupts(0), 0);
  });

  await t.step("INTx Disable keeps it off the pin, not out of the status", async () => {
    const command = await target.configRead(PCI_COMMAND, 2);
    await target.configWrite(PCI_COMMAND, 2, command | PCI_COMMAND_INTX_DISABLE);
    await driver.startFactorial(3);
    await t.clock.advance(EduTiming.FACTORIAL_MS);
    t.check("the pin is quiet", !await target.intxAsserted());
    t.equal("the status says so", await driver.interruptStatus(), EduInterrupt.FACTORIAL);
    await target.configWrite(PCI_COMMAND, 2, command);
    t.check("asserted as soon as it may be", await target.intxAsserted());
    await driver.acknowledgeInterrupt(EduInterrupt.FACTORIAL);
    t.check("quiet again", !await target.intxAsserted());
  });
  await noFaults(t);
});
