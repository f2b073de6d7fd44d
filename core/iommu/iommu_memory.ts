/**
 * Guest memory as one endpoint's DMA sees it: every access is translated, split
 * where the targets are not contiguous, counted, and refused with a record.
 * @module
 */

import {
  Access,
  Fault,
  type Gpa,
  type Iova,
  MAX_ADDRESS,
  PAGE_SIZE,
  type Status,
} from "../address.ts";
import { Copier } from "../memory/copier.ts";
import type { DirtyBitmap } from "../memory/dirty_bitmap.ts";
import type { GuestMemory } from "../memory/guest_memory.ts";
import { loadU64, storeU64 } from "../memory/guest_ram.ts";
import type { Memory, Pin, ScalarSize } from "../memory/memory.ts";
import { PAGE_REGISTERS, SOUGHT_PAGE, TARGET_PAGE } from "../memory/page_registers.ts";
import type { RamRegion } from "../memory/ram_region.ts";
import type { Clock } from "../observe/clock.ts";
import { Counter } from "../observe/counters.ts";
import { TraceKind, type TraceRing } from "../observe/trace.ts";
import { RUN as FOUND_RUN, SOUGHT, TARGET } from "./translation_table.ts";
import type { DmaContext } from "./endpoint.ts";
import { DmaPin } from "./in_flight.ts";

/** One translation in this many is timed: a clock costs more than what it times. */
const LATENCY_SAMPLE = 4096;
// Fields of IommuMemory.#long.
const BASE = 0;
const GPA = 1;
const RUN = 2;
const FIRST = 3;
const VALUE = 4;
/** Of IommuMemory.#pages, behind those that others know. */
const PLACE = PAGE_REGISTERS;
/** Byte ranges up to here are copied byte by byte: making a view for `set()` costs more. */
const SHORT = 16;

/** A translating {@linkcode Memory}. Nothing on its scalar and translation paths allocates. */
export class IommuMemory implements Memory<Iova> {
  readonly #context: DmaContext;
  readonly #memory: GuestMemory;
  readonly #clock: Clock;
  readonly #trace: TraceRing;
  readonly #counters: Float64Array;
  readonly #copier = new Copier();
  #untilSample = LATENCY_SAMPLE;
  #transferred = 0;
  /** Pins that were made while the trace was on, and are not released. */
  #tracedPins = 0;
  /** The access that goes the long way: its address, where it is now, and how far that goes. */
  readonly #long = new Float64Array(5);
  /** The page that is sought, the one it leads to, and its place in its region. */
  readonly #pages = new Float64Array(PAGE_REGISTERS + 1);
  /** Of scalars that no one fragment holds. */
  readonly #scratch = new Uint8Array(8);
  readonly #scratchView = new DataView(this.#scratch.buffer);

  /** Called by {@linkcode Iommu.addEndpoint}: `memory` is what the translations point into. */
  constructor(context: DmaContext, memory: GuestMemory, clock: Clock, trace: TraceRing) {
    this.#context = context;
    this.#memory = memory;
    this.#clock = clock;
    this.#trace = trace;
    this.#counters = context.endpoint.counters.values;
  }

  get transferred(): number {
    return this.#transferred;
  }

  // Each access leaves its address in #long at once, and hands over no more than the
  // offset in its page: V8 allocates for a number of 2^31 or more that crosses a call it
  // has not inlined, and addresses, and even numbers of pages, may be that large. What the
  // short way cannot do (pages that are mapped in pieces, accesses that cross pages,
  // faults, an event to record) goes the long way.

  read(iova: Iova, into: Uint8Array): Status {
    this.#long[BASE] = iova;
    return this.#read(into);
  }

  write(iova: Iova, from: Uint8Array): Status {
    this.#long[BASE] = iova;
    return this.#write(from);
  }

  readU8(iova: Iova): number {
    this.#long[BASE] = iova;
    return this.#readU8(iova & (PAGE_SIZE - 1));
  }

