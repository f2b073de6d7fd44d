/**
 * A guest that writes whatever it likes to whatever register there is. The device
 * may do as it was told, but its domain is all that it reaches.
 * @module
 */

import { PAGE_SIZE } from "../../core/address.ts";
import { edu, EDU_BUFFER, EDU_IDENTIFICATION, EduTiming } from "../../devices/edu/mod.ts";
import { streamer, STREAMER_IDENTIFICATION } from "../../devices/streamer/mod.ts";
import type { Plugged, ScenarioContext } from "../scenario.ts";
import { scenario, VIAS } from "../scenario.ts";
import { resetAndRestore } from "./_pci.ts";
import { ramBytes } from "./_ram.ts";

const ACCESSES = 4_000;
/** Pages of RAM that are nobody's business. */
const OTHERS = 480;

export default scenario("hostile-registers", {
  title:
    "Thousands of random register accesses harm neither the device nor a page outside its domain",
  tags: ["edu", "dma", "iommu", "scale"],
  modes: ["remap"],
  vias: VIAS,
  memoryMib: 2,
  timeoutMs: 30_000,
}, async (t) => {
  const others = t.memory.allocatePages(OTHERS).map((page) => {
    const bytes = t.randomBytes(PAGE_SIZE);
    t.memory.cpu.write(page, bytes);
    return { page, bytes };
  });

  await t.step("edu", async () => {
    const device = await t.plug(edu, {});
    const { driver } = device;
    await survives(t, device, 0xa0, (source, destination, count) => {
      const ownBuffer = source - source % BigInt(EDU_BUFFER.length) === BigInt(EDU_BUFFER.start);
      const direction = ownBuffer ? "from-device" : "to-device";
      return driver.startDma({ source, destination, count, direction, interrupt: "raise" });
    });
    await resetAndRestore(device.target);
    t.equal("it is there after a reset", await driver.identification(), EDU_IDENTIFICATION);
  });

  await t.step("streamer", async () => {
    const device = await t.plug(streamer, {});
    const { driver } = device;
    await survives(t, device, 0x40, (source, destination, length) => {
      return driver.start({ source, destination, length, interrupt: "raise" });
    });
    await resetAndRestore(device.target);
    t.equal("it is there after a reset", await driver.identification(), STREAMER_IDENTIFICATION);
  });

  await t.step("RAM outside the domains", () => {
    const changed = others.filter(({ page, bytes }) =>
      ramBytes(t, page).some((byte, at) => byte !== bytes[at])
    );
    t.equal("pages that have changed", changed.map(({ page }) => Number(page)), []);
  });
});

/**
 * Reads and writes at random, mostly registers that exist, and programs transfers
 * of which one in a few makes sense.
 */
async function survives(
  t: ScenarioContext,
  device: Plugged<unknown>,
  registers: number,
  transfer: (source: bigint, destination: bigint, length: bigint) => Promise<void>,
): Promise<void> {
  const { target } = device;
  const buffer = await t.dmaBuffer(device, 4 * PAGE_SIZE);
  const before = t.randomBytes(buffer.length);
  buffer.write(before);
  const pick = <T>(choices: readonly T[]): T => choices[t.random(choices.length)]!;
  const small = () => BigInt(t.random(64));
  const inBuffer = () => BigInt(buffer.iova + t.random(buffer.length));
  const inside = () => BigInt(EDU_BUFFER.start + t.random(EDU_BUFFER.length));
  const anywhere = () => BigInt(t.random(2 ** 28));
  const edge = () => BigInt.asUintN(64, 2n ** BigInt(t.random(65)) - BigInt(t.random(2)));
  const any = () => pick([small, inBuffer, inside, anywhere, edge])();

  const met = [];
  for (let done = 0; done < ACCESSES; done++) {
    const width = pick([1, 2, 4, 8] as const);
    const offset = t.random((t.random(8) === 0 ? 0x1000 : registers) / width) * width;
    const dice = t.random(8);
    if (dice === 0) {
      // What ran has ended by then, so that the device listens.
      await t.clock.advance(EduTiming.DMA_MS);
      const one = pick([inside, inBuffer])();
      const two = pick([inBuffer, anywhere, edge])();
      const count = pick([small, small, anywhere, edge])();
      if (t.random(2) === 0) await transfer(one, two, count);
      else await transfer(two, one, count);
    } else if (dice === 1) await target.barRead(0, offset, width === 8 ? 4 : width);
    else if (width === 8) await target.barWrite64(0, offset, any());
    else await target.barWrite(0, offset, width, Number(BigInt.asUintN(8 * width, any())));
    if (t.random(4) === 0) await t.clock.advance(t.random(60));
    if (done % 256 === 0) met.push(...await t.faults());
    t.progress(done, ACCESSES);
  }
  met.push(...await t.faults());
  t.check("some transfers faulted", met.length > 0);
  t.check("by its own name", met.every(({ endpoint }) => endpoint === device.endpoint));
  t.check("some moved bytes", buffer.read().some((byte, at) => byte !== before[at]));
}
