/**
 * An endpoint leaves its domain, and comes back, and moves to another.
 * @module
 */

import { Access, type Iova, PAGE_SIZE } from "../../core/address.ts";
import { edu } from "../../devices/edu/mod.ts";
import { streamer, StreamerError, StreamerStatus } from "../../devices/streamer/mod.ts";
import { scenario, VIAS } from "../scenario.ts";
import { deviceReads, deviceWrites } from "./_edu.ts";
import { faulted, noFaults } from "./_faults.ts";
import { ramBytes } from "./_ram.ts";
import { streamerState } from "./_streamer.ts";

const TRANSFER_MS = PAGE_SIZE / 64;

export default scenario("detach-reattach", {
  title: "A detached endpoint reaches nothing; attached again it finds its mappings as they were",
  tags: ["dma", "iommu"],
  modes: ["remap"],
  vias: VIAS,
}, async (t) => {
  await t.step("between transfers", async () => {
    const device = await t.plug(edu, {});
    const { endpoint } = device;
    const home = device.domain!;
    const page = await t.dmaBuffer(device, PAGE_SIZE);
    const bytes = t.randomBytes(PAGE_SIZE);
    page.write(bytes);
    await deviceReads(t, device, page.iova, PAGE_SIZE);
    await noFaults(t, "attached, the device reads");

    await t.iommu.detach(endpoint);
    const other = t.randomBytes(PAGE_SIZE);
    page.write(other);
    await deviceWrites(t, device, page.iova, PAGE_SIZE);
    await deviceReads(t, device, page.iova, PAGE_SIZE);
    await faulted(t, "detached, it can neither write nor read", [
      { endpoint, iova: page.iova, access: Access.WRITE, reason: "no-domain" },
      { endpoint, iova: page.iova, access: Access.READ, reason: "no-domain" },
    ]);
    t.equal("the page is as it was", page.read(), other);
    await t.step("to detach it again is no error", () => t.iommu.detach(endpoint));

    await t.iommu.attach(endpoint, home);
    await deviceWrites(t, device, page.iova, PAGE_SIZE);
    await noFaults(t, "attached again, it writes");
    t.equal("the bytes it had read at first", page.read(), bytes);

    const [elsewhere] = t.memory.allocatePages(1);
    t.memory.cpu.write(elsewhere!, other);
    const away = await t.iommu.createDomain();
    await t.iommu.map(away, page.iova, elsewhere!, PAGE_SIZE, Access.READ_WRITE);
    await t.iommu.attach(endpoint, away);
    await deviceReads(t, device, page.iova, PAGE_SIZE / 2);
    await deviceWrites(t, device, page.iova, PAGE_SIZE);
    await noFaults(t, "moved to another domain, it sees that one's page");
    const mixed = bytes.slice();
    mixed.set(other.subarray(0, PAGE_SIZE / 2));
    t.equal("where it has read and written", ramBytes(t, elsewhere!), mixed);
    t.equal("and not at home", page.read(), bytes);

    await t.iommu.destroyDomain(home);
    await deviceReads(t, device, page.iova, PAGE_SIZE);
    await noFaults(t, "its old domain can go");
  });

  const device = await t.plug(streamer, {});
  const { driver, endpoint } = device;
  const home = device.domain!;
  await driver.setChunk(64);
  const source = await t.dmaBuffer(device, PAGE_SIZE);
  const destination = await t.dmaBuffer(device, PAGE_SIZE);
  const start = async () => {
    source.write(t.randomBytes(PAGE_SIZE));
    destination.write(t.randomBytes(PAGE_SIZE));
    await driver.start({ source: source.iova, destination: destination.iova, length: PAGE_SIZE });
    await t.clock.advance(10);
  };
  const ways: readonly (readonly [name: string, leave: () => Promise<void>])[] = [
    ["detach", () => t.iommu.detach(endpoint)],
    ["attach to another domain", async () => {
      await t.iommu.attach(endpoint, await t.iommu.createDomain());
    }],
  ];
  for (const [name, leave] of ways) {
    await t.step(`${name}, with DMA in flight that finishes first`, async () => {
      await driver.setOnRevoke("finish");
      await start();
      let answered = false;
      const left = leave().then(() => answered = true);
      await t.clock.advance(TRANSFER_MS - 11);
      t.check("the transfer runs on", (await streamerState(device)).running);
      t.check("not answered", !answered);
      await t.clock.advance(1);
      await left;
      t.equal("answered when it is done", (await driver.outcome()).status, StreamerStatus.DONE);
      t.equal("with every byte", destination.read(), source.read());
      await t.iommu.attach(endpoint, home);
    });

    await t.step(`${name}, with DMA in flight that gives way`, async () => {
      await driver.setOnRevoke("abort");
      await start();
      await leave();
      t.equal("answered at once, with the transfer aborted", await driver.outcome(), {
        status: StreamerStatus.ABORTED,
        error: StreamerError.REVOKED,
        bytesDone: 640,
      });
      const now = destination.read();
      await t.clock.advance(1000);
      t.equal("not a byte has changed since", destination.read(), now);
      await t.iommu.attach(endpoint, home);
    });
  }

  await t.step("attach to the domain it is in, with DMA in flight", async () => {
    await driver.setOnRevoke("abort");
    await start();
    await t.iommu.attach(endpoint, home);
    t.check("changes nothing", await driver.running());
    await t.clock.advance(TRANSFER_MS);
    t.equal("the transfer is done", (await driver.outcome()).status, StreamerStatus.DONE);
  });
  await noFaults(t);

  await t.step("plugged in without a domain", async () => {
    const stray = await t.plug(edu, {}, { attach: false });
    t.equal("it has none", stray.domain, null);
    const iova = 0x1000 as Iova;
    await deviceReads(t, stray, iova, 1);
    await faulted(t, "and reaches nothing", [
      { endpoint: stray.endpoint, iova, access: Access.READ, reason: "no-domain" },
    ]);
  });
});
