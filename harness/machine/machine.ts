/**
 * The machine a scenario runs on: guest RAM, the IOMMU, scenario time, and
 * devices that live wherever the via puts them.
 * @module
 */

import { Access, type Gpa, hex, type Iova, PAGE_SIZE } from "../../core/address.ts";
import { Iommu } from "../../core/iommu/iommu.ts";
import { IommuError } from "../../core/iommu/iommu_error.ts";
import { GuestRam } from "../../core/memory/guest_ram.ts";
import type { RamRegionSpec } from "../../core/memory/ram_region.ts";
import { TraceRing } from "../../core/observe/trace.ts";
import { VirtualClock } from "../../core/observe/virtual_clock.ts";
import type { DeviceType } from "../../devices/pci/pci_device.ts";
import { describeScenarioError } from "../run/describe_error.ts";
import { BufferInPages } from "./dma_buffer.ts";
import { IOVA_LIMIT, IovaAllocator } from "./iova_allocator.ts";
import { PageAllocator } from "./page_allocator.ts";
import type { DevicesElsewhere } from "../observe/devices_elsewhere.ts";
import { mixSeed, Random } from "../random.ts";
import type { Metrics } from "../run/run_report.ts";
import type {
  DmaBuffer,
  DmaBufferOptions,
  FaultReport,
  MachineIommu,
  MachineMemory,
  MigrateOptions,
  Mode,
  Plugged,
  PlugOptions,
  ScenarioContext,
} from "../scenario.ts";
import type { Latencies } from "../run/threshold.ts";
import type { MachineParts, ViaBackend } from "../via/backend.ts";
import type { MessageTap } from "../via/message_tap.ts";
import type { Variant } from "../via/variant.ts";

/** Where RAM goes on above the hole that 32-bit devices decode in. */
export const HIGH_RAM: Gpa = 2 ** 32 as Gpa;
/** Read-only memory, where the PC keeps its firmware: the last 64 KiB below 4 GiB. */
export const ROM: { readonly start: Gpa; readonly length: number } = {
  start: 0xffff_0000 as Gpa,
  length: 0x1_0000,
};

/** Errors of one device that are kept in full. */
const ERRORS_KEPT = 8;
/** Places that may turn out to be mapped already before a buffer gives up. */
const PLACE_TRIES = 64;

/** What to build. */
export interface MachineOptions {
  readonly mode: Mode;
  /** 1 to 4096; half of it from 4 GiB on. */
  readonly memoryMib: number;
  /** Of the machine's own choices: which pages, which IOVAs, the hashes. */
  readonly seed: number;
  readonly trace: "on" | "off";
  /** How the via's protocol is used: see `via/variant.ts`. As it is by itself unless told. */
  readonly variant?: Variant;
  /** Gets the messages of the via's protocol; nobody unless told. */
  readonly messages?: MessageTap;
}

/** Makes the bytes of RAM regions; fresh ones unless a via shares them. */
export type ShareRam = (regions: readonly RamRegionSpec[]) => readonly RamRegionSpec[];

/** One machine, for one run. */
export class Machine {
  readonly ram: GuestRam;
  readonly devices: { readonly endpoint: number; readonly type: string }[] = [];
  readonly trace: TraceRing;
  readonly memory: MachineMemory;
  readonly clock: ScenarioContext["clock"];
  readonly #mode: Mode;
  readonly #iommu: Iommu;
  #control: MachineIommu;
  readonly #backend: ViaBackend;
  readonly #pages: PageAllocator;
  readonly #iovas = new Map<number, IovaAllocator>();
  readonly #random: Random;
  readonly #errors = new Map<string, string[]>();
  readonly #errorCounts = new Map<string, number>();

