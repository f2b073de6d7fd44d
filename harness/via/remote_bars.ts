/**
 * What firmware does for a function that is reached by its driver's side alone: finds its
 * BARs by sizing them, and gives them addresses (PCI 3.0, 6.2.5.1).
 * @module
 */

import { BarAllocator } from "../../devices/pci/bar_allocator.ts";
import type { PciTarget } from "../../devices/pci/pci_driver.ts";
import * as pci from "../../devices/pci/spec.ts";

/** Where the BARs of one machine go: the windows of `PciBus`. */
export class RemoteBars {
  readonly #memory = new BarAllocator([{ start: 0xe000_0000, length: 0x1ec0_0000 }]);
  readonly #memory64 = new BarAllocator([{ start: 0x80_0000_0000, length: 0x80_0000_0000 }]);
  readonly #io = new BarAllocator([{ start: 0xc000, length: 0x4000 }]);

  /**
   * Gives every BAR of `target` an address, and enables BARs and bus mastering. The addresses stay the
   * function's wherever it moves.
   * @throws {RangeError} when a window is used up: none of them has an address then
   */
  async assign(target: PciTarget): Promise<void> {
    const command = await target.configRead(pci.PCI_COMMAND, 2);
    const found: { at: number; wide: boolean; io: boolean; size: number }[] = [];
    for (let bar = 0; bar < pci.PCI_STD_NUM_BARS; bar++) {
      const at = pci.PCI_BASE_ADDRESS_0 + 4 * bar;
      const low = await sizeRegister(target, at);
      if (low === 0) continue;
      const io = (low & pci.PCI_BASE_ADDRESS_SPACE_IO) !== 0;
      const wide = !io &&
        (low & pci.PCI_BASE_ADDRESS_MEM_TYPE_MASK) === pci.PCI_BASE_ADDRESS_MEM_TYPE_64;
      const flags = io ? pci.PCI_BASE_ADDRESS_IO_FLAGS : pci.PCI_BASE_ADDRESS_MEM_FLAGS;
      const high = wide ? await sizeRegister(target, at + 4) : 0xffff_ffff;
      // What stuck is 2^64 (or 2^32) - size: exact as a difference of halves.
      const size = (0xffff_ffff - high) * 2 ** 32 + (2 ** 32 - ((low & ~flags) >>> 0));
      found.push({ at, wide, io, size });
      if (wide) bar++;
    }
    // The largest first, as any of them is aligned to its size.
    const given: (readonly [BarAllocator, number])[] = [];
    const allocate = ({ wide, io, size }: { wide: boolean; io: boolean; size: number }): number => {
      const room = wide && this.#memory64.hasRoom(size) ? this.#memory64 : this.#memory;
      const allocator = io ? this.#io : room;
      const address = allocator.allocate(size);
      given.push([allocator, address]);
      return address;
    };
    try {
      for (const bar of found.sort((a, b) => b.size - a.size)) {
        const address = allocate(bar);
        await target.configWrite(bar.at, 4, address % 2 ** 32);
        if (bar.wide) await target.configWrite(bar.at + 4, 4, Math.floor(address / 2 ** 32));
      }
    } catch (error) {
      for (const [allocator, address] of given) allocator.free(address);
      throw error;
    }
    const enable = pci.PCI_COMMAND_IO | pci.PCI_COMMAND_MEMORY | pci.PCI_COMMAND_MASTER;
    await target.configWrite(pci.PCI_COMMAND, 2, command | enable);
  }
}

/** Writes all ones, reads what stuck, and puts the old value back. Nothing is decoded yet. */
async function sizeRegister(target: PciTarget, at: number): Promise<number> {
  const before = await target.configRead(at, 4);
  await target.configWrite(at, 4, 0xffff_ffff);
  const stuck = await target.configRead(at, 4);
  await target.configWrite(at, 4, before);
  return stuck;
}
