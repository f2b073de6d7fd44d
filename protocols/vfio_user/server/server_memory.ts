/**
 * The memory that the mappings of clients point into: a synthetic address space in which each file,
 * and each range without one, has a window. An IOMMU in front of it translates a client's IOVAs to
 * these addresses, so that DMA through a mapped file costs what it costs in guest RAM.
 * @module
 */

import { Access, Fault, type Gpa, PAGE_SIZE, type Status } from "../../../core/address.ts";
import type { GuestMemory } from "../../../core/memory/guest_memory.ts";
import { GuestRam } from "../../../core/memory/guest_ram.ts";
import type { Pin, ScalarSize } from "../../../core/memory/memory.ts";
import { TARGET_PAGE } from "../../../core/memory/page_registers.ts";
import { RamPin } from "../../../core/memory/ram_pin.ts";
import type { RamRegion } from "../../../core/memory/ram_region.ts";
import { AddressPool } from "./address_pool.ts";
import type { Backing } from "./backing.ts";
import { Bounces } from "./bounces.ts";

/** Below are windows of mapped files, from here on those of other kinds. */
export const FAR: number = 2 ** 51;
const FAR_PAGE = FAR / PAGE_SIZE;
const END = 2 ** 52;
const TWO_32 = 2 ** 32;

/** A window that is not mapped. */
interface FarWindow {
  readonly start: number;
  readonly last: number;
  readonly backing: Backing;
}

/** What a server machine offers its memory. */
export interface ServerMemoryOptions {
  /** Runs a task at the end of the event-loop turn. */
  readonly post: (task: () => void) => void;
}

/** Mapped windows go the short way, {@linkcode GuestRam}'s; the others by calls and messages. */
export class ServerMemory implements GuestMemory {
  readonly #ram = new GuestRam([]);
  readonly #near = new AddressPool(0, FAR);
  readonly #far = new AddressPool(FAR, END);
  readonly #windows = new Map<number, FarWindow>();
  readonly #bounces: Bounces;
  #recent: FarWindow | null = null;
  #nextTag = 0;
  #transferred = 0;
  readonly #scratch = new Uint8Array(8);
  readonly #view = new DataView(this.#scratch.buffer);

  /** Makes one without windows. */
  constructor(options: ServerMemoryOptions) {
    this.#bounces = new Bounces(options.post);
  }

  /** Windows that are there. */
  get windows(): number {
    return this.#ram.regions.length + this.#windows.size;
  }

  /** Copies that stand in for memory that is not mapped, and that devices may still write to. */
  get bounces(): number {
    return this.#bounces.count;
  }

