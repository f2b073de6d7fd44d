/**
 * Guest memory as one endpoint's DMA sees it: every access is translated, split
 * where the targets are not contiguous, counted, and refused with a record.
 * @module
 */

import { Access, Fault, type Gpa, type Iova, MAX_ADDRESS, type Status } from "../address.ts";
import type { GuestMemory } from "../memory/guest_memory.ts";
import type { Memory, Pin, ScalarSize } from "../memory/memory.ts";
import type { Clock } from "../observe/clock.ts";
import { Counter } from "../observe/counters.ts";
import { TraceKind, type TraceRing } from "../observe/trace.ts";
import type { DmaContext } from "./endpoint.ts";
import { DmaPin } from "./in_flight.ts";

/** One translation in this many is timed: a clock costs more than what it times. */
const LATENCY_SAMPLE = 4096;

/** A translating {@linkcode Memory}. Nothing on its scalar and translation paths allocates. */
export class IommuMemory implements Memory<Iova> {
  readonly #context: DmaContext;
  readonly #memory: GuestMemory;
  readonly #clock: Clock;
  readonly #trace: TraceRing;
  readonly #counters: Float64Array;
  #untilSample = LATENCY_SAMPLE;
  #transferred = 0;
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

  read(iova: Iova, into: Uint8Array): Status {
    return this.#copyOut(iova, into, into.length);
  }

  write(iova: Iova, from: Uint8Array): Status {
    return this.#copyIn(iova, from, from.length);
  }

  readU8(iova: Iova): number {
    const gpa = this.#locate(iova, Access.READ, 1);
    if (gpa < 0) return this.#refuse(iova, iova, Access.READ, gpa as Fault);
    const value = this.#memory.readU8(gpa as Gpa);
    if (value < 0) return this.#refuse(iova, iova, Access.READ, value as Fault);
    this.#didRead(iova, 1, gpa);
    return value;
  }

  readU16(iova: Iova): number {
    const gpa = this.#locate(iova, Access.READ, 2);
    if (gpa < 0) return this.#refuse(iova, iova, Access.READ, gpa as Fault);
    const value = this.#run(iova) < 2 ? -1 : this.#memory.readU16(gpa as Gpa);
    if (value < 0) return this.#readAcross(iova, 2);
    this.#didRead(iova, 2, gpa);
    return value;
  }

  readU32(iova: Iova): number {
    const gpa = this.#locate(iova, Access.READ, 4);
    if (gpa < 0) return this.#refuse(iova, iova, Access.READ, gpa as Fault);
    const value = this.#run(iova) < 4 ? -1 : this.#memory.readU32(gpa as Gpa);
    if (value < 0) return this.#readAcross(iova, 4);
    this.#didRead(iova, 4, gpa);
    return value;
  }

  readU64(iova: Iova): number {
    const gpa = this.#locate(iova, Access.READ, 8);
    if (gpa < 0) return this.#refuse(iova, iova, Access.READ, gpa as Fault);
    const value = this.#run(iova) < 8 ? -1 : this.#memory.readU64(gpa as Gpa);
    if (value < 0) return value === Fault.TOO_WIDE ? value : this.#readAcross(iova, 8);
    this.#didRead(iova, 8, gpa);
    return value;
  }

  writeU8(iova: Iova, value: number): Status {
    const gpa = this.#locate(iova, Access.WRITE, 1);
    if (gpa < 0) return this.#refuse(iova, iova, Access.WRITE, gpa as Fault);
    const status = this.#memory.writeU8(gpa as Gpa, value);
    if (status !== 0) return this.#refuse(iova, iova, Access.WRITE, status);
    this.#didWrite(iova, 1, gpa);
    return 0;
  }

  writeU16(iova: Iova, value: number): Status {
    const gpa = this.#locate(iova, Access.WRITE, 2);
    if (gpa < 0) return this.#refuse(iova, iova, Access.WRITE, gpa as Fault);
    if (this.#run(iova) < 2 || this.#memory.writeU16(gpa as Gpa, value) !== 0) {
      this.#scratchView.setUint16(0, value, true);
      return this.#copyIn(iova, this.#scratch, 2);
    }
    this.#didWrite(iova, 2, gpa);
    return 0;
  }

  writeU32(iova: Iova, value: number): Status {
    const gpa = this.#locate(iova, Access.WRITE, 4);
    if (gpa < 0) return this.#refuse(iova, iova, Access.WRITE, gpa as Fault);
    if (this.#run(iova) < 4 || this.#memory.writeU32(gpa as Gpa, value) !== 0) {
      this.#scratchView.setUint32(0, value, true);
      return this.#copyIn(iova, this.#scratch, 4);
    }
    this.#didWrite(iova, 4, gpa);
    return 0;
  }