  private constructor(
    options: MachineOptions,
    parts: Omit<MachineParts, "deviceError">,
    connect: (parts: MachineParts) => ViaBackend,
  ) {
    const { ram, iommu, clock } = parts;
    this.ram = ram;
    this.trace = iommu.trace;
    this.#mode = options.mode;
    this.#iommu = iommu;
    this.#random = new Random(mixSeed(options.seed, "places"));
    const ranges = ram.regions.filter(({ readOnly }) => !readOnly);
    this.#pages = new PageAllocator(ranges, new Random(mixSeed(options.seed, "pages")));
    const deviceError = (device: string, error: unknown, times?: number) =>
      this.#deviceError(device, error, times);
    this.#backend = connect({ ram, iommu, clock, deviceError });
    this.clock = {
      get nowNs() {
        return clock.nowNs;
      },
      advance: (ms) => this.#backend.advance(ms),
    };
    this.#control = this.#backend.iommu;
    this.memory = machineMemory(ram, this.#pages, this.#backend);
  }

  /** Builds a machine whose devices live where `connect` puts them. */
  static build(
    options: MachineOptions,
    connect: (parts: MachineParts) => ViaBackend,
    share: ShareRam = (regions) => regions,
  ): Machine {
    const half = options.memoryMib * 2 ** 19;
    const regions: readonly RamRegionSpec[] = [
      { name: "ram-low", start: 0 as Gpa, length: half },
      { name: "rom", ...ROM, readOnly: true },
      { name: "ram-high", start: HIGH_RAM, length: half },
    ];
    const ram = new GuestRam(share(regions));
    const clock = new VirtualClock();
    const trace = new TraceRing(options.trace === "on" ? 65536 : 1, options.trace);
    const iommu = new Iommu(ram, { clock, seed: mixSeed(options.seed, "iommu"), trace });
    if (options.mode === "identity") iommu.setBypass("on");
    return new Machine(options, { ram, iommu, clock }, connect);
  }

  /** See `ScenarioContext.iommu`. */
  get iommu(): MachineIommu {
    return this.#control;
  }

  /**
   * Lets `wrap` stand before the IOMMU's control path, to see what is done to it, and gives it the
   * IOMMU itself to look at. Call it before the scenario has the machine.
   */
  watch(wrap: (control: MachineIommu, iommu: Iommu) => MachineIommu): void {
    this.#control = wrap(this.#control, this.#iommu);
  }

  /** For who watches: the devices, when they are in another process. */
  get elsewhere(): DevicesElsewhere | null {
    return this.#backend.elsewhere ?? null;
  }

  /** See `ScenarioContext.plug()`. */
  async plug<Options, Driver>(
    type: DeviceType<Options, Driver>,
    options: Options,
    placement: PlugOptions = {},
  ): Promise<Plugged<Driver>> {
    const target = await this.#backend.plug(type, options);
    const { endpoint } = target;
    this.devices.push({ endpoint, type: type.type });
    let domain: number | null = null;
    if (this.#mode !== "identity" && placement.attach !== false) {
      domain = placement.domain ?? await this.iommu.createDomain();
      await this.iommu.attach(endpoint, domain);
    }
    return { endpoint, target, driver: type.driver(target), domain };
  }

  /** See `ScenarioContext.dmaBuffer()`. */
  async dmaBuffer(
    endpoint: number,
    length: number,
    options: DmaBufferOptions = {},
  ): Promise<DmaBuffer> {
    if (!Number.isSafeInteger(length) || length < 1) {
      throw new RangeError(`Cannot make a DMA buffer of ${length} bytes: want at least 1`);
    }
    const size = Math.ceil(length / PAGE_SIZE) * PAGE_SIZE;
    if (this.#mode === "identity") {
      if (options.iova !== undefined) {
        throw new Error(
          `Cannot place a DMA buffer at ${hex(options.iova)}: in identity mode the IOVA is the ` +
            `GPA, and memory decides; leave the option iova out`,
        );
      }
      const start = this.#pages.contiguous(size, PAGE_SIZE, IOVA_LIMIT);
      const pages = Array.from({ length: size / PAGE_SIZE }, (_, at) => start + at * PAGE_SIZE);
      return new BufferInPages(this.ram, start as number as Iova, pages as Gpa[], async () => {});
    }
    const domain = this.#iommu.endpoint(endpoint).domain;
    if (domain === null) {
      throw new Error(
        `Cannot make a DMA buffer for endpoint ${hex(endpoint, 4)}: it is attached to no domain`,
      );
    }
    const iovas = this.#iovasOf(domain.id);
    const pages = this.#pages.pages(size / PAGE_SIZE);
    const access = options.access ?? Access.READ_WRITE;
    let iova = options.iova ?? null;
    if (iova !== null) {
      await this.#mapPages(domain.id, iova, pages, access);
      iovas.take(iova, size);
    }
    for (let tried = 0; iova === null; tried++) {
      const place = iovas.allocate(size);
      try {
        await this.#mapPages(domain.id, place, pages, access);
        iova = place;
      } catch (error) {
        // The scenario has mapped something there itself: the place stays taken.
        const taken = error instanceof IommuError && error.code === "exists";
        if (!taken || tried >= PLACE_TRIES) throw error;
      }
    }
    const mapped = iova;
    return new BufferInPages(this.ram, mapped, pages, async () => {
      await this.iommu.unmap(domain.id, mapped, size);
      iovas.release(mapped);
    });
  }

  /** Takes the faults recorded since the last call, oldest first. */
  takeFaults(): Promise<readonly FaultReport[]> {
    return Promise.try(() => this.#backend.takeFaults());
  }

  /** The counters of all endpoints together. */
  metrics(): Metrics {
    return this.#backend.metrics();
  }

  /** The counters of each endpoint. @throws {Error} when the devices are elsewhere, and gone */
  endpointMetrics(): readonly { readonly endpoint: number; readonly metrics: Metrics }[] {
    const { elsewhere } = this;
    if (elsewhere !== null) return elsewhere.figures();
    return [...this.#iommu.endpoints].map(({ id, counters }) => ({
      endpoint: id,
      metrics: counters.snapshot(),
    }));
  }