  /**
   * Stores what devices have written to views of memory that is not mapped. To be called before the
   * driver is told anything: it may look at once.
   */
  settleViews(): void {
    if (this.#bounces.views > 0) this.#bounces.settle();
  }

  get size(): number {
    return this.#ram.size + this.#far.bytes;
  }

  get transferred(): number {
    return this.#transferred;
  }

  /**
   * Shows mapped bytes; what is behind the last whole page stays out of reach. @returns the window's
   * start, or -1 when there is no room for it
   */
  showMapped(name: string, bytes: Uint8Array): number {
    const length = Math.floor(bytes.length / PAGE_SIZE) * PAGE_SIZE;
    if (length === 0) return -1;
    const start = this.#near.allocate(length, 0);
    if (start < 0) return -1;
    try {
      this.#ram.addRegion({
        name,
        start: start as Gpa,
        length,
        bytes: length === bytes.length ? bytes : bytes.subarray(0, length),
      });
    } catch (error) {
      this.#near.free(start);
      // Longer than the engine makes arrays.
      if (error instanceof RangeError) return -1;
      throw error;
    }
    return start;
  }

  /** Takes a window of {@linkcode showMapped} away. */
  hideMapped(start: number): void {
    this.#ram.removeRegion(start as Gpa);
    this.#near.free(start);
  }

  /** Shows what is reached by calls or messages. @returns the window's start, or -1 when there is no room */
  showFar(backing: Backing): number {
    const tag = this.#nextTag++;
    const start = this.#far.allocate(backing.length, tag);
    if (start < 0) return -1;
    this.#windows.set(tag, { start, last: start + backing.length - 1, backing });
    return start;
  }

  /** Takes a window of {@linkcode showFar} away. */
  hideFar(start: number): void {
    const tag = this.#far.tagAt(start);
    const window = this.#windows.get(tag);
    if (window === undefined) return;
    this.#bounces.forget(window.backing);
    this.#windows.delete(tag);
    this.#far.free(start);
    if (this.#recent === window) this.#recent = null;
  }

  regionAt(pages: Float64Array): RamRegion | null {
    return pages[TARGET_PAGE]! < FAR_PAGE ? this.#ram.regionAt(pages) : null;
  }

  read(gpa: Gpa, into: Uint8Array): Status {
    return this.copyOut(gpa, into, 0, into.length);
  }

  write(gpa: Gpa, from: Uint8Array): Status {
    return this.copyIn(gpa, from, 0, from.length);
  }

  copyOut(gpa: Gpa, into: Uint8Array, at: number, length: number): Status {
    if (gpa < FAR) {
      const status = this.#ram.copyOut(gpa, into, at, length);
      this.#transferred = this.#ram.transferred;
      return status;
    }
    return this.#copyFar(gpa, into, at, length, Access.READ);
  }

  copyIn(gpa: Gpa, from: Uint8Array, at: number, length: number): Status {
    if (gpa < FAR) {
      const status = this.#ram.copyIn(gpa, from, at, length);
      this.#transferred = this.#ram.transferred;
      return status;
    }
    return this.#copyFar(gpa, from, at, length, Access.WRITE);
  }

  readU8(gpa: Gpa): number {
    return gpa < FAR ? this.#ram.readU8(gpa) : this.#load(gpa, 1);
  }

  readU16(gpa: Gpa): number {
    return gpa < FAR ? this.#ram.readU16(gpa) : this.#load(gpa, 2);
  }

  readU32(gpa: Gpa): number {
    return gpa < FAR ? this.#ram.readU32(gpa) : this.#load(gpa, 4);
  }

  readU64(gpa: Gpa): number {
    return gpa < FAR ? this.#ram.readU64(gpa) : this.#load(gpa, 8);
  }

  writeU8(gpa: Gpa, value: number): Status {
    return gpa < FAR ? this.#ram.writeU8(gpa, value) : this.#store(gpa, 1, value);
  }

  writeU16(gpa: Gpa, value: number): Status {
    return gpa < FAR ? this.#ram.writeU16(gpa, value) : this.#store(gpa, 2, value);
  }

  writeU32(gpa: Gpa, value: number): Status {
    return gpa < FAR ? this.#ram.writeU32(gpa, value) : this.#store(gpa, 4, value);
  }

  writeU64(gpa: Gpa, value: number): Status {
    return gpa < FAR ? this.#ram.writeU64(gpa, value) : this.#store(gpa, 8, value);
  }

  /** Outside mapped windows it is one message or one call: as indivisible as the other end makes it. */
  atomicLoad(gpa: Gpa, size: ScalarSize): number {
    if (gpa < FAR) return this.#ram.atomicLoad(gpa, size);
    return (gpa & (size - 1)) !== 0 ? Fault.STRADDLES : this.#load(gpa, size);
  }

  /** As {@linkcode atomicLoad}. */
  atomicStore(gpa: Gpa, size: ScalarSize, value: number): Status {
    if (gpa < FAR) return this.#ram.atomicStore(gpa, size, value);
    return (gpa & (size - 1)) !== 0 ? Fault.STRADDLES : this.#store(gpa, size, value);
  }

  check(gpa: Gpa, length: number, access: number): Status {
    if (gpa < FAR) return this.#ram.check(gpa, length, access);
    return length === 0 || this.#window(gpa, length) !== null ? 0 : Fault.NO_MEMORY;
  }

  slices(gpa: Gpa, length: number, access: number): readonly Uint8Array[] | Fault {
    const views: Uint8Array[] = [];
    const status = this.appendSlices(gpa, length, access, views);
    return status === 0 ? views : status;
  }

  appendSlices(gpa: Gpa, length: number, access: number, views: Uint8Array[]): Status {
    if (gpa < FAR) {
      const status = this.#ram.appendSlices(gpa, length, access, views);
      this.#transferred = this.#ram.transferred;
      return status;
    }
    this.#transferred = 0;
    if (length === 0) return 0;
    const window = this.#window(gpa, length);
    if (window === null || !this.#bounces.hasRoom(length)) return Fault.NO_MEMORY;
    const { backing, start } = window;
    const view = new Uint8Array(length);
    if ((access & Access.READ) !== 0 || backing.readable) {
      const status = backing.read(gpa - start, view);
      if (status !== 0) {
        this.#transferred = backing.transferred;
        return status;
      }
    }
    if ((access & Access.WRITE) !== 0) this.#bounces.add(backing, gpa - start, view);
    views.push(view);
    this.#transferred = length;
    return 0;
  }

  /** A pin of what is not mapped is a copy: read when it begins, stored when its holder says so. */
  pin(gpa: Gpa, length: number, access: number): Pin | Fault {
    if (gpa < FAR) {
      const pin = this.#ram.pin(gpa, length, access);
      this.#transferred = this.#ram.transferred;
      return pin;
    }
    this.#transferred = 0;
    const writes = (access & Access.WRITE) !== 0;
    if (length === 0) return new RamPin([], 0, writes ? () => {} : null);
    const window = this.#window(gpa, length);
    if (window === null || !this.#bounces.hasRoom(length)) return Fault.NO_MEMORY;
    const { backing, start } = window;
    const view = new Uint8Array(length);
    if ((access & Access.READ) !== 0) {
      const status = backing.read(gpa - start, view);
      this.#transferred = backing.transferred;
      if (status !== 0) return status;
    }
    this.#transferred = length;
    if (!writes) return new RamPin([view], length, null);
    return this.#bounces.pin(view, (offset, bytes) => {
      this.#transferred = 0;
      // With its window gone, nobody may reach the memory any more.
      if (this.#window(gpa, length) !== window) return Fault.NO_MEMORY;
      const status = backing.write(gpa - start + offset, bytes);
      this.#transferred = backing.transferred;
      return status;
    });
  }

  /** What is not mapped keeps no record of its pages. */
  markDirty(gpa: Gpa, length: number): void {
    if (gpa < FAR) this.#ram.markDirty(gpa, length);
  }

  /** Fills a part of `bytes` with what is there, or stores it there. */
  #copyFar(gpa: Gpa, bytes: Uint8Array, at: number, length: number, access: number): Status {
    this.#transferred = 0;
    if (length === 0) return 0;
    const window = this.#window(gpa, length);
    if (window === null) return Fault.NO_MEMORY;
    const { backing, start } = window;
    const part = at === 0 && length === bytes.length ? bytes : bytes.subarray(at, at + length);
    const status = access === Access.READ
      ? backing.read(gpa - start, part)
      : backing.write(gpa - start, part);
    this.#transferred = backing.transferred;
    return status;
  }

  /** The window that holds all of the range, or null. */
  #window(gpa: number, length: number): FarWindow | null {
    let window = this.#recent;
    if (window === null || gpa < window.start || gpa > window.last) {
      window = this.#windows.get(this.#far.tagAt(gpa)) ?? null;
      if (window === null) return null;
      this.#recent = window;
    }
    return gpa + length - 1 <= window.last ? window : null;
  }

  #load(gpa: Gpa, size: ScalarSize): number {
    const status = this.copyOut(gpa, this.#scratch, 0, size);
    if (status !== 0) return status;
    const view = this.#view;
    switch (size) {
      case 1:
        return view.getUint8(0);
      case 2:
        return view.getUint16(0, true);
      case 4:
        return view.getUint32(0, true);
      case 8: {
        const high = view.getUint32(4, true);
        return high > 0x1f_ffff ? Fault.TOO_WIDE : high * TWO_32 + view.getUint32(0, true);
      }
    }
  }

  #store(gpa: Gpa, size: ScalarSize, value: number): Status {
    const view = this.#view;
    view.setUint32(0, value % TWO_32, true);
    if (size === 8) view.setUint32(4, Math.floor(value / TWO_32), true);
    return this.copyIn(gpa, this.#scratch, 0, size);
  }
}
