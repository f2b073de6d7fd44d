/**
 * What Linux says of a function's BARs: a line each of `resource` in sysfs, with the first address,
 * the last, and flags (linux/ioport.h).
 * @module
 */

import { PCI_STD_NUM_BARS } from "../../devices/pci/spec.ts";

const IORESOURCE_MEM = 0x200;

/** Where the first BAR of memory is in the guest, from the text of the file; null when there is none. */
export function firstMemoryBar(resource: string): number | null {
  for (const line of resource.split("\n").slice(0, PCI_STD_NUM_BARS)) {
    const [start = 0, , flags = 0] = line.split(" ").map(Number);
    if ((flags & IORESOURCE_MEM) !== 0 && start > 0) return start;
  }
  return null;
}
