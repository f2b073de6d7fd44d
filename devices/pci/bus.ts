/**
 * A root complex and its bus 0: functions by requester ID, configuration access, address decoding,
 * and the firmware's part, assigning BARs.
 * @module
 */

import { type AddressWindow, BarAllocator } from "./bar_allocator.ts";
import type { BusSpace } from "./bars.ts";
import { deviceOf, DEVICES_PER_BUS, formatRequesterId, functionOf, requesterId } from "./bdf.ts";
import { HostBridge } from "./host_bridge.ts";
import { NoMemory } from "./no_memory.ts";
import type { AccessSize, BarIndex } from "./pci_device.ts";
import { PciFunction } from "./pci_function.ts";
import { allOnes } from "./registers.ts";
import * as spec from "./spec.ts";

/** Where BARs may be put. */
export interface BusWindows {
  /** For memory BARs; must end below 4 GiB. 0xe000_0000..0xfebf_ffff unless told, as on a PC. */
  readonly memory?: AddressWindow;
  /** For 64-bit BARs, before `memory` is tried. 512 GiB..1 TiB unless told. */
  readonly memory64?: AddressWindow;
  /** For I/O BARs. 0xc000..0xffff unless told. */
  readonly io?: AddressWindow;
}

/** A BAR that firmware has given an address. */
export interface BarAssignment {
  /** Requester ID of the function. */
  readonly endpoint: number;
  /** Index of the BAR. */
  readonly bar: BarIndex;
  /** Which space it is in. */
  readonly space: BusSpace;
  /** A multiple of its size. */
  readonly address: number;
  /** Bytes. */
  readonly size: number;
}

const DEFAULT_WINDOWS: Required<BusWindows> = {
  memory: { start: 0xe000_0000, length: 0x1ec0_0000 },
  memory64: { start: 0x80_0000_0000, length: 0x80_0000_0000 },
  io: { start: 0xc000, length: 0x4000 },
};

/**
 * Bus 0. What nobody answers to reads all ones and ignores writes. Functions are asked in the order
 * of their requester IDs, so of two that claim one address the lower answers.
 */
export class PciBus {
  readonly #functions = new Map<number, PciFunction>();
  #ordered: readonly [number, PciFunction][] = [];
  readonly #memory: BarAllocator;
  readonly #memory64: BarAllocator;
  readonly #io: BarAllocator;
  /** What each function was given: by whom, and where. */
  readonly #assigned = new Map<number, readonly (readonly [BarAllocator, number])[]>();

  /** A bus with its host bridge at 00:00.0. @throws {RangeError} when a window does not fit its space */
  constructor(windows: BusWindows = {}) {
    const { memory, memory64, io } = { ...DEFAULT_WINDOWS, ...windows };
    if (memory.start + memory.length > 2 ** 32) {
      throw new RangeError(
        "Cannot assign 32-bit BARs above 4 GiB: the memory window must end there",
      );
    }
    if (io.start + io.length > 2 ** 16) {
      throw new RangeError("Cannot assign I/O BARs above 64 KiB: the I/O window must end there");
    }
    this.#memory = new BarAllocator([memory]);
    this.#memory64 = new BarAllocator([memory64]);
    this.#io = new BarAllocator([io]);
    const bridge = new PciFunction(new HostBridge(), {
      memory: new NoMemory(),
      clock: { nowNs: 0, defer: () => ({ cancel: () => {} }) },
      sink: { message: () => {}, intx: () => {} },
    });
    this.plug(bridge, requesterId(0, 0));
  }

  /** Requester IDs and functions, ascending; the host bridge is the first. */
  get functions(): readonly (readonly [number, PciFunction])[] {
    return this.#ordered;
  }

  /** The function at `endpoint`, if there is one. */
  get(endpoint: number): PciFunction | undefined {
    return this.#functions.get(endpoint);
  }

