/**
 * The race that edu was made to teach: a driver that asks for the interrupt while
 * the device is about to finish must get it. The device clears the computing bit
 * first and looks at the interrupt bit then (rule 11).
 * @module
 */

import { edu, EduRegister, EduStatus, EduTiming } from "../../devices/edu/mod.ts";
import { scenario, VIAS } from "../scenario.ts";
import { noFaults } from "./_faults.ts";

export default scenario("edu-status-race", {
  title: "An interrupt asked for while edu computes comes; one asked for after the end does not",
  tags: ["edu", "interrupt"],
  vias: VIAS,
}, async (t) => {
  const { target, driver } = await t.plug(edu, {});
  await driver.enableMsi();
  const status = () => target.barRead(0, EduRegister.STATUS, 4);
  const almost = EduTiming.FACTORIAL_MS * 0.999;

  await t.step("asked for just before the end", async () => {
    await driver.startFactorial(5);
    await t.clock.advance(almost);
    await driver.setFactorialInterrupt("on");
    t.equal("computing", await status(), EduStatus.COMPUTING | EduStatus.RAISE_INTERRUPT);
    await t.clock.advance(EduTiming.FACTORIAL_MS - almost);
    t.equal("one message", await target.takeInterrupts(0), 1);
    await driver.acknowledgeInterrupt(0xffff_ffff);
  });

  await t.step("given up just before the end", async () => {
    await driver.startFactorial(5);
    await t.clock.advance(almost);
    await driver.setFactorialInterrupt("off");
    await t.clock.advance(EduTiming.FACTORIAL_MS - almost);
    t.equal("done", await status(), 0);
    t.equal("no message", await target.takeInterrupts(0), 0);
  });

  await t.step("asked for after the end", async () => {
    await driver.setFactorialInterrupt("on");
    await t.clock.advance(1000);
    t.equal("no message for what is over", await target.takeInterrupts(0), 0);
    t.equal("no interrupt status", await driver.interruptStatus(), 0);
  });

  await t.step("the computing bit is the device's alone", async () => {
    await target.barWrite(0, EduRegister.STATUS, 4, 0xffff_ffff);
    t.equal("cannot be set", await status(), EduStatus.RAISE_INTERRUPT);
    await driver.startFactorial(5);
    await target.barWrite(0, EduRegister.STATUS, 4, 0);
    t.equal("cannot be cleared", await status(), EduStatus.COMPUTING);
    await t.clock.advance(EduTiming.FACTORIAL_MS);
    t.equal("5!", await driver.factorialResult(), 120);
  });
  await noFaults(t);
});
