/**
 * The promise of unmap: when it is answered, no device can reach the page any
 * more, and DMA that was in flight has ended. The streamer holds its pages for a
 * hundred milliseconds and more, so there is time to break the promise in. Not via
 * `qemu`: the program that waits for an unmap in the guest drives nothing meanwhile;
 * `unmap_waits.ts` is for that.
 * @module
 */

import { Access, type Iova, PAGE_SIZE } from "../../core/address.ts";
import { edu, EduTiming } from "../../devices/edu/mod.ts";
import { streamer, StreamerError, StreamerStatus } from "../../devices/streamer/mod.ts";
import { scenario } from "../scenario.ts";
import { deviceWrites } from "./_edu.ts";
import { faulted, noFaults } from "./_faults.ts";
import { streamerState } from "./_streamer.ts";

const LENGTH = 2 * PAGE_SIZE;
/** Bytes each millisecond: a transfer takes 128 ms. */
const CHUNK = 64;
const TRANSFER_MS = LENGTH / CHUNK;

export default scenario("unmap-in-flight", {
  title: "Unmap is answered when DMA in flight has ended, and not a byte of the page changes after",
  tags: ["dma", "iommu"],
  modes: ["remap"],
}, async (t) => {
  const engine = await t.plug(streamer, {});
  const { driver } = engine;
  const domain = engine.domain!;
  const other = await t.plug(edu, {}, { domain });
  await driver.setChunk(CHUNK);

  /** A transfer that has run for 10 ms. */
  const inFlight = async () => {
    const source = await t.dmaBuffer(engine, LENGTH);
    const destination = await t.dmaBuffer(engine, LENGTH);
    source.write(t.randomBytes(LENGTH));
    destination.write(t.randomBytes(LENGTH));
    await driver.start({ source: source.iova, destination: destination.iova, length: LENGTH });
    await t.clock.advance(10);
    return { source, destination };
  };

  for (const side of ["destination", "source"] as const) {
    await t.step(`unmapping the ${side} waits for a device that finishes first`, async () => {
      await driver.setOnRevoke("finish");
      const buffers = await inFlight();
      const { source, destination } = buffers;
      const bytes = source.read();
      let answered = false;
      const unmapped = buffers[side].unmap().then(() => answered = true);

      await deviceWrites(t, other, buffers[side].iova, 1);
      await faulted(t, "a new access faults meanwhile", [{
        endpoint: other.endpoint,
        iova: buffers[side].iova,
        access: Access.WRITE,
        reason: "unmapped",
      }]);
      t.check("not answered after 110 of 128 ms", !answered);
      await t.clock.advance(TRANSFER_MS - 111);
      t.equal("one step from the end", (await streamerState(engine)).bytesDone, LENGTH - CHUNK);
      t.check("still not answered", !answered);
      await t.clock.advance(1);
      await unmapped;
      t.equal("the transfer is done", await driver.outcome(), {
        status: StreamerStatus.DONE,
        error: StreamerError.NONE,
        bytesDone: LENGTH,
      });
      t.equal("with every byte", destination.read(), bytes);
      await noFaults(t);

      await t.step("from the answer on the page is out of reach", async () => {
        const now = t.randomBytes(LENGTH);
        buffers[side].write(now);
        await t.clock.advance(1000);
        await driver.start({ source: source.iova, destination: destination.iova, length: LENGTH });
        await t.clock.advance(1000);
        await faulted(t, "the next transfer faults", [{
          endpoint: engine.endpoint,
          iova: buffers[side].iova,
          access: side === "source" ? Access.READ : Access.WRITE,
          reason: "unmapped",
        }]);
        t.equal("not a byte has changed", buffers[side].read(), now);
      });
    });

    await t.step(`unmapping the ${side} ends the transfer of a device that gives way`, async () => {
      await driver.setOnRevoke("abort");
      const buffers = await inFlight();
      const { source, destination } = buffers;
      await buffers[side].unmap();
      t.equal("answered at once, with the transfer aborted", await driver.outcome(), {
        status: StreamerStatus.ABORTED,
        error: StreamerError.REVOKED,
        bytesDone: 10 * CHUNK,
      });
      t.equal(
        "what had moved is there",
        destination.read(0, 10 * CHUNK),
        source.read(0, 10 * CHUNK),
      );
      const now = destination.read();
      await t.clock.advance(1000);
      t.equal("not a byte has changed since", destination.read(), now);
      await noFaults(t);
    });
  }

  for (const policy of ["finish", "abort"] as const) {
    await t.step(`source and destination in one unmap, ${policy}`, async () => {
      await driver.setOnRevoke(policy);
      const iova = 0x40_0000 as Iova;
      const source = await t.dmaBuffer(engine, LENGTH, { iova });
      const destination = await t.dmaBuffer(engine, LENGTH, { iova: iova + LENGTH as Iova });
      source.write(t.randomBytes(LENGTH));
      await driver.start({ source: iova, destination: destination.iova, length: LENGTH });
      await t.clock.advance(10);
      let answered = false;
      const unmapped = t.iommu.unmap(domain, iova, 2 * LENGTH).then((bytes) => {
        answered = true;
        return bytes;
      });
      const { running } = await streamerState(engine);
      t.equal("runs on only if it finishes first", running, policy === "finish");
      if (running) t.check("not answered", !answered);
      await t.clock.advance(TRANSFER_MS);
      t.equal("answered, with the bytes unmapped", await unmapped, 2 * LENGTH);
    });
  }

  await t.step("two unmaps and a detach wait for the same transfer", async () => {
    await driver.setOnRevoke("finish");
    const { source, destination } = await inFlight();
    const bytes = source.read();
    let answered = 0;
    const all = Promise.all(
      [source.unmap(), destination.unmap(), t.iommu.detach(engine.endpoint)].map((one) =>
        one.then(() => answered++)
      ),
    );
    await t.clock.advance(TRANSFER_MS - 11);
    t.check("it runs on", (await streamerState(engine)).running);
    t.equal("none is answered", answered, 0);
    await t.clock.advance(1);
    await all;
    t.equal("all are, with every byte moved", destination.read(), bytes);
    await t.iommu.attach(engine.endpoint, domain);
  });

  await t.step("unmapping another page waits for nobody", async () => {
    await driver.setOnRevoke("finish");
    const aside = await t.dmaBuffer(engine, PAGE_SIZE);
    await inFlight();
    await aside.unmap();
    t.check("the transfer still runs", await driver.running());
    await t.clock.advance(TRANSFER_MS);
    t.equal("and is done", (await driver.outcome()).status, StreamerStatus.DONE);
  });
  await noFaults(t);

  await t.step("edu's page goes away at 50 of 100 ms", async () => {
    await other.driver.enableMsi();
    const page = await t.dmaBuffer(other, PAGE_SIZE);
    const bytes = t.randomBytes(PAGE_SIZE);
    page.write(bytes);
    await other.driver.dmaFromDevice(0, page.iova, PAGE_SIZE, "raise");
    await t.clock.advance(EduTiming.DMA_MS / 2);
    await page.unmap();
    t.check("the transfer has yet to come", await other.driver.dmaRunning());
    await t.clock.advance(EduTiming.DMA_MS / 2);
    await faulted(t, "it faults", [{
      endpoint: other.endpoint,
      iova: page.iova,
      access: Access.WRITE,
      reason: "unmapped",
    }]);
    t.check("it has ended", !await other.driver.dmaRunning());
    t.equal("with its interrupt", await other.target.takeInterrupts(0), 1);
    t.equal("not a byte of the page has changed", page.read(), bytes);
  });
  await noFaults(t);
});