  readU16(iova: Iova): number {
    this.#long[BASE] = iova;
    return this.#readU16(iova & (PAGE_SIZE - 1));
  }

  readU32(iova: Iova): number {
    this.#long[BASE] = iova;
    this.#readU32(iova & (PAGE_SIZE - 1));
    return this.#long[VALUE]!;
  }

  readU64(iova: Iova): number {
    this.#long[BASE] = iova;
    this.#readU64(iova & (PAGE_SIZE - 1));
    return this.#long[VALUE]!;
  }

  writeU8(iova: Iova, value: number): Status {
    this.#long[BASE] = iova;
    return this.#writeU8(iova & (PAGE_SIZE - 1), value | 0);
  }

  writeU16(iova: Iova, value: number): Status {
    this.#long[BASE] = iova;
    return this.#writeU16(iova & (PAGE_SIZE - 1), value | 0);
  }

  writeU32(iova: Iova, value: number): Status {
    this.#long[BASE] = iova;
    return this.#writeU32(iova & (PAGE_SIZE - 1), value | 0);
  }

  writeU64(iova: Iova, value: number): Status {
    this.#long[BASE] = iova;
    this.#long[VALUE] = value;
    return this.#writeU64(iova & (PAGE_SIZE - 1));
  }

  atomicLoad(iova: Iova, size: ScalarSize): number {
    this.#long[BASE] = iova;
    this.#atomicLoad(iova & (PAGE_SIZE - 1), size);
    return this.#long[VALUE]!;
  }

  atomicStore(iova: Iova, size: ScalarSize, value: number): Status {
    this.#long[BASE] = iova;
    this.#long[VALUE] = value;
    return this.#atomicStore(iova & (PAGE_SIZE - 1), size);
  }

  check(iova: Iova, length: number, access: number): Status {
    const { space, bypass } = this.#context;
    if (space === null) {
      if (length > 0 && !bypass) return Fault.NO_DOMAIN;
      return this.#memory.check(iova as number as Gpa, length, access);
    }
    const ranges = space.table.ranges;
    for (let done = 0; done < length;) {
      const slot = space.table.find(iova + done, access);
      if (slot < 0) return slot as Fault;
      const into = iova + done - ranges.startOf(slot);
      const run = Math.min(length - done, ranges.lastOf(slot) - ranges.startOf(slot) + 1 - into);
      const status = this.#memory.check((ranges.targetOf(slot) + into) as Gpa, run, access);
      if (status !== 0) return status;
      done += run;
    }
    return 0;
  }

  slices(iova: Iova, length: number, access: number): readonly Uint8Array[] | Fault {
    const views: Uint8Array[] = [];
    const status = this.#appendSlices(iova, length, access, views);
    return status === 0 ? views : status;
  }

  pin(iova: Iova, length: number, access: number): Pin | Fault {
    const views: Uint8Array[] = [];
    const parts: Pin[] = [];
    const status = this.#appendSlices(iova, length, access, views, parts);
    if (status !== 0) {
      for (const part of parts) part.release();
      return status;
    }
    const { space, bypassInFlight, endpoint } = this.#context;
    const writes = (access & Access.WRITE) !== 0;
    // The pages were marked when the pin began; what was written since a fetch
    // of the marks in between would be lost without marking them again.
    const released = (): void => {
      for (const part of parts) part.release();
      if (writes) space?.dirty?.mark(iova, length);
    };
    return new DmaPin(
      space === null ? bypassInFlight : space.inFlight,
      views,
      iova,
      length,
      endpoint.id,
      this.#trace.on ? this.#tracePin(iova, length, released) : released,
      writes
        ? (offset, count) => this.#wrote(parts, space?.dirty ?? null, iova, offset, count)
        : null,
      (error) => endpoint.onDeviceError(error),
    );
  }