  writeU64(iova: Iova, value: number): Status {
    const gpa = this.#locate(iova, Access.WRITE, 8);
    if (gpa < 0) return this.#refuse(iova, iova, Access.WRITE, gpa as Fault);
    if (this.#run(iova) < 8 || this.#memory.writeU64(gpa as Gpa, value) !== 0) {
      this.#scratchView.setUint32(0, value, true);
      this.#scratchView.setUint32(4, Math.floor(value / 2 ** 32), true);
      return this.#copyIn(iova, this.#scratch, 8);
    }
    this.#didWrite(iova, 8, gpa);
    return 0;
  }

  atomicLoad(iova: Iova, size: ScalarSize): number {
    if ((iova & (size - 1)) !== 0) return Fault.STRADDLES;
    const gpa = this.#locate(iova, Access.READ, size);
    if (gpa < 0) return this.#refuse(iova, iova, Access.READ, gpa as Fault);
    if (this.#run(iova) < size) return Fault.STRADDLES;
    const value = this.#memory.atomicLoad(gpa as Gpa, size);
    if (value < 0) return this.#refuseUnlessUnfit(iova, Access.READ, value as Fault);
    this.#didRead(iova, size, gpa);
    return value;
  }

  atomicStore(iova: Iova, size: ScalarSize, value: number): Status {
    if ((iova & (size - 1)) !== 0) return Fault.STRADDLES;
    const gpa = this.#locate(iova, Access.WRITE, size);
    if (gpa < 0) return this.#refuse(iova, iova, Access.WRITE, gpa as Fault);
    if (this.#run(iova) < size) return Fault.STRADDLES;
    const status = this.#memory.atomicStore(gpa as Gpa, size, value);
    if (status !== 0) return this.#refuseUnlessUnfit(iova, Access.WRITE, status);
    this.#didWrite(iova, size, gpa);
    return 0;
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
    const status = this.#appendSlices(iova, length, access, views);
    if (status !== 0) return status;
    const { space, bypassInFlight, endpoint } = this.#context;
    const writes = (access & Access.WRITE) !== 0;
    return new DmaPin(
      space === null ? bypassInFlight : space.inFlight,
      views,
      iova,
      length,
      endpoint.id,
      // The pages were marked when the pin began; what was written since a fetch
      // of the marks in between would be lost without marking them again.
      writes ? this.#markerOf(iova, length, views) : null,
    );
  }

  /**
   * The first byte's target, or the fault; {@linkcode #run} says how far it goes.
   * Counts, and does not record.
   */
  #locate(iova: number, access: number, wanted: number): number {
    if (--this.#untilSample === 0) return this.#locateTimed(iova, access, wanted);
    return this.#translate(iova, access, wanted);
  }

  #translate(iova: number, access: number, wanted: number): number {
    const context = this.#context;
    this.#counters[Counter.TRANSLATIONS]!++;
    const space = context.space;
    if (space !== null) return space.table.translate(iova, access, wanted, this.#counters);
    if (!context.bypass) return Fault.NO_DOMAIN;
    return iova <= MAX_ADDRESS ? iova : Fault.NO_MEMORY;
  }

  #locateTimed(iova: number, access: number, wanted: number): number {
    this.#untilSample = LATENCY_SAMPLE;
    const start = performance.now();
    const gpa = this.#translate(iova, access, wanted);
    this.#context.endpoint.latency.record((performance.now() - start) * 1e6);
    return gpa;
  }

  /** Bytes from `iova`, located just before, to the end of its fragment. */
  #run(iova: number): number {
    const space = this.#context.space;
    return space !== null ? space.table.run : MAX_ADDRESS + 1 - iova;
  }

  #copyOut(iova: number, into: Uint8Array, length: number): Status {
    const memory = this.#memory;
    let done = 0;
    let first = 0;
    while (done < length) {
      const gpa = this.#locate(iova + done, Access.READ, length - done);
      if (gpa < 0) return this.#refusePart(iova, done, Access.READ, gpa as Fault);
      if (done === 0) first = gpa;
      const run = Math.min(this.#run(iova + done), length - done);
      const status = memory.copyOut(gpa as Gpa, into, done, run);
      if (status !== 0) {
        return this.#refusePart(iova, done + memory.transferred, Access.READ, status);
      }
      done += run;
    }
    this.#transferred = done;
    if (done > 0) this.#didRead(iova, done, first);
    return 0;
  }

  #copyIn(iova: number, from: Uint8Array, length: number): Status {
    const memory = this.#memory;
    let done = 0;
    let first = 0;
    while (done < length) {
      const gpa = this.#locate(iova + done, Access.WRITE, length - done);
      if (gpa < 0) return this.#refusePart(iova, done, Access.WRITE, gpa as Fault);
      if (done === 0) first = gpa;
      const run = Math.min(this.#run(iova + done), length - done);
      const status = memory.copyIn(gpa as Gpa, from, done, run);
      if (status !== 0) {
        return this.#refusePart(iova, done + memory.transferred, Access.WRITE, status);
      }
      done += run;
    }
    this.#transferred = done;
    if (done > 0) this.#didWrite(iova, done, first);
    return 0;
  }

