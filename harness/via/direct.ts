/**
 * Via `direct`: devices in this process, on a PCI bus of their own, reached by
 * plain calls.
 * @module
 */

import { formatRequesterId } from "../../devices/pci/bdf.ts";
import { PciBus } from "../../devices/pci/bus.ts";
import type { DeviceType } from "../../devices/pci/pci_device.ts";
import type { PciTarget } from "../../devices/pci/pci_driver.ts";
import { PciFunction } from "../../devices/pci/pci_function.ts";
import {
  PCI_COMMAND,
  PCI_COMMAND_IO,
  PCI_COMMAND_MASTER,
  PCI_COMMAND_MEMORY,
} from "../../devices/pci/spec.ts";
import type { MachineParts, ViaBackend } from "../machine/machine.ts";

/** What arrived of a function's messages. INTx is a level that the function itself knows. */
class MessageCounts {
  readonly #counts = new Map<number, number>();

  add(vector: number): void {
    this.#counts.set(vector, (this.#counts.get(vector) ?? 0) + 1);
  }

  take(vector: number): number {
    const count = this.#counts.get(vector) ?? 0;
    this.#counts.delete(vector);
    return count;
  }
}

/** A function of this process as drivers see it. What it does has happened when the promise is made. */
function directTarget(endpoint: number, fn: PciFunction, messages: MessageCounts): PciTarget {
  return {
    endpoint,
    configRead: (offset, size) => Promise.resolve(fn.configRead(offset, size)),
    configWrite: (offset, size, value) => Promise.resolve(fn.configWrite(offset, size, value)),
    barRead: (bar, offset, size) => Promise.resolve(fn.barRead(bar, offset, size)),
    barWrite: (bar, offset, size, value) => Promise.resolve(fn.barWrite(bar, offset, size, value)),
    barRead64: (bar, offset) => Promise.resolve(fn.barRead64(bar, offset)),
    barWrite64: (bar, offset, value) => Promise.resolve(fn.barWrite64(bar, offset, value)),
    takeInterrupts: (vector) => Promise.resolve(messages.take(vector)),
    intxAsserted: () => Promise.resolve(fn.intxAsserted),
    reset: () => Promise.resolve(fn.reset()),
    inspect: () => Promise.resolve(fn.device.inspect()),
  };
}

/** {@linkcode ViaBackend} in this process. */
export function connectDirect(parts: MachineParts): ViaBackend {
  const { iommu, clock, deviceError } = parts;
  const bus = new PciBus();
  return {
    // deno-lint-ignore require-await
    async plug<Options>(type: DeviceType<Options, unknown>, options: Options): Promise<PciTarget> {
      const endpoint = bus.nextFree();
      const device = type.create(options);
      const messages = new MessageCounts();
      const { memory } = iommu.addEndpoint(endpoint);
      try {
        const fn = new PciFunction(device, {
          memory,
          clock,
          sink: { message: (_address, _data, vector) => messages.add(vector), intx: () => {} },
          onError: (error) => deviceError(`${type.type} at ${formatRequesterId(endpoint)}`, error),
        });
        bus.plug(fn, endpoint);
        bus.assignBars(endpoint);
        const command = fn.configRead(PCI_COMMAND, 2);
        const enable = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
        fn.configWrite(PCI_COMMAND, 2, command | enable);
        return directTarget(endpoint, fn, messages);
      } catch (error) {
        bus.unplug(endpoint);
        iommu.removeEndpoint(endpoint);
        throw error;
      }
    },
    close: () => Promise.resolve(),
  };
}
