/**
 * Five devices at work until a quarter of a minute is over, each more and less by turns: something to look at.
 * @module
 */

import {
  Access,
  edu,
  type Gpa,
  type Iova,
  PAGE_SIZE,
  type Plugged,
  scenario,
  type ScenarioContext,
  streamer,
  type StreamerDriver,
} from "../../../mod.ts";

const SECONDS = 14;
const STREAMERS = 4;
const PAGES = 32;
const SPARE = 0x40_0000;
/** Rounds from one map and unmap to the next, and from one transfer of the edu device to the next. */
const SPARE_EVERY = 64;
const EDU_EVERY = 300;

interface Worker {
  readonly device: Plugged<StreamerDriver>;
  readonly source: Iova;
  readonly destination: Iova;
  /** To map now and then. */
  readonly page: Gpa;
}

export default scenario("busy", {
  title: "Five devices copy, map, unmap and fault for a quarter of a minute",
  tags: ["dashboard"],
  modes: ["identity", "remap"],
  vias: ["direct", "vfio-user"],
  timeoutMs: 60_000,
}, async (t) => {
  const workers: Worker[] = [];
  for (let i = 0; i < STREAMERS; i++) workers.push(await worker(t));
  const educated = await t.plug(edu, {});
  const page = await t.dmaBuffer(educated, PAGE_SIZE);
  const started = performance.now();
  let rounds = 0;
  await t.step("rounds", async () => {
    for (;;) {
      const seconds = (performance.now() - started) / 1000;
      if (seconds >= SECONDS) break;
      t.progress(Math.round(seconds * 1000), SECONDS * 1000);
      await round(t, workers, seconds);
      if (rounds % SPARE_EVERY === 0) await spare(t, workers, rounds / SPARE_EVERY);
      if (rounds % EDU_EVERY === 0) {
        await educated.driver.startDma({
          source: rounds % (3 * EDU_EVERY) === 0 ? page.iova + 0x10_0000 : page.iova,
          destination: 0x40000,
          count: 256,
          direction: "to-device",
        });
        await t.clock.advance(100);
      }
      rounds++;
    }
  });
  t.log(`${rounds} rounds`);
  t.check("there was something to look at", rounds > 10, `${rounds} rounds`);
});

async function worker(t: ScenarioContext): Promise<Worker> {
  const device = await t.plug(streamer, {});
  const source = await t.dmaBuffer(device, PAGES * PAGE_SIZE, { access: Access.READ });
  const destination = await t.dmaBuffer(device, PAGES * PAGE_SIZE, { access: Access.WRITE });
  await device.driver.setChunk(PAGE_SIZE);
  const [page] = t.memory.allocatePages(1);
  return { device, source: source.iova, destination: destination.iova, page: page! };
}

/** One transfer of each streamer that has its turn. */
async function round(
  t: ScenarioContext,
  workers: readonly Worker[],
  seconds: number,
): Promise<void> {
  for (const [i, { device, source, destination }] of workers.entries()) {
    const share = 0.55 + 0.45 * Math.sin(seconds * (0.7 + i / 5) + i * 2);
    const pages = Math.round(share * PAGES / (1 + i / 2));
    if (pages === 0) continue;
    await device.driver.start({ source, destination, length: pages * PAGE_SIZE });
  }
  await t.clock.advance(PAGES);
}

/** Maps a page, uses it, takes it away; and now and then uses it once more. */
async function spare(
  t: ScenarioContext,
  workers: readonly Worker[],
  turn: number,
): Promise<void> {
  const { device, destination, page } = workers[turn % 2]!;
  if (device.domain === null) return;
  const iova = SPARE + (turn % 64) * 2 * PAGE_SIZE as Iova;
  await t.iommu.map(device.domain, iova, page, PAGE_SIZE, Access.READ_WRITE);
  await device.driver.start({ source: iova, destination, length: 64 });
  await t.clock.advance(1);
  await t.iommu.unmap(device.domain, iova, PAGE_SIZE);
  if (turn % 5 !== 0) return;
  await device.driver.start({ source: iova, destination, length: 64 });
  await t.clock.advance(1);
}
