/**
 * What a scenario author writes, and what a scenario is given to work with.
 *
 * A scenario is one file in `harness/scenarios/` (or anywhere, named on the
 * command line) whose default export is made by {@linkcode scenario}. It is
 * written once and runs in every mode and via it names: buffers come from
 * {@linkcode ScenarioContext.dmaBuffer}, which maps them the way the mode asks for.
 *
 * One rule keeps a scenario fit for every via: while an unmap, detach or attach waits for
 * DMA of a device that is in flight, registers and configuration space of that device are
 * not accessed, nothing is mapped for it, and its dirty pages are not asked for. vfio-user
 * answers the commands of a socket in their order, so these would wait for what only time
 * can end. Move the clock on instead, look by `target.inspect()`, or use another device.
 * Via `vfio-user` such an access throws.
 *
 * @module
 */

import type { Gpa, Iova } from "../core/address.ts";
import type { Memory } from "../core/memory/memory.ts";
import type { DeviceType } from "../devices/pci/pci_device.ts";
import type { PciTarget } from "../devices/pci/pci_driver.ts";

/** How a DMA address becomes a guest page. */
export type Mode = "identity" | "remap" | "ats" | "pri" | "pasid" | "iommufd";
/** Where the device lives. */
export type Via = "direct" | "vfio-user" | "qemu";

export const MODES: readonly Mode[] = ["identity", "remap", "ats", "pri", "pasid", "iommufd"];
export const VIAS: readonly Via[] = ["direct", "vfio-user", "qemu"];

/** What a scenario says about itself. */
export interface ScenarioOptions {
  /** One line: what holds when it passes. Shown by `--list` and in reports. */
  readonly title: string;
  /** For `--tag`. */
  readonly tags?: readonly string[];
  /** Modes in which it makes sense; `identity` and `remap` unless told. */
  readonly modes?: readonly Mode[];
  /** `direct` and `vfio-user` unless told. */
  readonly vias?: readonly Via[];
  /** Wall-clock milliseconds for one run; 10 000 unless told. */
  readonly timeoutMs?: number;
  /** Guest RAM in MiB, half of it from 4 GiB on; 16 unless told. */
  readonly memoryMib?: number;
  /**
   * Expressions over the run's metrics that must hold at the end, by metric name:
   * `{ faults: ["value==1"], translationSeconds: ["p(99)<50e-6"] }`. Metrics are
   * those of the JSON report, and the histogram `translationSeconds`.
   */
  readonly thresholds?: Readonly<Record<string, readonly string[]>>;
}

/** A fault as the machine recorded it. */
export interface FaultReport {
  /** Requester ID of the function whose access it was. */
  readonly endpoint: number;
  /** The PASID the access carried, or null. */
  readonly pasid: number | null;
  /** The first byte that could not be accessed. */
  readonly iova: Iova;
  /** What the access wanted: a value of `Access`. */
  readonly access: number;
  /** As `faultName()` spells it: `unmapped`, `permission`, `no-domain`, `no-memory`. */
  readonly reason: string;
  /** Scenario time in nanoseconds. */
  readonly timeNs: number;
}

/** The machine's IOMMU as software programs it. Each call is done, everywhere, when it resolves. */
export interface MachineIommu {
  /** Makes an empty domain and returns its ID. */
  createDomain(): Promise<number>;
  /** Forgets a domain and its mappings. @throws {IommuError} `no-domain`, `busy` while an endpoint is attached */
  destroyDomain(domain: number): Promise<void>;
  /** Puts the endpoint into the domain, out of any other. @throws {IommuError} `no-endpoint`, `no-domain` */
  attach(endpoint: number, domain: number): Promise<void>;
  /** Resolves when DMA in flight has ended. @throws {IommuError} `no-endpoint` */
  detach(endpoint: number): Promise<void>;
  /** Any byte range, of at least 1 byte. @throws {IommuError} `range`, `exists`, `no-domain` */
  map(domain: number, iova: Iova, gpa: Gpa, length: number, access: number): Promise<void>;
  /**
   * Removes the whole mappings in the range; resolves with the bytes unmapped, when
   * no device can reach them any more. @throws {IommuError} `range` when one is only partly inside
   */
  unmap(domain: number, iova: Iova, length: number): Promise<number>;
  /** From now on pages of the range that a device of the domain writes are recorded. */
  startDirtyTracking(domain: number, iova: Iova, length: number): Promise<void>;
  /** IOVAs of the pages written since the last call, ascending; they count as clean from now on. */
  takeDirtyPages(domain: number): Promise<readonly Iova[]>;
}

/** Guest RAM as the guest's CPUs see it, and who owns which page. */
export interface MachineMemory {
  /** Access by GPA. In every via the very bytes that devices reach. */
  readonly cpu: Memory<Gpa>;
  /** Takes `count` free pages in shuffled order, from below and above 4 GiB. @throws {Error} when RAM is used up */
  allocatePages(count: number): readonly Gpa[];
  /** Takes `length` bytes in one piece, at a multiple of `align`, below `limit` when given. */
  allocateContiguous(
    length: number,
    options?: { readonly align?: number; readonly limit?: number },
  ): Gpa;
  /** From now on pages that anyone writes are recorded. */
  startDirtyTracking(): Promise<void>;
  /** GPAs of the pages written since the last call, ascending; they count as clean from now on. */
  takeDirtyPages(): Promise<readonly Gpa[]>;
}