  #read(into: Uint8Array): Status {
    const offset = this.#long[BASE]! & (PAGE_SIZE - 1);
    if (into.length <= SHORT && offset + into.length <= PAGE_SIZE && into.length > 0) {
      return this.#readShort(offset, into);
    }
    return this.#copyOut(into, into.length);
  }

  #write(from: Uint8Array): Status {
    const offset = this.#long[BASE]! & (PAGE_SIZE - 1);
    if (from.length <= SHORT && offset + from.length <= PAGE_SIZE && from.length > 0) {
      return this.#writeShort(offset, from);
    }
    return this.#copyIn(from, from.length);
  }

  #readShort(offset: number, into: Uint8Array): Status {
    const region = this.#region(Access.READ);
    if (region === null) {
      return this.#copyOut(into, into.length);
    }
    const { bytes } = region;
    const at = this.#pages[PLACE]! + offset;
    if (into.buffer === bytes.buffer) into.set(bytes.subarray(at, at + into.length));
    else for (let i = 0; i < into.length; i++) into[i] = bytes[at + i]!;
    this.#counters[Counter.DMA_READ_BYTES]! += into.length;
    this.#transferred = into.length;
    return 0;
  }

  #writeShort(offset: number, from: Uint8Array): Status {
    const region = this.#region(Access.WRITE);
    if (region === null) {
      return this.#copyIn(from, from.length);
    }
    const { bytes } = region;
    const at = this.#pages[PLACE]! + offset;
    if (from.buffer === bytes.buffer) bytes.set(from, at);
    else for (let i = 0; i < from.length; i++) bytes[at + i] = from[i]!;
    this.#counters[Counter.DMA_WRITE_BYTES]! += from.length;
    this.#transferred = from.length;
    return 0;
  }

  #readU8(offset: number): number {
    const region = this.#region(Access.READ);
    if (region === null) {
      this.#readAcross(1);
      return this.#long[VALUE]!;
    }
    this.#counters[Counter.DMA_READ_BYTES]!++;
    return region.bytes[this.#pages[PLACE]! + offset]!;
  }

  #readU16(offset: number): number {
    const region = offset > PAGE_SIZE - 2 ? null : this.#region(Access.READ);
    if (region === null) {
      this.#readAcross(2);
      return this.#long[VALUE]!;
    }
    this.#counters[Counter.DMA_READ_BYTES]! += 2;
    return region.view.getUint16(this.#pages[PLACE]! + offset, true);
  }

  #readU32(offset: number): void {
    const region = offset > PAGE_SIZE - 4 ? null : this.#region(Access.READ);
    if (region === null) return this.#readAcross(4);
    this.#counters[Counter.DMA_READ_BYTES]! += 4;
    this.#long[VALUE] = region.view.getUint32(this.#pages[PLACE]! + offset, true);
  }

  #readU64(offset: number): void {
    const region = offset > PAGE_SIZE - 8 ? null : this.#region(Access.READ);
    if (region === null) return this.#readAcross(8);
    this.#counters[Counter.DMA_READ_BYTES]! += 8;
    const at = this.#pages[PLACE]! + offset;
    const high = region.view.getUint32(at + 4, true);
    this.#long[VALUE] = high > 0x1f_ffff
      ? Fault.TOO_WIDE
      : high * 2 ** 32 + region.view.getUint32(at, true);
  }

  #writeU8(offset: number, value: number): Status {
    const region = this.#region(Access.WRITE);
    if (region === null) {
      this.#scratch[0] = value;
      return this.#copyIn(this.#scratch, 1);
    }
    region.bytes[this.#pages[PLACE]! + offset] = value;
    this.#counters[Counter.DMA_WRITE_BYTES]!++;
    return 0;
  }

  #writeU16(offset: number, value: number): Status {
    const region = offset > PAGE_SIZE - 2 ? null : this.#region(Access.WRITE);
    if (region === null) {
      this.#scratchView.setUint16(0, value, true);
      return this.#copyIn(this.#scratch, 2);
    }
    region.view.setUint16(this.#pages[PLACE]! + offset, value, true);
    this.#counters[Counter.DMA_WRITE_BYTES]! += 2;
    return 0;
  }

  #writeU32(offset: number, value: number): Status {
    const region = offset > PAGE_SIZE - 4 ? null : this.#region(Access.WRITE);
    if (region === null) {
      this.#scratchView.setUint32(0, value, true);
      return this.#copyIn(this.#scratch, 4);
    }
    region.view.setUint32(this.#pages[PLACE]! + offset, value, true);
    this.#counters[Counter.DMA_WRITE_BYTES]! += 4;
    return 0;
  }

  #writeU64(offset: number): Status {
    const value = this.#long[VALUE]!;
    const low = value | 0;
    const high = Math.floor(value / 2 ** 32);
    const region = offset > PAGE_SIZE - 8 ? null : this.#region(Access.WRITE);
    if (region === null) {
      this.#scratchView.setUint32(0, low, true);
      this.#scratchView.setUint32(4, high, true);
      return this.#copyIn(this.#scratch, 8);
    }
    const at = this.#pages[PLACE]! + offset;
    region.view.setUint32(at, low, true);
    region.view.setUint32(at + 4, high, true);
    this.#counters[Counter.DMA_WRITE_BYTES]! += 8;
    return 0;
  }

  /** Leaves value or fault in {@linkcode #long}: it may be too large to be a result that costs nothing. */
  #atomicLoad(offset: number, size: ScalarSize): void {
    const status = this.#atomicLoadNear(offset, size);
    if (status !== 0) this.#long[VALUE] = status;
  }

  #atomicLoadNear(offset: number, size: ScalarSize): Status {
    if ((offset & (size - 1)) !== 0) return Fault.STRADDLES;
    const region = this.#region(Access.READ);
    if (region === null) return this.#atomicLoadFar(size);
    const at = this.#pages[PLACE]! + offset;
    const long = this.#long;
    switch (size) {
      case 1:
        long[VALUE] = Atomics.load(region.bytes, at);
        break;
      case 2:
        long[VALUE] = Atomics.load(region.u16, at / 2);
        break;
      case 4:
        long[VALUE] = Atomics.load(region.u32, at / 4);
        break;
      case 8: {
        const status = loadU64(region, at, long, VALUE);
        if (status !== 0) return status;
      }
    }
    this.#counters[Counter.DMA_READ_BYTES]! += size;
    return 0;
  }

  #atomicStore(offset: number, size: ScalarSize): Status {
    if ((offset & (size - 1)) !== 0) return Fault.STRADDLES;
    const region = this.#region(Access.WRITE);
    if (region === null) return this.#atomicStoreFar(size);
    const at = this.#pages[PLACE]! + offset;
    const long = this.#long;
    this.#counters[Counter.DMA_WRITE_BYTES]! += size;
    switch (size) {
      case 1:
        Atomics.store(region.bytes, at, long[VALUE]!);
        break;
      case 2:
        Atomics.store(region.u16, at / 2, long[VALUE]!);
        break;
      case 4:
        Atomics.store(region.u32, at / 4, long[VALUE]!);
        break;
      case 8:
        storeU64(region, at, long, VALUE);
        break;
    }
    return 0;
  }

  #atomicLoadFar(size: ScalarSize): Status {
    const long = this.#long;
    const status = this.#locate(0, Access.READ, size);
    if (status !== 0) return this.#refuse(0, Access.READ, status);
    if (long[RUN]! < size) return Fault.STRADDLES;
    const value = this.#memory.atomicLoad(long[GPA]! as Gpa, size);
    if (value < 0) return this.#refuseUnlessUnfit(Access.READ, value as Fault);
    long[FIRST] = long[GPA]!;
    long[VALUE] = value;
    this.#didRead(size);
    return 0;
  }

  #atomicStoreFar(size: ScalarSize): Status {
    const long = this.#long;
    const located = this.#locate(0, Access.WRITE, size);
    if (located !== 0) return this.#refuse(0, Access.WRITE, located);
    if (long[RUN]! < size) return Fault.STRADDLES;
    const status = this.#memory.atomicStore(long[GPA]! as Gpa, size, long[VALUE]!);
    if (status !== 0) return this.#refuseUnlessUnfit(Access.WRITE, status);
    long[FIRST] = long[GPA]!;
    this.#didWrite(size);
    return 0;
  }

  /**
   * The region whose bytes an access to the page of {@linkcode #long}'s address may
   * touch, with `pages[PLACE]` set to the page's place in it, in bytes; null sends the access
   * the long way. Counts the translation on success alone.
   */
  #region(access: number): RamRegion | null {
    if (this.#trace.on) return null;
    if (--this.#untilSample <= 0) return this.#regionTimed(access);
    const { space, bypass } = this.#context;
    const pages = this.#pages;
    const page = Math.floor(this.#long[BASE]! / PAGE_SIZE);
    if (space !== null) {
      pages[SOUGHT_PAGE] = page;
      if (space.table.translatePage(pages, access, this.#counters) < 0) return null;
    } else if (bypass) pages[TARGET_PAGE] = page;
    else return null;
    const region = this.#memory.regionAt(pages);
    // Dirty pages are marked after the bytes have changed, so where they are recorded
    // a write goes the long way.
    if (
      region === null || (access === Access.WRITE &&
        (region.readOnly || region.dirty !== null || (space !== null && space.dirty !== null)))
    ) {
      if (space !== null) space.table.uncount(this.#counters);
      return null;
    }
    this.#counters[Counter.TRANSLATIONS]!++;
    pages[PLACE] = (pages[TARGET_PAGE]! - region.firstPage) * PAGE_SIZE;
    return region;
  }

  /** As {@linkcode #region}, timed. Where that sends the access the long way, what is timed is the translation there. */
  #regionTimed(access: number): RamRegion | null {
    // #region() counts this access once more.
    this.#untilSample = LATENCY_SAMPLE + 1;
    const start = performance.now();
    const region = this.#region(access);
    const end = performance.now();
    if (region === null) this.#untilSample = 1;
    else this.#context.endpoint.latency.record(Math.round((end - start) * 1e6));
    return region;
  }

  /**
   * Translates the byte `done` bytes into the long way's access: {@linkcode #long}
   * then holds its target, and how far that goes. Counts, and does not record.
   */
  #locate(done: number, access: number, wanted: number): Status {
    if (--this.#untilSample <= 0) return this.#locateTimed(done, access, wanted);
    return this.#translate(done, access, wanted);
  }

  #translate(done: number, access: number, wanted: number): Status {
    const context = this.#context;
    const long = this.#long;
    this.#counters[Counter.TRANSLATIONS]!++;
    const space = context.space;
    if (space !== null) {
      const { table } = space;
      const { place } = table;
      place[SOUGHT] = long[BASE]! + done;
      const status = table.locatePlace(access, wanted, this.#counters);
      if (status !== 0) return status;
      long[GPA] = place[TARGET]!;
      long[RUN] = place[FOUND_RUN]!;
      return 0;
    }
    if (!context.bypass) return Fault.NO_DOMAIN;
    const iova = long[BASE]! + done;
    // Not the other way round: NaN is nowhere either.
    if (!(iova <= MAX_ADDRESS)) return Fault.NO_MEMORY;
    long[GPA] = iova;
    long[RUN] = MAX_ADDRESS + 1 - iova;
    return 0;
  }

  #locateTimed(done: number, access: number, wanted: number): Status {
    this.#untilSample = LATENCY_SAMPLE;
    const start = performance.now();
    const status = this.#translate(done, access, wanted);
    const end = performance.now();
    this.#context.endpoint.latency.record(Math.round((end - start) * 1e6));
    return status;
  }

  #copyOut(into: Uint8Array, length: number): Status {
    const memory = this.#memory;
    const long = this.#long;
    let done = 0;
    while (done < length) {
      const located = this.#locate(done, Access.READ, length - done);
      if (located !== 0) return this.#refusePart(done, Access.READ, located);
      if (done === 0) long[FIRST] = long[GPA]!;
      const run = Math.min(long[RUN]!, length - done);
      const gpa = long[GPA]!;
      this.#pages[TARGET_PAGE] = Math.floor(gpa / PAGE_SIZE);
      const region = memory.regionAt(this.#pages);
      if (region !== null && gpa + run <= region.last + 1) {
        this.#copier.offset[0] = gpa - region.start;
        this.#copier.copyOut(region, into, done, run);
      } else {
        const status = memory.copyOut(gpa as Gpa, into, done, run);
        if (status !== 0) return this.#refusePart(done + memory.transferred, Access.READ, status);
      }
      done += run;
    }
    this.#transferred = done;
    if (done > 0) this.#didRead(done);
    return 0;
  }

  #copyIn(from: Uint8Array, length: number): Status {
    const memory = this.#memory;
    const long = this.#long;
    let done = 0;
    while (done < length) {
      const located = this.#locate(done, Access.WRITE, length - done);
      if (located !== 0) return this.#refusePart(done, Access.WRITE, located);
      if (done === 0) long[FIRST] = long[GPA]!;
      const run = Math.min(long[RUN]!, length - done);
      const gpa = long[GPA]!;
      this.#pages[TARGET_PAGE] = Math.floor(gpa / PAGE_SIZE);
      const region = memory.regionAt(this.#pages);
      if (
        region !== null && gpa + run <= region.last + 1 && !region.readOnly && region.dirty === null
      ) {
        this.#copier.offset[0] = gpa - region.start;
        this.#copier.copyIn(from, done, region, run);
      } else {
        const status = memory.copyIn(gpa as Gpa, from, done, run);
        if (status !== 0) return this.#refusePart(done + memory.transferred, Access.WRITE, status);
      }
      done += run;
    }
    this.#transferred = done;
    if (done > 0) this.#didWrite(done);
    return 0;
  }

  /** With `pins` the views are held, by one pin of the memory for each run. */
  #appendSlices(
    iova: number,
    length: number,
    access: number,
    views: Uint8Array[],
    pins: Pin[] | null = null,
  ): Status {
    const memory = this.#memory;
    const long = this.#long;
    long[BASE] = iova;
    let done = 0;
    while (done < length) {
      const located = this.#locate(done, access, length - done);
      if (located !== 0) return this.#refuse(done, access, located);
      if (done === 0) long[FIRST] = long[GPA]!;
      const run = Math.min(long[RUN]!, length - done);
      const status = pins === null
        ? memory.appendSlices(long[GPA]! as Gpa, run, access, views)
        : pinPart(memory, long[GPA]! as Gpa, run, access, views, pins);
      if (status !== 0) return this.#refuse(done + memory.transferred, access, status);
      done += run;
    }
    if (done === 0) return 0;
    if ((access & Access.WRITE) !== 0) this.#didWrite(done);
    if ((access & Access.READ) !== 0) this.#didRead(done);
    return 0;
  }

  /** Leaves value or fault in {@linkcode #long}, as the others that read 4 or 8 bytes. */
  #readAcross(size: ScalarSize): void {
    const long = this.#long;
    const status = this.#copyOut(this.#scratch, size);
    const view = this.#scratchView;
    if (status !== 0) long[VALUE] = status;
    else if (size === 1) long[VALUE] = this.#scratch[0]!;
    else if (size === 2) long[VALUE] = view.getUint16(0, true);
    else if (size === 4) long[VALUE] = view.getUint32(0, true);
    else {
      const high = view.getUint32(4, true);
      long[VALUE] = high > 0x1f_ffff ? Fault.TOO_WIDE : high * 2 ** 32 + view.getUint32(0, true);
    }
  }

  /** The holder of a pin of these parts has written: see {@linkcode Pin.wrote}. */
  #wrote(
    parts: readonly Pin[],
    dirty: DirtyBitmap | null,
    iova: number,
    offset: number,
    length: number,
  ): Status {
    const end = offset + length;
    let at = 0;
    for (const part of parts) {
      const from = Math.max(offset, at);
      const run = Math.min(end, at + part.length) - from;
      if (run > 0) {
        const status = part.wrote(from - at, run);
        if (status !== 0) {
          this.#long[BASE] = iova;
          return this.#refuse(from + this.#memory.transferred, Access.WRITE, status);
        }
        dirty?.mark(iova + from, run);
      }
      at += part.length;
    }
    return 0;
  }

  /** The long way's access has read `length` bytes. */
  #didRead(length: number): void {
    this.#counters[Counter.DMA_READ_BYTES]! += length;
    const long = this.#long;
    if (this.#trace.on) this.#record(TraceKind.DMA_READ, long[BASE]!, length, long[FIRST]!);
  }

  /** As {@linkcode #didRead}. */
  #didWrite(length: number): void {
    this.#counters[Counter.DMA_WRITE_BYTES]! += length;
    const dirty = this.#context.space?.dirty ?? null;
    if (dirty !== null) dirty.mark(this.#long[BASE]!, length);
    const long = this.#long;
    if (this.#trace.on) this.#record(TraceKind.DMA_WRITE, long[BASE]!, length, long[FIRST]!);
  }

  /** A byte range that stopped after `done` bytes: they moved, and count. */
  #refusePart(done: number, access: number, fault: Fault): Fault {
    if (done > 0) {
      const writes = access === Access.WRITE;
      this.#counters[writes ? Counter.DMA_WRITE_BYTES : Counter.DMA_READ_BYTES]! += done;
      const dirty = this.#context.space?.dirty ?? null;
      if (writes && dirty !== null) dirty.mark(this.#long[BASE]!, done);
    }
    this.#transferred = done;
    return this.#refuse(done, access, fault);
  }

  /** A value too wide or an atomic that straddles is the device's mistake, no fault of translation. */
  #refuseUnlessUnfit(access: number, fault: Fault): Fault {
    if (fault === Fault.TOO_WIDE || fault === Fault.STRADDLES) return fault;
    return this.#refuse(0, access, fault);
  }

  /** Records the fault of the long way's access, `done` bytes into it. @returns it */
  #refuse(done: number, access: number, fault: Fault): Fault {
    const { endpoint, pasid } = this.#context;
    const iova = this.#long[BASE]! + done;
    this.#counters[Counter.FAULTS]!++;
    endpoint.faults.record(this.#clock.nowNs, pasid, iova, access, fault);
    if (this.#trace.on) {
      const kind = (access & Access.WRITE) !== 0 ? TraceKind.DMA_WRITE : TraceKind.DMA_READ;
      this.#record(kind, iova, 0, fault);
    }
    return fault;
  }

  /** Records that the access begins. @returns what records its end, and goes on with `released` */
  #tracePin(iova: number, length: number, released: () => void): () => void {
    this.#record(TraceKind.PIN, iova, length, ++this.#tracedPins);
    return () => {
      this.#tracedPins--;
      if (this.#trace.on) this.#record(TraceKind.UNPIN, iova, length, this.#tracedPins);
      released();
    };
  }

  #record(kind: number, iova: number, length: number, result: number): void {
    const { endpoint, pasid } = this.#context;
    this.#trace.record(this.#clock.nowNs, kind, endpoint.id, pasid, iova, length, result);
  }
}

/** As {@linkcode GuestMemory.appendSlices}, of a pin that is put behind `pins`. */
function pinPart(
  memory: GuestMemory,
  gpa: Gpa,
  length: number,
  access: number,
  views: Uint8Array[],
  pins: Pin[],
): Status {
  const pin = memory.pin(gpa, length, access);
  if (typeof pin === "number") return pin;
  pins.push(pin);
  views.push(...pin.slices);
  return 0;
}
