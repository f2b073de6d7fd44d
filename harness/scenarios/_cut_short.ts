/**
 * Transfers of an edu that meet an address with nothing behind it. Bytes move in ascending order and
 * stop at the first bad one, which the fault record names.
 * @module
 */

import { Access, type Gpa, PAGE_SIZE } from "../../core/address.ts";
import { type EduDriver, EduTiming } from "../../devices/edu/mod.ts";
import type { DmaBuffer, Plugged, ScenarioContext } from "../scenario.ts";
import { deviceBuffer, fillDevice } from "./_edu.ts";
import { faulted, noFaults } from "./_faults.ts";
import { ramBytes } from "./_ram.ts";

/** A transfer, and how far it should come. */
export interface CutShort {
  readonly name: string;
  readonly start: number;
  readonly count: number;
  /** RAM behind the bytes that move. */
  readonly gpa: Gpa;
  /** Bytes that move. */
  readonly moved: number;
}

/** Does each transfer in both directions; `reason` is that of all faults. The device's MSI is enabled here. */
export async function cutShort(
  t: ScenarioContext,
  device: Plugged<EduDriver>,
  window: DmaBuffer,
  reason: string,
  cases: readonly CutShort[],
): Promise<void> {
  const { endpoint, driver, target } = device;
  await driver.enableMsi();
  for (const { name, start, count, gpa, moved } of cases) {
    const at = start + moved;
    await t.step(`${name}, read by the device`, async () => {
      const inDevice = t.randomBytes(PAGE_SIZE);
      await fillDevice(t, device, window, inDevice);
      const inRam = t.randomBytes(moved);
      t.memory.cpu.write(gpa, inRam);
      await driver.dmaToDevice(start, 0, count, "raise");
      await t.clock.advance(EduTiming.DMA_MS);
      await faulted(t, "one fault, at the first byte that is not there", [
        { endpoint, iova: at, access: Access.READ, reason },
      ]);
      t.equal("the interrupt comes all the same", await target.takeInterrupts(0), 1);
      inDevice.set(inRam);
      t.equal(
        `${moved} bytes are in the device, none after`,
        await deviceBuffer(t, device, window),
        inDevice,
      );
    });

    await t.step(`${name}, written by the device`, async () => {
      const inDevice = t.randomBytes(PAGE_SIZE);
      await fillDevice(t, device, window, inDevice);
      const page = gpa - gpa % PAGE_SIZE as Gpa;
      t.memory.cpu.write(page, t.randomBytes(PAGE_SIZE));
      const expected = ramBytes(t, page);
      expected.set(inDevice.subarray(0, moved), gpa % PAGE_SIZE);
      await driver.dmaFromDevice(0, start, count, "raise");
      await t.clock.advance(EduTiming.DMA_MS);
      await faulted(t, "one fault, at the first byte that is not there", [
        { endpoint, iova: at, access: Access.WRITE, reason },
      ]);
      t.equal("the interrupt comes all the same", await target.takeInterrupts(0), 1);
      t.equal(`${moved} bytes are in RAM, none after`, ramBytes(t, page), expected);
    });
  }
  await noFaults(t);
}
