/**
 * The promise of unmap with one device alone: no register is touched while an unmap waits, so that
 * it holds also where the guest stands still meanwhile.
 * @module
 */

import { PAGE_SIZE } from "../../core/address.ts";
import { streamer, StreamerError, StreamerStatus } from "../../devices/streamer/mod.ts";
import { scenario, VIAS } from "../scenario.ts";
import { noFaults } from "./_faults.ts";
import { streamerState } from "./_streamer.ts";

const CHUNK = 64;
const TRANSFER_MS = PAGE_SIZE / CHUNK;

export default scenario("unmap-waits", {
  title: "Unmap of a page under DMA is answered with the transfer's end, or ends it",
  tags: ["dma", "iommu"],
  modes: ["remap"],
  vias: VIAS,
}, async (t) => {
  const device = await t.plug(streamer, {});
  const { driver } = device;
  await driver.setChunk(CHUNK);

  for (const policy of ["finish", "abort"] as const) {
    await t.step(`a device that would ${policy}`, async () => {
      await driver.setOnRevoke(policy);
      const source = await t.dmaBuffer(device, PAGE_SIZE);
      const destination = await t.dmaBuffer(device, PAGE_SIZE);
      source.write(t.randomBytes(PAGE_SIZE));
      const before = t.randomBytes(PAGE_SIZE);
      destination.write(before);
      await driver.start({
        source: source.iova,
        destination: destination.iova,
        length: PAGE_SIZE,
      });
      await t.clock.advance(10);
      let answered = false;
      const unmapped = destination.unmap().then(() => answered = true);
      if (policy === "finish") {
        await t.clock.advance(TRANSFER_MS - 11);
        t.equal("one step is left", (await streamerState(device)).bytesDone, PAGE_SIZE - CHUNK);
        t.check("not answered", !answered);
        await t.clock.advance(1);
      }
      await unmapped;
      const outcome = await driver.outcome();
      t.equal(
        "the outcome when it is answered",
        outcome,
        policy === "finish"
          ? { status: StreamerStatus.DONE, error: StreamerError.NONE, bytesDone: PAGE_SIZE }
          : {
            status: StreamerStatus.ABORTED,
            error: StreamerError.REVOKED,
            bytesDone: 10 * CHUNK,
          },
      );
      const expected = before.slice();
      expected.set(source.read(0, outcome.bytesDone));
      t.equal("the page holds what was moved until then", destination.read(), expected);
      await t.clock.advance(1000);
      t.equal("and nothing of after", destination.read(), expected);
    });
  }
  await noFaults(t);
});
