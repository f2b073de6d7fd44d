/**
 * A reset ends everything: nothing arrives after it, and the device is as new.
 * @module
 */

import { PAGE_SIZE } from "../../core/address.ts";
import { edu, EduRegister, EduTiming } from "../../devices/edu/mod.ts";
import { streamer, StreamerStatus } from "../../devices/streamer/mod.ts";
import { scenario, VIAS } from "../scenario.ts";
import { deviceBuffer, fillDevice } from "./_edu.ts";
import { noFaults } from "./_faults.ts";
import { resetAndRestore } from "./_pci.ts";

export default scenario("reset-mid-transfer", {
  title: "A function that is reset in mid-transfer moves no further byte, and works again after",
  tags: ["edu", "dma", "reset"],
  vias: VIAS,
}, async (t) => {
  await t.step("edu, at 50 of 100 ms", async () => {
    const device = await t.plug(edu, {});
    const { driver, target } = device;
    await driver.enableMsi();
    const page = await t.dmaBuffer(device, PAGE_SIZE);
    const bytes = t.randomBytes(PAGE_SIZE);
    await fillDevice(t, device, page, t.randomBytes(PAGE_SIZE));
    page.write(bytes);
    await driver.startFactorial(12);
    await driver.setFactorialInterrupt("on");
    await driver.dmaFromDevice(0, page.iova, PAGE_SIZE, "raise");
    await driver.raiseInterrupt(0x10);
    await target.takeInterrupts(0);
    await t.clock.advance(EduTiming.DMA_MS / 2);
    await target.takeInterrupts(0);

    await target.reset();
    t.equal("nobody answers before the BARs are back", await driver.identification(), 0xffff_ffff);
    await t.clock.advance(1000);
    t.equal("not a byte has arrived", page.read(), bytes);
    t.equal("nor a message", await target.takeInterrupts(0), 0);
    t.check("the pin is quiet", !await target.intxAsserted());
  });

  await t.step("edu, with its BARs and its command register restored", async () => {
    const device = await t.plug(edu, {});
    const { driver, target } = device;
    const page = await t.dmaBuffer(device, PAGE_SIZE);
    await fillDevice(t, device, page, t.randomBytes(PAGE_SIZE));
    await driver.dmaFromDevice(0, page.iova, PAGE_SIZE, "raise");
    await driver.raiseInterrupt(0x10);
    await driver.startFactorial(12);
    await t.clock.advance(EduTiming.FACTORIAL_MS / 2);
    t.check("the pin is asserted", await target.intxAsserted());
    await resetAndRestore(target);
    t.check("the pin is quiet", !await target.intxAsserted());
    t.equal("interrupt status", await driver.interruptStatus(), 0);
    t.check("no transfer runs", !await driver.dmaRunning());
    t.check("nothing is computed", !await driver.factorialRunning());
    for (const name of ["DMA_SOURCE", "DMA_DESTINATION", "DMA_COUNT", "DMA_COMMAND"] as const) {
      t.equal(name, await target.barRead64(0, EduRegister[name]), 0n);
    }
    await t.clock.advance(1000);
    t.equal("the factorial is gone", await driver.factorialResult(), 0);
    t.equal("the buffer is empty", await deviceBuffer(t, device, page), new Uint8Array(PAGE_SIZE));
    const bytes = t.randomBytes(PAGE_SIZE);
    await fillDevice(t, device, page, bytes);
    page.write(new Uint8Array(PAGE_SIZE));
    t.equal("and it works again", await deviceBuffer(t, device, page), bytes);
  });

  await t.step("edu, started anew before the old transfer was due", async () => {
    const device = await t.plug(edu, {});
    const { driver, target } = device;
    const page = await t.dmaBuffer(device, PAGE_SIZE);
    const bytes = t.randomBytes(PAGE_SIZE);
    await driver.dmaToDevice(page.iova, 0, PAGE_SIZE);
    await t.clock.advance(EduTiming.DMA_MS / 2);
    await resetAndRestore(target);
    await driver.enableMsi();
    page.write(bytes);
    await driver.dmaToDevice(page.iova, 0, PAGE_SIZE, "raise");
    await t.clock.advance(EduTiming.DMA_MS / 2);
    t.check("the old one's time ends nothing", await driver.dmaRunning());
    t.equal("and sends no message", await target.takeInterrupts(0), 0);
    await t.clock.advance(EduTiming.DMA_MS / 2);
    t.check("the new one ends in its own", !await driver.dmaRunning());
    t.equal("with its message", await target.takeInterrupts(0), 1);
    page.write(new Uint8Array(PAGE_SIZE));
    t.equal("and its bytes", await deviceBuffer(t, device, page), bytes);
  });

  for (const policy of ["finish", "abort"] as const) {
    await t.step(`streamer, with its pages pinned, ${policy}`, async () => {
      const device = await t.plug(streamer, {});
      const { driver, target } = device;
      await driver.enableMsi();
      const source = await t.dmaBuffer(device, PAGE_SIZE);
      const destination = await t.dmaBuffer(device, PAGE_SIZE);
      source.write(t.randomBytes(PAGE_SIZE));
      const copy = {
        source: source.iova,
        destination: destination.iova,
        length: PAGE_SIZE,
        interrupt: "raise",
      } as const;
      await driver.setOnRevoke(policy);
      await driver.start(copy);
      await t.clock.advance(5);
      await resetAndRestore(target);
      const now = destination.read();
      t.equal(
        "what had moved is there",
        destination.read(0, 5 * 256),
        source.read(0, 5 * 256),
      );
      await t.clock.advance(1000);
      t.equal("not a byte has moved since", destination.read(), now);
      t.equal("no message", await target.takeInterrupts(0), 0);
      t.equal("idle", (await driver.outcome()).status, StreamerStatus.IDLE);

      await driver.start(copy);
      await t.clock.advance(1);
      await resetAndRestore(target);
      await t.step("nothing is in flight that an unmap would wait for", () => source.unmap());
      t.equal("idle again", (await driver.outcome()).status, StreamerStatus.IDLE);
    });
  }
  await noFaults(t);
});
