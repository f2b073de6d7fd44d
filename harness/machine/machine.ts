/**
 * The machine a scenario runs on: guest RAM, the IOMMU, scenario time, and
 * devices that live wherever the via puts them.
 * @module
 */

import { Access, faultName, type Gpa, hex, type Iova, PAGE_SIZE } from "../../core/address.ts";
import { Iommu } from "../../core/iommu/iommu.ts";
import { IommuError } from "../../core/iommu/iommu_error.ts";
import { GuestRam } from "../../core/memory/guest_ram.ts";
import { TraceRing } from "../../core/observe/trace.ts";
import { VirtualClock } from "../../core/observe/virtual_clock.ts";
import type { DeviceType } from "../../devices/pci/pci_device.ts";
import type { PciTarget } from "../../devices/pci/pci_driver.ts";
import { describeScenarioError } from "../run/describe_error.ts";
import { BufferInPages } from "./dma_buffer.ts";
import { IOVA_LIMIT, IovaAllocator } from "./iova_allocator.ts";
import { mergeLatencies } from "./latencies.ts";
import { PageAllocator } from "./page_allocator.ts";
import { mixSeed, Random } from "../random.ts";
import { type Metrics, sumMetrics } from "../run/run_report.ts";
import type {
  DmaBuffer,
  DmaBufferOptions,
  FaultReport,
  MachineIommu,
  MachineMemory,
  Mode,
  Plugged,
  PlugOptions,
  ScenarioContext,
} from "../scenario.ts";
import type { Latencies } from "../run/threshold.ts";

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
}

/** What a via builds on. */
export interface MachineParts {
  readonly ram: GuestRam;
  readonly iommu: Iommu;
  readonly clock: VirtualClock;
  /** Records an error of a device model. `device` says which: `edu at 00:01.0`. */
  readonly deviceError: (device: string, error: unknown) => void;
}

/** Where devices live: one for each value of `Via`. */
export interface ViaBackend {
  /**
   * Plugs the device in at the next free address, with its endpoint added to the
   * IOMMU and its BARs and bus mastering enabled.
   */
  plug<Options>(type: DeviceType<Options, unknown>, options: Options): Promise<PciTarget>;
  /** Takes everything down. */
  close(): Promise<void>;
}

/** One machine, for one run. */
export class Machine {
  readonly ram: GuestRam;
  readonly devices: { readonly endpoint: number; readonly type: string }[] = [];
  readonly trace: TraceRing;
  readonly iommu: MachineIommu;
  readonly memory: MachineMemory;
  readonly clock: ScenarioContext["clock"];
  readonly #mode: Mode;
  readonly #iommu: Iommu;
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
    const deviceError = (device: string, error: unknown) => this.#deviceError(device, error);
    this.#backend = connect({ ram, iommu, clock, deviceError });
    this.clock = machineClock(clock, (error) => deviceError("a device's timer", error));
    this.iommu = machineIommu(iommu);
    this.memory = machineMemory(ram, this.#pages);
  }

  /** Builds a machine whose devices live where `connect` puts them. */
  static build(options: MachineOptions, connect: (parts: MachineParts) => ViaBackend): Machine {
    const half = options.memoryMib * 2 ** 19;
    const ram = new GuestRam([
      { name: "ram-low", start: 0 as Gpa, length: half },
      { name: "rom", ...ROM, readOnly: true },
      { name: "ram-high", start: HIGH_RAM, length: half },
    ]);
    const clock = new VirtualClock();
    const trace = new TraceRing(options.trace === "on" ? 65536 : 1, options.trace);
    const iommu = new Iommu(ram, { clock, seed: mixSeed(options.seed, "iommu"), trace });
    if (options.mode === "identity") iommu.setBypass("on");
    return new Machine(options, { ram, iommu, clock }, connect);
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
    const records = this.#iommu.drainFaults().map((fault): FaultReport => ({
      endpoint: fault.endpoint,
      pasid: fault.pasid < 0 ? null : fault.pasid,
      iova: fault.iova,
      access: fault.access,
      reason: faultName(fault.reason),
      timeNs: fault.timeNs,
    }));
    return Promise.resolve(records);
  }

  /** The counters of all endpoints together. */
  metrics(): Metrics {
    return sumMetrics(
      [...this.#iommu.endpoints].map(({ counters }) => ({ metrics: counters.snapshot() })),
    );
  }

  /** How long the sampled translations of all endpoints took. */
  translationLatencies(): Latencies {
    return mergeLatencies([...this.#iommu.endpoints].map(({ latency }) => latency));
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

  /** Takes the devices down. The machine is of no use any more. */
  async close(): Promise<void> {
    await this.#backend.close();
  }

  #deviceError(device: string, error: unknown): void {
    const errors = this.#errors.get(device) ?? [];
    this.#errors.set(device, errors);
    this.#errorCounts.set(device, (this.#errorCounts.get(device) ?? 0) + 1);
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

/** Scenario time. A task that throws is a device's, and does not keep others from their turn. */
function machineClock(
  clock: VirtualClock,
  failed: (error: unknown) => void,
): ScenarioContext["clock"] {
  return {
    get nowNs() {
      return clock.nowNs;
    },
    // deno-lint-ignore require-await -- what is thrown must be a rejection
    async advance(ms) {
      const untilNs = clock.nowNs + Math.round(ms * 1e6);
      if (!(ms >= 0)) clock.advance(ms);
      for (;;) {
        try {
          return clock.advance((untilNs - clock.nowNs) / 1e6);
        } catch (error) {
          failed(error);
        }
      }
    },
  };
}

function machineIommu(iommu: Iommu): MachineIommu {
  let lastDomain = 0;
  // Each call has changed the tables when it returns its promise, which then
  // waits for DMA in flight; errors are rejections.
  return {
    async createDomain() {
      do lastDomain++; while (iommu.hasDomain(lastDomain));
      return await Promise.resolve(iommu.createDomain(lastDomain).id);
    },
    async destroyDomain(domain) {
      await iommu.destroyDomain(domain);
    },
    async attach(endpoint, domain) {
      await iommu.attach(endpoint, domain);
    },
    async detach(endpoint) {
      await iommu.detach(endpoint);
    },
    async map(domain, iova, gpa, length, access) {
      await Promise.resolve(iommu.map(domain, iova, gpa, length, access));
    },
    async unmap(domain, iova, length) {
      return await iommu.unmap(domain, iova, length);
    },
    async startDirtyTracking(domain, iova, length) {
      await Promise.resolve(iommu.startDirtyTracking(domain, iova, length));
    },
    async takeDirtyPages(domain) {
      return await Promise.resolve(iommu.takeDirtyPages(domain));
    },
  };
}

function machineMemory(ram: GuestRam, pages: PageAllocator): MachineMemory {
  return {
    cpu: ram,
    allocatePages: (count) => pages.pages(count),
    allocateContiguous: (length, { align, limit } = {}) => pages.contiguous(length, align, limit),
    async startDirtyTracking() {
      await Promise.resolve(ram.startDirtyLog());
    },
    async takeDirtyPages() {
      return await Promise.resolve(ram.takeDirtyPages());
    },
  };
}
