/**
 * Live migration: edu moves to another home in the midst of its work. With pre-copy it goes
 * on working, and dirtying pages, while what it has is copied. Not via `qemu`: there
 * QEMU alone could ask for it.
 * @module
 */

import { PAGE_SIZE } from "../../core/address.ts";
import {
  edu,
  EDU_IDENTIFICATION,
  EduInterrupt,
  EduRegister,
  EduTiming,
} from "../../devices/edu/mod.ts";
import { PCI_BASE_ADDRESS_0, PCI_COMMAND } from "../../devices/pci/spec.ts";
import { scenario, type ScenarioContext } from "../scenario.ts";
import { deviceBuffer, deviceReads, deviceWrites, eduErrors, fillDevice } from "./_edu.ts";
import { faulted, noFaults } from "./_faults.ts";

/** Parts of a computation or a transfer: before the device moves, after it, and the last of it. */
const BEFORE = 0.4, AFTER = 0.599, LAST = 0.001;

/** Moves the device by one of the two ways, and tells what went on. */
type Move = (
  t: ScenarioContext,
  device: Parameters<ScenarioContext["migrate"]>[0],
) => Promise<void>;

const WAYS: readonly (readonly [name: string, move: Move])[] = [
  ["stop-and-copy", (t, device) => t.migrate(device)],
  ["pre-copy", (t, device) => t.migrate(device, { preCopy: () => {} })],
];

