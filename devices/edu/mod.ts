/**
 * edu, the educational device of QEMU: small enough to read in one sitting, and
 * able to do what matters here: DMA to any address in both directions, and
 * interrupts as INTx and MSI. `spec.ts` has its registers as tables, `edu.ts` is the
 * model, `driver.ts` the guest's half, and {@linkcode edu} what a scenario plugs in.
 * @module
 */

import { defineDevice, type DeviceType } from "../pci/pci_device.ts";
import { EduDriver } from "./driver.ts";
import { Edu, type EduOptions } from "./edu.ts";

export { EduDriver, type EduTransfer } from "./driver.ts";
export { Edu, type EduDmaError, type EduOptions } from "./edu.ts";
export * from "./spec.ts";

/** The edu device, by name `edu`. */
export const edu: DeviceType<EduOptions, EduDriver> = defineDevice({
  type: "edu",
  module: import.meta.url,
  create: (options: EduOptions) => new Edu(options),
  driver: (target) => new EduDriver(target),
});