  /** The requester ID of function 0 of the lowest free device number. @throws {RangeError} when the bus is full */
  nextFree(): number {
    for (let device = 0; device < DEVICES_PER_BUS; device++) {
      const id = requesterId(0, device);
      if (!this.#functions.has(id)) return id;
    }
    throw new RangeError(`Cannot plug a device in: all ${DEVICES_PER_BUS} of bus 0 are taken`);
  }

  /**
   * Plugs a function in and returns its requester ID: `endpoint`, or {@linkcode nextFree}. A further
   * function of a device makes it a multi-function device, which needs its function 0.
   * @throws {RangeError} when the place is taken, is not on bus 0 or has no function 0
   */
  plug(fn: PciFunction, endpoint: number = this.nextFree()): number {
    if (!Number.isInteger(endpoint) || endpoint < 0 || endpoint > 0xff) {
      throw new RangeError(`Cannot plug a function in at ${endpoint}: bus 0 has 0x00 to 0xff`);
    }
    const name = formatRequesterId(endpoint);
    if (this.#functions.has(endpoint)) {
      throw new RangeError(`Cannot plug a function in at ${name}: one is there already`);
    }
    if (functionOf(endpoint) !== 0 && !this.#functions.has(endpoint - functionOf(endpoint))) {
      throw new RangeError(`Cannot plug a function in at ${name}: the device has no function 0`);
    }
    const others = this.#ordered.filter(([other]) => deviceOf(other) === deviceOf(endpoint));
    for (const [, other] of others) other.markMultifunction();
    if (others.length > 0) fn.markMultifunction();
    this.#functions.set(endpoint, fn);
    this.#order();
    return endpoint;
  }

  /**
   * Puts `fn` in the place of the function at `endpoint`, as when a device has moved: the BAR addresses
   * stay given to that place. Programs nothing; what was there is returned.
   * @throws {RangeError} when no function is there
   */
  replace(endpoint: number, fn: PciFunction): PciFunction {
    const before = this.#functions.get(endpoint);
    if (before === undefined) {
      throw new RangeError(
        `Cannot replace the function at ${formatRequesterId(endpoint)}: none is there`,
      );
    }
    const shared = this.#ordered.some(([other]) =>
      other !== endpoint && deviceOf(other) === deviceOf(endpoint)
    );
    if (shared) fn.markMultifunction();
    this.#functions.set(endpoint, fn);
    this.#order();
    return before;
  }

  /** Takes a function out, and its BAR addresses back. False when none was there. */
  unplug(endpoint: number): boolean {
    if (!this.#functions.delete(endpoint)) return false;
    this.#release(endpoint);
    this.#order();
    return true;
  }

  /** Reads `size` bytes of a function's configuration space. */
  configRead(endpoint: number, offset: number, size: AccessSize): number {
    return this.#functions.get(endpoint)?.configRead(offset, size) ?? allOnes(size);
  }

  /** Writes `size` bytes of a function's configuration space. */
  configWrite(endpoint: number, offset: number, size: AccessSize, value: number): void {
    this.#functions.get(endpoint)?.configWrite(offset, size, value);
  }

  /** As {@linkcode configRead}, by ECAM offset: requester ID << 12 | register (PCIe 4.0, 7.2.2). */
  ecamRead(offset: number, size: AccessSize): number {
    return this.configRead(Math.floor(offset / 4096), offset & 4095, size);
  }

  /** As {@linkcode configWrite}, by ECAM offset. */
  ecamWrite(offset: number, size: AccessSize, value: number): void {
    this.configWrite(Math.floor(offset / 4096), offset & 4095, size, value);
  }

  /** Reads `size` bytes at an address of memory or I/O space. */
  read(space: BusSpace, address: number, size: AccessSize): number {
    for (const [, fn] of this.#ordered) {
      const hit = fn.decode(space, address, size);
      if (hit !== null) return fn.barRead(hit.bar, hit.offset, size);
    }
    return allOnes(size);
  }

  /** Writes the low `size` bytes of `value` at an address of memory or I/O space. */
  write(space: BusSpace, address: number, size: AccessSize, value: number): void {
    for (const [, fn] of this.#ordered) {
      const hit = fn.decode(space, address, size);
      if (hit !== null) return fn.barWrite(hit.bar, hit.offset, size, value);
    }
  }

  /** Fills `into` from an address of memory or I/O space: one access, as a BAR takes it. */
  readBytes(space: BusSpace, address: number, into: Uint8Array): void {
    for (const [, fn] of this.#ordered) {
      const hit = fn.decode(space, address, into.length);
      if (hit !== null) return fn.barReadBytes(hit.bar, hit.offset, into);
    }
    into.fill(0xff);
  }

  /** Writes all of `from` at an address of memory or I/O space: one access, as a BAR takes it. */
  writeBytes(space: BusSpace, address: number, from: Uint8Array): void {
    for (const [, fn] of this.#ordered) {
      const hit = fn.decode(space, address, from.length);
      if (hit !== null) return fn.barWriteBytes(hit.bar, hit.offset, from);
    }
  }

  /**
   * What firmware does: finds the functions' BARs by sizing them, and gives them addresses, largest
   * first. Those of `endpoint` alone when told, beside what is assigned already; otherwise all anew.
   * Enables nothing.
   * @throws {RangeError} when a window is used up, or no function is at `endpoint`
   */
  assignBars(endpoint?: number): readonly BarAssignment[] {
    if (endpoint !== undefined && !this.#functions.has(endpoint)) {
      throw new RangeError(
        `Cannot assign BARs at ${formatRequesterId(endpoint)}: no function is there`,
      );
    }
    const targets = endpoint === undefined ? [...this.#functions.keys()] : [endpoint];
    for (const target of targets) this.#release(target);
    const found = targets.flatMap((target) => this.#sizeBars(target))
      .sort((a, b) => b.size - a.size || a.endpoint - b.endpoint || a.bar - b.bar);
    return found.map((bar) => {
      const { size } = bar;
      const address = this.#allocate(bar);
      this.#program(bar, address);
      return {
        endpoint: bar.endpoint,
        bar: bar.bar,
        space: bar.io ? "io" : "memory",
        address,
        size,
      };
    });
  }

  /**
   * Which of the root complex's four interrupt lines, 0 to 3, the INTx pin of a function drives: pins
   * are rotated by device number (PCIe 4.0, 2.2.8.1). Null for a function without a pin.
   */
  interruptLine(endpoint: number): number | null {
    const pin = this.#functions.get(endpoint)?.config.get(spec.PCI_INTERRUPT_PIN, 1) ?? 0;
    return pin === 0 ? null : deviceOf(endpoint) + pin - 1 & 3;
  }

  /** Whether any function asserts the line, 0 to 3: it is shared. */
  lineAsserted(line: number): boolean {
    return this.#ordered.some(([endpoint, fn]) =>
      fn.intxAsserted && this.interruptLine(endpoint) === line
    );
  }

  /** Resets every function. BARs lose their addresses. */
  reset(): void {
    for (const [endpoint, fn] of this.#ordered) {
      fn.reset();
      this.#release(endpoint);
    }
  }

  #order(): void {
    this.#ordered = [...this.#functions].sort(([a], [b]) => a - b);
  }

  /** All by configuration accesses: the function may be any (PCI 3.0, 6.2.5.1). */
  #sizeBars(endpoint: number): SizedBar[] {
    const fn = this.#functions.get(endpoint);
    if (fn === undefined) return [];
    const sized: SizedBar[] = [];
    quietly(fn, () => {
      for (let bar = 0; bar < spec.PCI_STD_NUM_BARS; bar++) {
        const low = sizeRegister(fn, bar);
        if (low === 0) continue;
        const io = (low & spec.PCI_BASE_ADDRESS_SPACE_IO) !== 0;
        const wide = !io &&
          (low & spec.PCI_BASE_ADDRESS_MEM_TYPE_MASK) === spec.PCI_BASE_ADDRESS_MEM_TYPE_64;
        const flags = io ? spec.PCI_BASE_ADDRESS_IO_FLAGS : spec.PCI_BASE_ADDRESS_MEM_FLAGS;
        const high = wide ? sizeRegister(fn, bar + 1) : 0xffff_ffff;
        // What stuck is 2^64 (or 2^32) - size: exact as a difference of halves.
        const size = (0xffff_ffff - high) * 2 ** 32 + (2 ** 32 - ((low & ~flags) >>> 0));
        sized.push({ endpoint, bar: bar as BarIndex, io, wide, size });
        if (wide) bar++;
      }
    });
    return sized;
  }

