/**
 * Thousands of random transfers while mappings come and go, against a model that
 * holds every byte: of RAM, of the device's buffer, and of what should fault.
 * @module
 */

import { Access, type Iova, PAGE_SIZE } from "../../core/address.ts";
import { edu } from "../../devices/edu/mod.ts";
import type { ScenarioContext } from "../scenario.ts";
import { scenario, VIAS } from "../scenario.ts";
import { deviceBuffer, deviceReads, deviceWrites, type PluggedEdu } from "./_edu.ts";
import { ramBytes } from "./_ram.ts";

const STEPS = 4_000;
const PAGES = 24;
/** Places for a page. More than pages, so that some are free and some pages appear twice. */
const SLOTS = 32;
const IOVA = 0x10_0000;

/** What is mapped at a place. */
interface Slot {
  readonly page: number;
  readonly access: number;
}

export default scenario("edu-dma-soak", {
  title: "4000 random transfers, maps, unmaps and CPU writes leave each byte and fault as foreseen",
  tags: ["edu", "dma", "iommu", "scale"],
  vias: VIAS,
  timeoutMs: 30_000,
}, async (t) => {
  const device = await t.plug(edu, {});
  const window = await t.dmaBuffer(device, PAGE_SIZE);
  const world = t.mode === "identity" ? await fixedWorld(t, device) : mappedWorld(t, device);
  const { base, pages, slots } = world;
  const ram = pages.map((page) => ramBytes(t, page));
  const inside = await deviceBuffer(t, device, window);
  let transfers = 0;
  let faults = 0;
  let wrong: string | null = null;

  /** Moves bytes in the model. @returns the fault the device should meet */
  const foresee = (start: number, count: number, offset: number, access: number) => {
    for (let at = 0; at < count; at++) {
      const slot = slots[Math.floor((start + at) / PAGE_SIZE)];
      if (slot === undefined || slot === null) {
        return { iova: base + start + at, reason: "unmapped" };
      }
      if ((slot.access & access) === 0) return { iova: base + start + at, reason: "permission" };
      const page = ram[slot.page]!;
      const byte = (start + at) % PAGE_SIZE;
      if (access === Access.READ) inside[offset + at] = page[byte]!;
      else page[byte] = inside[offset + at]!;
    }
    return null;
  };

  for (let step = 0; step < STEPS && wrong === null; step++) {
    const dice = t.random(10);
    if (dice < 2) await world.change();
    else if (dice < 3) {
      const page = t.random(PAGES);
      ram[page]!.set(t.randomBytes(64), 64 * t.random(64));
      t.memory.cpu.write(pages[page]!, ram[page]!);
    } else {
      const count = t.random(3) === 0 ? t.random(65) : t.random(PAGE_SIZE + 1);
      const start = t.random(SLOTS * PAGE_SIZE - count + 1);
      const offset = t.random(PAGE_SIZE - count + 1);
      const access = t.random(2) === 0 ? Access.READ : Access.WRITE;
      const foreseen = foresee(start, count, offset, access);
      const move = access === Access.READ ? deviceReads : deviceWrites;
      await move(t, device, base + start, count, offset);
      const met = await t.faults();
      const same = foreseen === null ? met.length === 0 : met.length === 1 &&
        met[0]!.iova === foreseen.iova && met[0]!.reason === foreseen.reason &&
        met[0]!.access === access && met[0]!.endpoint === device.endpoint;
      if (!same) {
        wrong = `step ${step}: foreseen ${JSON.stringify(foreseen)}, met ${JSON.stringify(met)}`;
      }
      transfers++;
      if (foreseen !== null) faults++;
    }
    if (step % 250 === 249) {
      t.equal(`the device after step ${step}`, await deviceBuffer(t, device, window), inside);
      for (const [index, page] of pages.entries()) {
        if (!ramBytes(t, page).every((byte, at) => byte === ram[index]![at])) {
          wrong ??= `page ${index} holds other bytes than foreseen after step ${step}`;
        }
      }
    }
    t.progress(step, STEPS);
  }
  t.check("every fault and every byte of RAM is as foreseen", wrong === null, wrong ?? undefined);
  t.log(`${transfers} transfers, ${faults} of them with a fault`);
  const some = t.mode === "identity" ? faults === 0 : faults > transfers / 10;
  t.check("as many faults as the mode should bring", some && transfers > STEPS / 2);
});

/** Identity: all the pages in one piece, and nothing to change. */
async function fixedWorld(t: ScenarioContext, device: PluggedEdu) {
  const buffer = await t.dmaBuffer(device, SLOTS * PAGE_SIZE);
  const slots = buffer.pages.map((_, page): Slot => ({ page, access: Access.READ_WRITE }));
  return { base: buffer.iova as number, pages: buffer.pages, slots, change: async () => {} };
}

/** Remapping: places that are empty at first, and are mapped and unmapped in turns. */
function mappedWorld(t: ScenarioContext, device: PluggedEdu) {
  const pages = t.memory.allocatePages(PAGES);
  const slots: (Slot | null)[] = Array.from({ length: SLOTS }, () => null);
  const change = async () => {
    const at = t.random(SLOTS);
    const iova = IOVA + at * PAGE_SIZE as Iova;
    if (slots[at] !== null) {
      await t.iommu.unmap(device.domain!, iova, PAGE_SIZE);
      slots[at] = null;
      // As often as not, something else appears at once where it was.
      if (t.random(2) === 0) return;
    }
    const page = t.random(PAGES);
    // Mostly both, so that long transfers have a chance.
    const access = t.random(4) === 0 ? t.random(4) : Access.READ_WRITE;
    await t.iommu.map(device.domain!, iova, pages[page]!, PAGE_SIZE, access);
    // QEMU's client tells a server of a page that may only be written as of one that may be read too.
    const seen = t.via === "qemu" && access === Access.WRITE ? Access.READ_WRITE : access;
    slots[at] = { page, access: seen };
  };
  return { base: IOVA, pages, slots, change };
}
