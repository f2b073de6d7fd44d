/**
 * Via `direct`: devices in this process, on a PCI bus of their own, reached by
 * plain calls.
 * @module
 */

import { faultName } from "../../core/address.ts";
import type { Endpoint } from "../../core/iommu/endpoint.ts";
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
import { advanceClock } from "../machine/advance.ts";
import { mergeLatencies } from "../machine/latencies.ts";
import { localIommu } from "../machine/local_iommu.ts";
import { sumMetrics } from "../run/run_report.ts";
import type { MigrateOptions } from "../scenario.ts";
import type { MachineParts, ViaBackend } from "./backend.ts";

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

/** A function, until it moves: then the one that took over. */
interface Slot {
  readonly endpoint: number;
  readonly make: () => PciFunction;
  readonly messages: MessageCounts;
  fn: PciFunction;
}

/** A function of this process as drivers see it. What it does has happened when the promise is made. */
function directTarget(slot: Slot): PciTarget {
  return {
    endpoint: slot.endpoint,
    configRead: (offset, size) => Promise.resolve(slot.fn.configRead(offset, size)),
    configWrite: (offset, size, value) => Promise.resolve(slot.fn.configWrite(offset, size, value)),
    barRead: (bar, offset, size) => Promise.resolve(slot.fn.barRead(bar, offset, size)),
    barWrite: (bar, offset, size, value) =>
      Promise.resolve(slot.fn.barWrite(bar, offset, size, value)),
    barRead64: (bar, offset) => Promise.resolve(slot.fn.barRead64(bar, offset)),
    barWrite64: (bar, offset, value) => Promise.resolve(slot.fn.barWrite64(bar, offset, value)),
    takeInterrupts: (vector) => Promise.resolve(slot.messages.take(vector)),
    intxAsserted: () => Promise.resolve(slot.fn.intxAsserted),
    reset: () => Promise.resolve(slot.fn.reset()),
    inspect: () => Promise.resolve(slot.fn.inspectDevice() ?? {}),
  };
}

/** {@linkcode ViaBackend} in this process. */
class DirectBackend implements ViaBackend {
  readonly iommu;
  readonly #parts: MachineParts;
  readonly #bus = new PciBus();
  readonly #slots = new Map<number, Slot>();

  constructor(parts: MachineParts) {
    this.#parts = parts;
    this.iommu = localIommu(parts.iommu);
  }

  // deno-lint-ignore require-await
  async plug<Options>(type: DeviceType<Options, unknown>, options: Options): Promise<PciTarget> {
    const { iommu } = this.#parts;
    const endpoint = this.#bus.nextFree();
    const device = type.create(options);
    const messages = new MessageCounts();
    const owner = iommu.addEndpoint(endpoint);
    try {
      const fn = this.#host(type, device, owner, messages);
      this.#bus.plug(fn, endpoint);
      this.#bus.assignBars(endpoint);
      const command = fn.configRead(PCI_COMMAND, 2);
      const enable = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;
      fn.configWrite(PCI_COMMAND, 2, command | enable);
      const make = () => this.#host(type, type.create(options), owner, messages);
      const slot: Slot = { endpoint, make, messages, fn };
      this.#slots.set(endpoint, slot);
      return directTarget(slot);
    } catch (error) {
      this.#bus.unplug(endpoint);
      iommu.removeEndpoint(endpoint);
      throw error;
    }
  }

  async migrate(endpoint: number, options: MigrateOptions): Promise<void> {
    const slot = this.#slots.get(endpoint)!;
    const { fn } = slot;
    const name = formatRequesterId(endpoint);
    if (!fn.migratable) {
      throw new Error(
        `Cannot migrate ${fn.device.type} at ${name}: its model has no save() and restore()`,
      );
    }
    await options.preCopy?.();
    fn.pause();
    let next: PciFunction;
    try {
      next = this.#copy(slot, name);
    } catch (error) {
      fn.resume();
      throw error;
    }
    this.#bus.replace(endpoint, next);
    slot.fn = next;
    next.resume();
  }

  /** A paused function with all of the slot's state, which is paused as well. */
  #copy({ fn, make }: Slot, name: string): PciFunction {
    const { type } = fn.device;
    const snapshot = fn.save();
    if (snapshot === null) {
      throw new Error(`Cannot migrate ${type} at ${name}: its model could not be saved`);
    }
    const next = make();
    next.pause();
    // As it travels: what is no plain JSON does not arrive.
    const state: unknown = JSON.parse(JSON.stringify(snapshot.state));
    const wrong = next.restore({ ...snapshot, state });
    if (wrong !== null) throw new Error(`Cannot migrate ${type} at ${name}: ${wrong}`);
    return next;
  }

  // deno-lint-ignore require-await -- what is thrown must be a rejection
  async advance(ms: number): Promise<void> {
    const { clock, deviceError } = this.#parts;
    advanceClock(clock, ms, (error) => deviceError("a device's timer", error));
  }

  takeFaults() {
    return this.#parts.iommu.drainFaults().map(({ pasid, reason, ...fault }) => ({
      endpoint: fault.endpoint,
      pasid: pasid < 0 ? null : pasid,
      iova: fault.iova,
      access: fault.access,
      reason: faultName(reason),
      timeNs: fault.timeNs,
    }));
  }

  metrics() {
    return sumMetrics(
      [...this.#parts.iommu.endpoints].map(({ counters }) => ({ metrics: counters.snapshot() })),
    );
  }

  translationLatencies() {
    return mergeLatencies([...this.#parts.iommu.endpoints].map(({ latency }) => latency));
  }

  startDirtyTracking(): void {
    this.#parts.ram.startDirtyLog();
  }

  takeDirtyPages() {
    return this.#parts.ram.takeDirtyPages();
  }

  collectTrace(): number {
    return 0;
  }

  lost(): Promise<null> {
    return Promise.resolve(null);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  #host(
    type: DeviceType<never, unknown>,
    device: PciFunction["device"],
    { id, memory }: Endpoint,
    messages: MessageCounts,
  ): PciFunction {
    const { clock, deviceError } = this.#parts;
    return new PciFunction(device, {
      memory,
      clock,
      sink: { message: (_address, _data, vector) => messages.add(vector), intx: () => {} },
      onError: (error) => deviceError(`${type.type} at ${formatRequesterId(id)}`, error),
    });
  }
}

/** {@linkcode ViaBackend} in this process. */
export function connectDirect(parts: MachineParts): ViaBackend {
  return new DirectBackend(parts);
}