  #allocate({ endpoint, io, wide, size }: SizedBar): number {
    const allocators = io ? [this.#io] : wide ? [this.#memory64, this.#memory] : [this.#memory];
    const allocator = allocators.find((candidate) => candidate.hasRoom(size)) ??
      (io ? this.#io : this.#memory);
    const address = allocator.allocate(size);
    const earlier = this.#assigned.get(endpoint) ?? [];
    this.#assigned.set(endpoint, [...earlier, [allocator, address]]);
    return address;
  }

  #program({ endpoint, bar, wide }: SizedBar, address: number): void {
    const fn = this.#functions.get(endpoint);
    if (fn === undefined) return;
    const at = spec.PCI_BASE_ADDRESS_0 + 4 * bar;
    quietly(fn, () => {
      fn.configWrite(at, 4, address % 2 ** 32);
      if (wide) fn.configWrite(at + 4, 4, Math.floor(address / 2 ** 32));
    });
  }

  #release(endpoint: number): void {
    for (const [allocator, address] of this.#assigned.get(endpoint) ?? []) allocator.free(address);
    this.#assigned.delete(endpoint);
  }
}

interface SizedBar {
  readonly endpoint: number;
  readonly bar: BarIndex;
  readonly io: boolean;
  readonly wide: boolean;
  readonly size: number;
}

/** A function must not answer at addresses that are made up, or half written. */
function quietly(fn: PciFunction, body: () => void): void {
  const command = fn.configRead(spec.PCI_COMMAND, 2);
  const decoding = spec.PCI_COMMAND_MEMORY | spec.PCI_COMMAND_IO;
  fn.configWrite(spec.PCI_COMMAND, 2, command & ~decoding);
  body();
  fn.configWrite(spec.PCI_COMMAND, 2, command);
}

/** Writes all ones, reads what stuck, and puts the old value back. */
function sizeRegister(fn: PciFunction, bar: number): number {
  const at = spec.PCI_BASE_ADDRESS_0 + 4 * bar;
  const before = fn.configRead(at, 4);
  fn.configWrite(at, 4, 0xffff_ffff);
  const stuck = fn.configRead(at, 4);
  fn.configWrite(at, 4, before);
  return stuck;
}
