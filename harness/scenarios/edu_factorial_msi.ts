/**
 * Work in the background that ends in a message.
 * @module
 */

import { edu, EduInterrupt, EduTiming } from "../../devices/edu/mod.ts";
import { scenario, VIAS } from "../scenario.ts";
import { noFaults } from "./_faults.ts";

/** n and n! modulo 2^32. */
const FACTORIALS: readonly (readonly [n: number, result: number])[] = [
  [0, 1],
  [1, 1],
  [5, 120],
  [12, 479_001_600],
  [13, 1_932_053_504],
  [20, 2_192_834_560],
  [33, 2_147_483_648],
  [34, 0],
  [0xffff_ffff, 0],
];

export default scenario("edu-factorial-msi", {
  title:
    "edu computes factorials modulo 2^32, and sends just one MSI message for each when asked to",
  tags: ["edu", "interrupt"],
  vias: VIAS,
}, async (t) => {
  const { target, driver } = await t.plug(edu, {});
  await driver.enableMsi();

  await t.step("without the interrupt there is no message", async () => {
    await driver.startFactorial(6);
    t.check("computing", await driver.factorialRunning());
    t.equal("the operand shows meanwhile", await driver.factorialResult(), 6);
    await driver.startFactorial(7);
    t.equal("a second operand is ignored meanwhile", await driver.factorialResult(), 6);
    await t.clock.advance(EduTiming.FACTORIAL_MS);
    t.check("done", !await driver.factorialRunning());
    t.equal("6!", await driver.factorialResult(), 720);
    t.equal("no message", await target.takeInterrupts(0), 0);
    t.equal("no interrupt status", await driver.interruptStatus(), 0);
  });

  await t.step("with it, one message for each result", async () => {
    await driver.setFactorialInterrupt("on");
    for (const [n, result] of FACTORIALS) {
      await driver.startFactorial(n);
      t.equal(`no message before ${n}! is there`, await target.takeInterrupts(0), 0);
      await t.clock.advance(EduTiming.FACTORIAL_MS);
      t.equal(`${n}!`, await driver.factorialResult(), result);
      t.equal(`one message for ${n}!`, await target.takeInterrupts(0), 1);
      t.equal(`it says why`, await driver.interruptStatus(), EduInterrupt.FACTORIAL);
      await driver.acknowledgeInterrupt(EduInterrupt.FACTORIAL);
      t.equal("acknowledged", await driver.interruptStatus(), 0);
    }
    t.check("the INTx pin stays out of it", !await target.intxAsserted());
  });
  await noFaults(t);
});
