/**
 * What an operating system does with configuration space around a reset.
 * @module
 */

import type { PciTarget } from "../../devices/pci/pci_driver.ts";
import {
  PCI_BASE_ADDRESS_0,
  PCI_COMMAND,
  PCI_COMMAND_MASTER,
  PCI_STD_NUM_BARS,
} from "../../devices/pci/spec.ts";

/** Resets the function, and gives it back its BARs and its command register. */
export async function resetAndRestore(target: PciTarget): Promise<void> {
  const command = await target.configRead(PCI_COMMAND, 2);
  const bars: number[] = [];
  for (let bar = 0; bar < PCI_STD_NUM_BARS; bar++) {
    bars.push(await target.configRead(PCI_BASE_ADDRESS_0 + 4 * bar, 4));
  }
  await target.reset();
  for (const [bar, value] of bars.entries()) {
    await target.configWrite(PCI_BASE_ADDRESS_0 + 4 * bar, 4, value);
  }
  await target.configWrite(PCI_COMMAND, 2, command);
}

/** Turns bus mastering on or off, and leaves the rest of the command register alone. */
export async function setBusMaster(target: PciTarget, setting: "on" | "off"): Promise<void> {
  const command = await target.configRead(PCI_COMMAND, 2);
  const others = command & ~PCI_COMMAND_MASTER;
  await target.configWrite(PCI_COMMAND, 2, setting === "on" ? others | PCI_COMMAND_MASTER : others);
}