  /** How long the sampled translations of all endpoints took. */
  translationLatencies(): Latencies {
    return this.#backend.translationLatencies();
  }

  /** Errors of device models, one text each: a run that has one fails. */
  deviceErrors(): readonly string[] {
    const all: string[] = [];
    for (const [device, errors] of this.#errors) {
      all.push(...errors);
      const more = this.#errorCounts.get(device)! - errors.length;
      if (more > 0) all.push(`Device ${device} failed ${more} more times`);
    }
    return all;
  }

  /** See `ScenarioContext.migrate()`. */
  async migrate(endpoint: number, options: MigrateOptions = {}): Promise<void> {
    await this.#backend.migrate(endpoint, options);
  }

  /** What devices did until now is in {@linkcode trace} when this returns: the number of events that it no longer holds. */
  collectTrace(): number {
    const lost = this.#backend.collectTrace();
    return this.trace.dropped + lost;
  }

  /** All that devices did is known when it resolves, errors that nobody has caught included. */
  async settle(): Promise<void> {
    try {
      await this.#backend.settle?.();
    } catch {
      // With the process gone, which lost() tells.
    }
  }

  /** Why the devices are gone, with the process they lived in; null while they are there. */
  lost(): Promise<string | null> {
    return this.#backend.lost();
  }

  /** Takes the devices down. The machine is of no use any more. @throws {Error} when something is left behind */
  async close(): Promise<void> {
    await this.#backend.close();
  }

  #deviceError(device: string, error: unknown, times = 1): void {
    const errors = this.#errors.get(device) ?? [];
    this.#errors.set(device, errors);
    this.#errorCounts.set(device, (this.#errorCounts.get(device) ?? 0) + times);
    if (errors.length < ERRORS_KEPT) {
      errors.push(`Device ${device} failed: ${describeScenarioError(error)}`);
    }
  }

  #iovasOf(domain: number): IovaAllocator {
    let iovas = this.#iovas.get(domain);
    if (iovas === undefined) {
      iovas = new IovaAllocator(this.#random);
      this.#iovas.set(domain, iovas);
    }
    return iovas;
  }

  /** All of the pages, or none. */
  async #mapPages(
    domain: number,
    iova: Iova,
    pages: readonly Gpa[],
    access: number,
  ): Promise<void> {
    let mapped = 0;
    try {
      for (const page of pages) {
        await this.iommu.map(domain, iova + mapped as Iova, page, PAGE_SIZE, access);
        mapped += PAGE_SIZE;
      }
    } catch (error) {
      if (mapped > 0) await this.iommu.unmap(domain, iova, mapped);
      throw error;
    }
  }
}

function machineMemory(ram: GuestRam, pages: PageAllocator, backend: ViaBackend): MachineMemory {
  return {
    cpu: ram,
    allocatePages: (count) => pages.pages(count),
    allocateContiguous: (length, { align, limit } = {}) => pages.contiguous(length, align, limit),
    async startDirtyTracking() {
      await Promise.resolve(backend.startDirtyTracking());
    },
    async takeDirtyPages() {
      return await Promise.resolve(backend.takeDirtyPages());
    },
  };
}
