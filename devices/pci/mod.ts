/**
 * PCI: what a device author writes ({@linkcode PciDevice}), the function that hosts a device
 * ({@linkcode PciFunction}) with configuration space, BARs, interrupts and resets, and the bus that
 * functions are plugged into ({@linkcode PciBus}). A driver's half sees any function as a
 * {@linkcode PciTarget}, wherever it lives. Registers are named in `spec.ts`.
 * @module
 */

export * from "./bar_allocator.ts";
export { type BarHit, type BusSpace } from "./bars.ts";
export * from "./bdf.ts";
export * from "./bus.ts";
export * from "./capabilities.ts";
export { ConfigSpace } from "./config_space.ts";
export * from "./device_error.ts";
export * from "./driver_registers.ts";
export { type PowerState } from "./function_state.ts";
export { type InterruptSink, type MessageRouter } from "./interrupts.ts";
export * from "./pci_device.ts";
export * from "./pci_driver.ts";
export * from "./pci_function.ts";
export {
  type RegisterBlock,
  type RegisterObserver,
  type RegisterSpec,
  type RegisterView,
  type RegisterWrite,
} from "./registers.ts";
