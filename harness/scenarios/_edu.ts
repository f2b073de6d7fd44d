/**
 * What the edu scenarios do again and again: one whole transfer, and a look at
 * the device's buffer, which only DMA can see.
 * @module
 */

import { PAGE_SIZE } from "../../core/address.ts";
import { type EduDriver, EduTiming } from "../../devices/edu/mod.ts";
import type { DmaBuffer, Plugged, ScenarioContext } from "../scenario.ts";

/** An edu that is plugged in. */
export type PluggedEdu = Plugged<EduDriver>;

/** The device reads `count` bytes from bus address `iova` into its buffer at `offset`; the transfer has ended. */
export async function deviceReads(
  t: ScenarioContext,
  edu: PluggedEdu,
  iova: number,
  count: number,
  offset = 0,
): Promise<void> {
  await edu.driver.dmaToDevice(iova, offset, count);
  await t.clock.advance(EduTiming.DMA_MS);
}

/** The device writes `count` bytes from its buffer at `offset` to bus address `iova`; the transfer has ended. */
export async function deviceWrites(
  t: ScenarioContext,
  edu: PluggedEdu,
  iova: number,
  count: number,
  offset = 0,
): Promise<void> {
  await edu.driver.dmaFromDevice(offset, iova, count);
  await t.clock.advance(EduTiming.DMA_MS);
}

/** Puts `bytes` into the device's buffer at `offset`, by way of a page that it can read. */
export async function fillDevice(
  t: ScenarioContext,
  edu: PluggedEdu,
  window: DmaBuffer,
  bytes: Uint8Array,
  offset = 0,
): Promise<void> {
  window.write(bytes);
  await deviceReads(t, edu, window.iova, bytes.length, offset);
}

/** What the device's buffer holds, by way of a page that it can write. */
export async function deviceBuffer(
  t: ScenarioContext,
  edu: PluggedEdu,
  window: DmaBuffer,
): Promise<Uint8Array> {
  await deviceWrites(t, edu, window.iova, PAGE_SIZE);
  return window.read(0, PAGE_SIZE);
}

/** The counters that `Edu.inspect()` shows and no register does. */
export async function eduErrors(edu: PluggedEdu): Promise<Readonly<Record<string, unknown>>> {
  return (await edu.target.inspect()).errors as Readonly<Record<string, unknown>>;
}
