/**
 * The streamer: a bus-master copy engine whose transfers outlast a call, made to
 * have DMA in flight when something is unmapped. `spec.ts` has its registers as
 * tables, `streamer.ts` is the model, `driver.ts` the guest's half, and
 * {@linkcode streamer} what a scenario plugs in.
 * @module
 */

import { defineDevice, type DeviceType } from "../pci/pci_device.ts";
import { StreamerDriver } from "./driver.ts";
import { Streamer, type StreamerOptions } from "./streamer.ts";

export { type StreamerCopy, StreamerDriver, type StreamerOutcome } from "./driver.ts";
export { Streamer, type StreamerOptions } from "./streamer.ts";
export * from "./spec.ts";

/** The streamer, by name `streamer`. */
export const streamer: DeviceType<StreamerOptions, StreamerDriver> = defineDevice({
  type: "streamer",
  module: import.meta.url,
  create: () => new Streamer(),
  driver: (target) => new StreamerDriver(target),
});