  #appendSlices(iova: number, length: number, access: number, views: Uint8Array[]): Status {
    const memory = this.#memory;
    let done = 0;
    let first = 0;
    while (done < length) {
      const gpa = this.#locate(iova + done, access, length - done);
      if (gpa < 0) return this.#refuse(iova, iova + done, access, gpa as Fault);
      if (done === 0) first = gpa;
      const run = Math.min(this.#run(iova + done), length - done);
      const status = memory.appendSlices(gpa as Gpa, run, access, views);
      if (status !== 0) {
        return this.#refuse(iova, iova + done + memory.transferred, access, status);
      }
      done += run;
    }
    if (done === 0) return 0;
    if ((access & Access.WRITE) !== 0) this.#didWrite(iova, done, first);
    if ((access & Access.READ) !== 0) this.#didRead(iova, done, first);
    return 0;
  }

  #readAcross(iova: number, size: 2 | 4 | 8): number {
    const status = this.#copyOut(iova, this.#scratch, size);
    if (status !== 0) return status;
    const view = this.#scratchView;
    if (size === 2) return view.getUint16(0, true);
    if (size === 4) return view.getUint32(0, true);
    const high = view.getUint32(4, true);
    return high > 0x1f_ffff ? Fault.TOO_WIDE : high * 2 ** 32 + view.getUint32(0, true);
  }

  /** Marks by GPA and by IOVA what a pin may have written. */
  #markerOf(iova: number, length: number, views: readonly Uint8Array[]): () => void {
    const space = this.#context.space;
    const targets: { gpa: number; length: number }[] = [];
    let at = iova;
    for (const view of views) {
      const gpa = space === null ? at : this.#targetOf(space.table.ranges, at);
      targets.push({ gpa, length: view.length });
      at += view.length;
    }
    return () => {
      for (const target of targets) this.#memory.markDirty(target.gpa as Gpa, target.length);
      space?.dirty?.mark(iova, length);
    };
  }

  #targetOf(
    ranges: {
      find(a: number): number;
      startOf(s: number): number;
      targetOf(s: number): number;
    },
    iova: number,
  ): number {
    const slot = ranges.find(iova);
    return ranges.targetOf(slot) + (iova - ranges.startOf(slot));
  }

  #didRead(iova: number, length: number, gpa: number): void {
    this.#counters[Counter.DMA_READ_BYTES]! += length;
    if (this.#trace.on) this.#record(TraceKind.DMA_READ, iova, length, gpa);
  }

  #didWrite(iova: number, length: number, gpa: number): void {
    this.#counters[Counter.DMA_WRITE_BYTES]! += length;
    const space = this.#context.space;
    if (space !== null && space.dirty !== null) space.dirty.mark(iova, length);
    if (this.#trace.on) this.#record(TraceKind.DMA_WRITE, iova, length, gpa);
  }

  /** A byte range that stopped after `done` bytes: they moved, and count. */
  #refusePart(iova: number, done: number, access: number, fault: Fault): Fault {
    if (done > 0) {
      const writes = access === Access.WRITE;
      this.#counters[writes ? Counter.DMA_WRITE_BYTES : Counter.DMA_READ_BYTES]! += done;
      const space = this.#context.space;
      if (writes && space !== null && space.dirty !== null) space.dirty.mark(iova, done);
    }
    this.#transferred = done;
    return this.#refuse(iova, iova + done, access, fault);
  }

  /** A value too wide or an atomic that straddles is the device's mistake, no fault of translation. */
  #refuseUnlessUnfit(iova: number, access: number, fault: Fault): Fault {
    if (fault === Fault.TOO_WIDE || fault === Fault.STRADDLES) return fault;
    return this.#refuse(iova, iova, access, fault);
  }

  /** Records the fault at `at` of an access that began at `iova`. @returns it */
  #refuse(iova: number, at: number, access: number, fault: Fault): Fault {
    const { endpoint, pasid } = this.#context;
    this.#counters[Counter.FAULTS]!++;
    endpoint.faults.record(this.#clock.nowNs, pasid, at, access, fault);
    if (this.#trace.on) {
      const kind = (access & Access.WRITE) !== 0 ? TraceKind.DMA_WRITE : TraceKind.DMA_READ;
      this.#record(kind, at, at - iova, fault);
    }
    return fault;
  }

  #record(kind: number, iova: number, length: number, result: number): void {
    const { endpoint, pasid } = this.#context;
    this.#trace.record(this.#clock.nowNs, kind, endpoint.id, pasid, iova, length, result);
  }
}
