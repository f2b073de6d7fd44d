/**
 * What a via is: where a machine's devices live, and how the machine reaches them.
 * @module
 */

import type { Gpa } from "../../core/address.ts";
import type { Iommu } from "../../core/iommu/iommu.ts";
import type { GuestRam } from "../../core/memory/guest_ram.ts";
import type { VirtualClock } from "../../core/observe/virtual_clock.ts";
import type { DeviceType } from "../../devices/pci/pci_device.ts";
import type { PciTarget } from "../../devices/pci/pci_driver.ts";
import type { DevicesElsewhere } from "../observe/devices_elsewhere.ts";
import type { Metrics } from "../run/run_report.ts";
import type { Latencies } from "../run/threshold.ts";
import type { FaultReport, MachineIommu, MigrateOptions } from "../scenario.ts";

/** What a via builds on. */
export interface MachineParts {
  readonly ram: GuestRam;
  /** The machine's IOMMU: who is attached to what, and what is mapped. */
  readonly iommu: Iommu;
  /** Scenario time. The backend moves it. */
  readonly clock: VirtualClock;
  /** Records an error of a device model. `device` says which: `edu at 00:01.0`. It has come `times`, once unless told. */
  readonly deviceError: (device: string, error: unknown, times?: number) => void;
}

/** Where devices live: one for each value of `Via`. */
export interface ViaBackend {
  /** The IOMMU as scenarios program it: done everywhere when it resolves. */
  readonly iommu: MachineIommu;
  /** For who watches, when devices are in another process. */
  readonly elsewhere?: DevicesElsewhere;
  /**
   * Plugs the device in at the next free address, with its endpoint added to the
   * IOMMU and its BARs and bus mastering enabled.
   */
  plug<Options>(type: DeviceType<Options, unknown>, options: Options): Promise<PciTarget>;
  /** See `ScenarioContext.migrate()`. The target that {@linkcode plug} gave goes on. */
  migrate(endpoint: number, options: MigrateOptions): Promise<void>;
  /** Moves scenario time on by `ms`; everything that falls due has happened when it resolves. */
  advance(ms: number): Promise<void>;
  /** Takes the faults recorded since the last call, oldest first. */
  takeFaults(): readonly FaultReport[];
  /** The counters of all endpoints together. */
  metrics(): Metrics;
  /** How long the sampled translations of all endpoints took. */
  translationLatencies(): Latencies;
  /** From now on pages of RAM that anyone writes are recorded. */
  startDirtyTracking(): void;
  /** GPAs of the pages written since the last call, ascending. */
  takeDirtyPages(): readonly Gpa[];
  /** Brings the IOMMU's trace ring up to date with what devices did. @returns events that were lost on the way */
  collectTrace(): number;
  /** All that devices did, also what nobody has caught, is known when it resolves. For devices elsewhere. */
  settle?(): Promise<void>;
  /** Why the devices are gone, with their process; null while they are there. */
  lost(): Promise<string | null>;
  /** Takes everything down. @throws {Error} when something is left behind */
  close(): Promise<void>;
}