/** A buffer that a device reaches at {@linkcode iova}. */
export interface DmaBuffer {
  /** Where the device sees its first byte. */
  readonly iova: Iova;
  /** Bytes: whole pages. */
  readonly length: number;
  /** The page behind each 4 KiB of it. In identity mode they follow each other. */
  readonly pages: readonly Gpa[];
  /** A copy of `length` bytes from `offset` on, as the guest's CPU sees them. */
  read(offset?: number, length?: number): Uint8Array;
  /** Stores `bytes` at `offset`, as the guest's CPU does. */
  write(bytes: Uint8Array, offset?: number): void;
  /** Takes the device's access away; resolves when the promise of unmap holds. Nothing to do in identity mode. */
  unmap(): Promise<void>;
}

/** A device that is plugged in, from the guest's side. */
export interface Plugged<Driver> {
  /** Requester ID. */
  readonly endpoint: number;
  /** The function itself, for what the driver half does not cover. */
  readonly target: PciTarget;
  /** The guest driver's half. */
  readonly driver: Driver;
  /** The domain it was put in; null in identity mode and with `attach: false`. */
  readonly domain: number | null;
}

/** How a device is plugged in. */
export interface PlugOptions {
  /** A domain to share instead of a fresh one. Ignored in identity mode. */
  readonly domain?: number;
  /** False leaves the endpoint unattached: in a mode other than identity it can reach nothing. */
  readonly attach?: boolean;
}

/** How a buffer is made. */
export interface DmaBufferOptions {
  /** What the device may do: `Access.READ_WRITE` unless told. */
  readonly access?: number;
  /** Where it appears to the device; a free place below 256 MiB unless told. Not in identity mode. */
  readonly iova?: Iova;
}

/** How a device is moved. */
export interface MigrateOptions {
  /**
   * What goes on while the device still runs and what it has is copied already: pre-copy. The
   * device stops when it resolves. Without, it stops at once: stop-and-copy.
   */
  readonly preCopy?: () => Promise<void> | void;
}

/** What a scenario is given. */
export interface ScenarioContext {
  /** The mode of this run. */
  readonly mode: Mode;
  /** The via of this run. */
  readonly via: Via;
  /** The seed of this run, as the report prints it. */
  readonly seed: number;
  /** The machine's IOMMU. */
  readonly iommu: MachineIommu;
  /** The machine's memory. */
  readonly memory: MachineMemory;
  /** Scenario time. */
  readonly clock: {
    /** Nanoseconds of scenario time. */
    readonly nowNs: number;
    /** Moves scenario time on; everything that falls due has happened when it resolves. */
    advance(ms: number): Promise<void>;
  };

  /**
   * Plugs a device in at the next free address, enables its BARs and bus
   * mastering, and in a mode with an IOMMU puts it into a domain of its own.
   */
  plug<Options, Driver>(
    type: DeviceType<Options, Driver>,
    options: Options,
    placement?: PlugOptions,
  ): Promise<Plugged<Driver>>;

  /**
   * Moves the device to another home, as live migration of a guest does: to a model made anew, via
   * `vfio-user` in another process. It goes on where it was, with `device` as its handle;
   * messages that have arrived and were not taken are still there.
   * @throws {Error} when its model cannot migrate
   */
  migrate(device: Plugged<unknown>, options?: MigrateOptions): Promise<void>;

  /** Guest memory that the device can reach, scattered over RAM unless in identity mode. */
  dmaBuffer(
    device: Plugged<unknown>,
    length: number,
    options?: DmaBufferOptions,
  ): Promise<DmaBuffer>;

  /** An integer, uniform in [0, bound). Seeded by `--seed`; the only source of randomness. */
  random(bound: number): number;
  /** `length` random bytes. */
  randomBytes(length: number): Uint8Array;

  /** A named part with its own line and time. Steps nest. What it throws goes on. */
  step<T>(name: string, body: () => Promise<T> | T): Promise<T>;
  /** Records a check. The run fails when one is not `ok`, and goes on. */
  check(name: string, ok: boolean, detail?: string): void;
  /** Records a check that two JSON-like values or byte arrays are equal, with both in the detail when not. */
  equal<T>(name: string, actual: T, expected: T): void;
  /** The faults recorded since the last call, oldest first. */
  faults(): Promise<readonly FaultReport[]>;
  /** Moves the progress bar. */
  progress(done: number, total: number): void;
  /** A line for the report of this run; kept with it. */
  log(message: string): void;
}

/** A scenario, as its file exports it. */
export interface Scenario {
  /** Kebab-case, unique among all scenarios: `edu-dma-scatter`. */
  readonly name: string;
  /** What it says about itself. */
  readonly options: ScenarioOptions;
  /** What it does. A run fails when this throws, or a check was not `ok`. */
  readonly run: (t: ScenarioContext) => Promise<void>;
}

/** Makes a scenario: the default export of its file. */
export function scenario(
  name: string,
  options: ScenarioOptions,
  run: (t: ScenarioContext) => Promise<void>,
): Scenario {
  return { name, options, run };
}
