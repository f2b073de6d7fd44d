/**
 * The streamer's own work: a copy that takes its time, and what it refuses.
 * @module
 */

import { Access, type Iova, MAX_ADDRESS, PAGE_SIZE } from "../../core/address.ts";
import {
  streamer,
  STREAMER_CHUNK,
  STREAMER_IDENTIFICATION,
  STREAMER_MAX_LENGTH,
  StreamerError,
  StreamerInterrupt,
  StreamerStatus,
} from "../../devices/streamer/mod.ts";
import { scenario, VIAS } from "../scenario.ts";
import { faulted, noFaults } from "./_faults.ts";

export default scenario("streamer-copy", {
  title:
    "The streamer copies between scattered pages a little each millisecond, and refuses nonsense",
  tags: ["dma", "interrupt"],
  vias: VIAS,
}, async (t) => {
  const device = await t.plug(streamer, {});
  const { driver, target, endpoint } = device;
  await driver.enableMsi();
  t.equal("identification", await driver.identification(), STREAMER_IDENTIFICATION);
  const source = await t.dmaBuffer(device, 8 * PAGE_SIZE);
  const destination = await t.dmaBuffer(device, 8 * PAGE_SIZE);
  source.write(t.randomBytes(source.length));
  const expected = t.randomBytes(destination.length);
  destination.write(expected);

  await t.step("6 pages, at odd offsets", async () => {
    const length = 6 * PAGE_SIZE + 5;
    const [from, to] = [333, PAGE_SIZE + 1001];
    await driver.start({
      source: source.iova + from,
      destination: destination.iova + to,
      length,
      interrupt: "raise",
    });
    for (let ms = 0; ms * STREAMER_CHUNK < length; ms += 16) {
      const moved = ms * STREAMER_CHUNK;
      t.equal(`after ${ms} ms`, await driver.outcome(), {
        status: StreamerStatus.RUNNING,
        error: StreamerError.NONE,
        bytesDone: moved,
      });
      expected.set(source.read(from, moved), to);
      t.equal(`${moved} bytes are there, and none more`, destination.read(), expected);
      await t.clock.advance(16);
    }
    t.equal("done", await driver.outcome(), {
      status: StreamerStatus.DONE,
      error: StreamerError.NONE,
      bytesDone: length,
    });
    expected.set(source.read(from, length), to);
    t.equal("every byte is there, the neighbours untouched", destination.read(), expected);
    t.equal("one message", await target.takeInterrupts(0), 1);
    t.equal("it says why", await driver.interruptStatus(), StreamerInterrupt.ENDED);
    await driver.acknowledgeInterrupt(StreamerInterrupt.ENDED);
  });

  await t.step("stopped on the way", async () => {
    await driver.start({ source: source.iova, destination: destination.iova, length: PAGE_SIZE });
    await t.clock.advance(2);
    await driver.stop();
    await t.clock.advance(1000);
    t.equal("as it was told", await driver.outcome(), {
      status: StreamerStatus.ABORTED,
      error: StreamerError.STOPPED,
      bytesDone: 2 * STREAMER_CHUNK,
    });
    expected.set(source.read(0, 2 * STREAMER_CHUNK));
    t.equal("not a byte after", destination.read(), expected);
  });

  await t.step("nonsense in the registers", async () => {
    const good = { source: source.iova, destination: destination.iova, length: 1 };
    const top = 2n ** 64n - 1n;
    const refusals = [
      ["too long", { ...good, length: STREAMER_MAX_LENGTH + 1 }, StreamerError.LENGTH],
      ["2^64 - 1 bytes", { ...good, length: top }, StreamerError.LENGTH],
      ["a source of 2^52", { ...good, source: MAX_ADDRESS + 1 }, StreamerError.ADDRESS],
      ["a destination of 2^64 - 1", { ...good, destination: top }, StreamerError.ADDRESS],
      ["over the end", { ...good, source: MAX_ADDRESS, length: 2 }, StreamerError.ADDRESS],
      ["onto itself", { ...good, destination: source.iova }, StreamerError.OVERLAP],
    ] as const;
    for (const [name, copy, error] of refusals) {
      await driver.start({ ...copy, interrupt: "raise" });
      t.equal(name, await driver.outcome(), {
        status: StreamerStatus.REFUSED,
        error,
        bytesDone: 0,
      });
      t.equal(`${name}: interrupts all the same`, await target.takeInterrupts(0), 1);
    }
    await driver.start({ ...good, length: 0 });
    t.equal("no bytes are done at once", (await driver.outcome()).status, StreamerStatus.DONE);
    await noFaults(t, "the bus was not asked");
    t.equal("nothing was written", destination.read(), expected);
  });

  await t.step("an address with nothing behind it", async () => {
    const nowhere = 2 ** 50;
    const reason = t.mode === "identity" ? "no-memory" : "unmapped";
    await driver.start({ source: nowhere, destination: destination.iova, length: 64 });
    t.equal("as source", (await driver.outcome()).error, StreamerError.SOURCE);
    await driver.start({ source: source.iova, destination: nowhere, length: 64 });
    t.equal("as destination", (await driver.outcome()).error, StreamerError.DESTINATION);
    await faulted(t, "faults, once each", [
      { endpoint, iova: nowhere, access: Access.READ, reason },
      { endpoint, iova: nowhere, access: Access.WRITE, reason },
    ]);
    t.equal("nothing was written", destination.read(), expected);
  });

  if (device.domain !== null) {
    await t.step("a hole in the middle of the destination", async () => {
      const iova = 0x50_0000;
      for (const page of [0, 2]) {
        const gpa = destination.pages[page]!;
        const place = iova + page * PAGE_SIZE as Iova;
        await t.iommu.map(device.domain!, place, gpa, PAGE_SIZE, Access.READ_WRITE);
      }
      await driver.start({ source: source.iova, destination: iova, length: 3 * PAGE_SIZE });
      await faulted(t, "faults at its start", [{
        endpoint,
        iova: iova + PAGE_SIZE,
        access: Access.WRITE,
        reason: "unmapped",
      }]);
      await t.clock.advance(1000);
      t.equal("not a byte was moved", destination.read(), expected);
    });
  }
  await noFaults(t);
});