export default scenario("edu-migrate", {
  title:
    "edu that moves to another process in mid-computation or mid-DMA ends it there, on time and with its interrupt",
  tags: ["edu", "dma", "interrupt", "migration", "dirty"],
}, async (t) => {
  for (const [way, move] of WAYS) {
    await t.step(`${way}, in mid-computation`, async () => {
      const device = await t.plug(edu, {});
      const { driver, target } = device;
      await driver.enableMsi();
      await driver.setFactorialInterrupt("on");
      await driver.startFactorial(10);
      await t.clock.advance(EduTiming.FACTORIAL_MS * BEFORE);
      const registers = async () => [
        await target.configRead(PCI_COMMAND, 2),
        await target.configRead(PCI_BASE_ADDRESS_0, 4),
        await driver.identification(),
        await driver.liveness(0x1234),
      ];
      const before = await registers();
      await move(t, device);
      t.equal("registers and configuration are as they were", await registers(), before);
      t.check("it computes", await driver.factorialRunning());
      await t.clock.advance(EduTiming.FACTORIAL_MS * AFTER);
      t.check("until its time", await driver.factorialRunning());
      t.equal("no message yet", await target.takeInterrupts(0), 0);
      await t.clock.advance(EduTiming.FACTORIAL_MS * LAST);
      t.equal("10!", await driver.factorialResult(), 3_628_800);
      t.equal("one message", await target.takeInterrupts(0), 1);
      t.equal("it says why", await driver.interruptStatus(), EduInterrupt.FACTORIAL);
    });

    await t.step(`${way}, in mid-DMA`, async () => {
      const device = await t.plug(edu, {});
      const { driver, target } = device;
      await driver.enableMsi();
      const page = await t.dmaBuffer(device, 2 * PAGE_SIZE);
      const bytes = t.randomBytes(PAGE_SIZE);
      await fillDevice(t, device, page, bytes);
      const before = t.randomBytes(2 * PAGE_SIZE);
      page.write(before);
      await driver.dmaFromDevice(0, page.iova + 100, PAGE_SIZE, "raise");
      await t.clock.advance(EduTiming.DMA_MS * BEFORE);
      await move(t, device);
      t.check("the transfer runs", await driver.dmaRunning());
      await t.clock.advance(EduTiming.DMA_MS * AFTER);
      t.equal("not a byte has moved", page.read(), before);
      await t.clock.advance(EduTiming.DMA_MS * LAST);
      before.set(bytes, 100);
      t.equal("every byte is there", page.read(), before);
      t.check("it has ended", !await driver.dmaRunning());
      t.equal("one message", await target.takeInterrupts(0), 1);
      await driver.acknowledgeInterrupt(EduInterrupt.DMA);

      await deviceReads(t, device, page.iova, PAGE_SIZE);
      await deviceWrites(t, device, page.iova + PAGE_SIZE, PAGE_SIZE);
      before.copyWithin(PAGE_SIZE, 0, PAGE_SIZE);
      t.equal("and it goes on working", page.read(), before);
    });
  }
  await noFaults(t);

  await t.step("interrupts that wait move along", async () => {
    const message = await t.plug(edu, {});
    await message.driver.enableMsi();
    await message.driver.raiseInterrupt(1);
    await message.driver.raiseInterrupt(2);
    const pin = await t.plug(edu, {});
    await pin.driver.raiseInterrupt(4);
    for (const device of [message, pin]) await t.migrate(device);
    t.equal("messages that nobody took", await message.target.takeInterrupts(0), 2);
    t.equal("and no other", await message.target.takeInterrupts(0), 0);
    t.check("the pin is asserted", await pin.target.intxAsserted());
    await pin.driver.acknowledgeInterrupt(4);
    t.check("until it is acknowledged", !await pin.target.intxAsserted());
  });

  await t.step("pages written during pre-copy", async () => {
    const device = await t.plug(edu, {});
    const pages = 8;
    const buffer = await t.dmaBuffer(device, pages * PAGE_SIZE);
    const at = (page: number) => buffer.iova + page * PAGE_SIZE;
    const dirty = async (name: string, ...expected: readonly number[]) => {
      const gpas = expected.map((page) => Number(buffer.pages[page])).sort((a, b) => a - b);
      t.equal(`${name}, by GPA`, (await t.memory.takeDirtyPages()).map(Number), gpas);
      if (device.domain === null) return;
      const iovas = (await t.iommu.takeDirtyPages(device.domain)).map(Number);
      t.equal(`${name}, by IOVA`, iovas, expected.map(at));
    };
    await t.memory.startDirtyTracking();
    if (device.domain !== null) {
      await t.iommu.startDirtyTracking(device.domain, buffer.iova, buffer.length);
    }
    await t.migrate(device, {
      preCopy: async () => {
        await deviceWrites(t, device, at(1), 1);
        await deviceWrites(t, device, at(5) - 1, 2);
        await dirty("the first round", 1, 4, 5);
        await dirty("each is told once");
        // This one is found only when the device has stopped.
        await deviceWrites(t, device, at(3), PAGE_SIZE);
        await device.driver.dmaFromDevice(0, at(6), 16);
        await t.clock.advance(EduTiming.DMA_MS / 2);
      },
    });
    await dirty("the last round", 3);
    await t.clock.advance(EduTiming.DMA_MS);
    await dirty("what it writes at its new home", 6);
  });

  await t.step("there and back, and what it reaches stays what its domain says", async () => {
    const device = await t.plug(edu, {});
    const { driver, target } = device;
    const window = await t.dmaBuffer(device, PAGE_SIZE);
    const bytes = t.randomBytes(PAGE_SIZE);
    await fillDevice(t, device, window, bytes);
    const aside = await t.dmaBuffer(device, PAGE_SIZE);
    for (let move = 0; move < 3; move++) {
      await t.migrate(device);
      t.equal(`move ${move}: its buffer came along`, await deviceBuffer(t, device, window), bytes);
    }
    t.equal("it is edu", await driver.identification(), EDU_IDENTIFICATION);
    t.equal("64-bit registers, too", await target.barRead64(0, EduRegister.DMA_COUNT), 4096n);
    await noFaults(t);
    await aside.unmap();
    await deviceWrites(t, device, aside.iova, 1);
    if (t.mode === "identity") await noFaults(t);
    else {
      await faulted(t, "what is unmapped faults at its new home", [{
        endpoint: device.endpoint,
        iova: aside.iova,
        access: 2,
        reason: "unmapped",
      }]);
    }
    t.equal("its mistakes are counted anew", (await eduErrors(device)).outOfBounds, 0);
  });
});
