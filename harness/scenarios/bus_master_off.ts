/**
 * Bus Master Enable gates all that a function sends: DMA and messages (PCI 3.0, 6.2.2).
 * @module
 */

import { PAGE_SIZE } from "../../core/address.ts";
import { edu, EduInterrupt, EduTiming } from "../../devices/edu/mod.ts";
import { streamer, StreamerError, StreamerStatus } from "../../devices/streamer/mod.ts";
import { scenario, VIAS } from "../scenario.ts";
import { eduErrors, fillDevice } from "./_edu.ts";
import { noFaults } from "./_faults.ts";
import { setBusMaster } from "./_pci.ts";

export default scenario("bus-master-off", {
  title:
    "With bus mastering off a function moves no byte and sends no message; with it on again both work",
  tags: ["edu", "dma", "interrupt", "pci"],
  vias: VIAS,
}, async (t) => {
  await t.step("edu", async () => {
    const device = await t.plug(edu, {});
    const { driver, target } = device;
    await driver.enableMsi();
    const page = await t.dmaBuffer(device, PAGE_SIZE);
    const bytes = t.randomBytes(PAGE_SIZE);
    await fillDevice(t, device, page, bytes);
    const before = t.randomBytes(PAGE_SIZE);
    page.write(before);

    await setBusMaster(target, "off");
    await driver.dmaFromDevice(0, page.iova, PAGE_SIZE, "raise");
    await t.clock.advance(EduTiming.DMA_MS);
    t.check("the transfer ends", !await driver.dmaRunning());
    t.equal("not a byte has moved", page.read(), before);
    t.equal("no message", await target.takeInterrupts(0), 0);
    t.equal("though the status is set", await driver.interruptStatus(), EduInterrupt.DMA);
    await noFaults(t, "the access did not leave the function");
    const { dmaFaults, lastDmaError } = await eduErrors(device);
    t.equal("the device knows", dmaFaults, 1);
    t.equal("and why", (lastDmaError as { reason: string }).reason, "bus-master-off");
    t.equal("registers still answer", await driver.liveness(5), ~5 >>> 0);

    await setBusMaster(target, "on");
    t.equal("the message is lost, not late", await target.takeInterrupts(0), 0);
    await driver.acknowledgeInterrupt(EduInterrupt.DMA);
    await driver.dmaFromDevice(0, page.iova, PAGE_SIZE, "raise");
    await t.clock.advance(EduTiming.DMA_MS);
    t.equal("on again, every byte moves", page.read(), bytes);
    t.equal("and the message comes", await target.takeInterrupts(0), 1);
  });

  await t.step("turned off in mid-transfer", async () => {
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
    await driver.start(copy);
    await t.clock.advance(3);
    await setBusMaster(target, "off");
    const now = destination.read();
    await t.clock.advance(1000);
    t.equal("not a byte has moved since", destination.read(), now);
    t.equal("the device says so", await driver.outcome(), {
      status: StreamerStatus.FAULT,
      error: StreamerError.BUS_MASTER,
      bytesDone: 768,
    });
    t.equal("no message", await target.takeInterrupts(0), 0);

    await setBusMaster(target, "on");
    await driver.start(copy);
    await t.clock.advance(1000);
    t.equal("on again, every byte moves", destination.read(), source.read());
    t.equal("and the message comes", await target.takeInterrupts(0), 1);
    await driver.start(copy);
    await setBusMaster(target, "off");
    await destination.unmap();
    t.check("nothing is in flight that an unmap would wait for", !await driver.running());
  });
  await noFaults(t);
});
