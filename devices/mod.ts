/**
 * Device models, each with its registers as tables, the model, and the guest
 * driver's half; and the PCI function and bus that host them.
 * @module
 */

export * from "./edu/mod.ts";
export * from "./pci/mod.ts";
export * from "./streamer/mod.ts";
