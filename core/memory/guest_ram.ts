/**
 * Guest memory by GPA: several regions with holes between them, some read-only,
 * over any ArrayBuffer: the process's own or a mapped one.
 * @module
 */

import {
  Access,
  Fault,
  type Gpa,
  hex,
  hexRange,
  isRange,
  MAX_ADDRESS,
  PAGE_SIZE,
  type Status,
} from "../address.ts";
import { Copier } from "./copier.ts";
import { DirtyBitmap } from "./dirty_bitmap.ts";
import type { GuestMemory } from "./guest_memory.ts";
import type { Pin, ScalarSize } from "./memory.ts";
import { TARGET_PAGE } from "./page_registers.ts";
import { RamPin } from "./ram_pin.ts";
import { RamRegion, type RamRegionSpec } from "./ram_region.ts";

/** The region of no address: beyond them all, and its last byte before its first. */
const NOWHERE = new RamRegion({ name: "nowhere", start: 2 ** 53 as Gpa, length: 0 });

const TWO_32 = 2 ** 32;

/** Guest memory, addressed by GPA. Every access goes to the region that holds it; a hole is `NO_MEMORY`. */
export class GuestRam implements GuestMemory {
  /** Ascending. */
  readonly #regions: RamRegion[] = [];
  /** The region of the last access: the next one is most often there too. */
  #recent: RamRegion = NOWHERE;
  readonly #copier = new Copier();
  #transferred = 0;
  #dirtyLog: "on" | "off" = "off";

  /**
   * Makes guest memory of these regions; more may come later.
   * @throws {RangeError} as {@linkcode addRegion}
   */
  constructor(regions: readonly RamRegionSpec[]) {
    for (const region of regions) this.addRegion(region);
  }

  /**
   * Adds a region.
   * @throws {RangeError} when it is not made of whole pages, overlaps another, or its bytes do not fit it
   */
  addRegion(spec: RamRegionSpec): RamRegion {
    // Said only when it fails: memory that peers map comes and goes thousands of times a second.
    const refusal = (why: string): RangeError =>
      new RangeError(
        `Cannot place region ${spec.name} at ${hexRange(spec.start, spec.length)}: ${why}`,
      );
    if (!isRange(spec.start, spec.length)) {
      throw refusal("addresses are integers from 0 to 2^52 - 1");
    }
    if (spec.length === 0 || spec.start % PAGE_SIZE !== 0 || spec.length % PAGE_SIZE !== 0) {
      throw refusal(`a region is made of whole pages of ${PAGE_SIZE} bytes`);
    }
    if (spec.bytes !== undefined) {
      const { length, byteOffset } = spec.bytes;
      if (length !== spec.length) throw refusal(`it was given ${length} bytes`);
      if (byteOffset % 8 !== 0) {
        throw refusal(
          `its bytes are at offset ${hex(byteOffset)} of their buffer, which is no multiple of 8`,
        );
      }
    }
    const at = this.#after(spec.start);
    const before = this.#regions[at - 1];
    const after = this.#regions[at];
    if (before !== undefined && before.last >= spec.start) {
      throw refusal(`it overlaps region ${before.name}`);
    }
    if (after !== undefined && after.start < spec.start + spec.length) {
      throw refusal(`it overlaps region ${after.name}`);
    }
    const region = new RamRegion(spec);
    if (this.#dirtyLog === "on") region.dirty = new DirtyBitmap(region.start, region.length);
    this.#regions.splice(at, 0, region);
    return region;
  }

  /**
   * Takes the region that starts at `start` away: its addresses are a hole from now
   * on. Views handed out by {@linkcode slices} stay as they are; who calls has seen
   * to it that none is in use. @returns whether there was one
   */
  removeRegion(start: Gpa): boolean {
    const at = this.#after(start) - 1;
    if (this.#regions[at]?.start !== start) return false;
    this.#regions.splice(at, 1);
    this.#recent = NOWHERE;
    return true;
  }

  /** The regions, ascending. */
  get regions(): readonly RamRegion[] {
    return this.#regions;
  }

  /** Bytes of all regions together. */
  get size(): number {
    return this.#regions.reduce((sum, region) => sum + region.length, 0);
  }

  get transferred(): number {
    return this.#transferred;
  }

  read(gpa: Gpa, into: Uint8Array): Status {
    return this.copyOut(gpa, into, 0, into.length);
  }

  write(gpa: Gpa, from: Uint8Array): Status {
    return this.copyIn(gpa, from, 0, from.length);
  }

  copyOut(gpa: Gpa, into: Uint8Array, at: number, length: number): Status {
    let done = 0;
    while (done < length) {
      const address = gpa + done;
      const region = this.#find(address);
      if (region === null) {
        this.#transferred = done;
        return Fault.NO_MEMORY;
      }
      const offset = address - region.start;
      const run = Math.min(length - done, region.length - offset);
      this.#copier.offset[0] = offset;
      this.#copier.copyOut(region, into, at + done, run);
      done += run;
    }
    this.#transferred = done;
    return 0;
  }

  copyIn(gpa: Gpa, from: Uint8Array, at: number, length: number): Status {
    let done = 0;
    while (done < length) {
      const address = gpa + done;
      const region = this.#find(address);
      if (region === null || region.readOnly) {
        this.#transferred = done;
        return region === null ? Fault.NO_MEMORY : Fault.PERMISSION;
      }
      const offset = address - region.start;
      const run = Math.min(length - done, region.length - offset);
      this.#copier.offset[0] = offset;
      this.#copier.copyIn(from, at + done, region, run);
      if (region.dirty !== null) region.dirty.mark(address, run);
      done += run;
    }
    this.#transferred = done;
    return 0;
  }

  readU8(gpa: Gpa): number {
    const region = this.#find(gpa);
    return region === null ? Fault.NO_MEMORY : region.bytes[gpa - region.start]!;
  }

  readU16(gpa: Gpa): number {
    const region = this.#find(gpa);
    if (region === null || gpa + 1 > region.last) return this.#readAcross(gpa, 2);
    return region.view.getUint16(gpa - region.start, true);
  }

  readU32(gpa: Gpa): number {
    const region = this.#find(gpa);
    if (region === null || gpa + 3 > region.last) return this.#readAcross(gpa, 4);
    return region.view.getUint32(gpa - region.start, true);
  }

  readU64(gpa: Gpa): number {
    const region = this.#find(gpa);
    if (region === null || gpa + 7 > region.last) return this.#readAcross(gpa, 8);
    const offset = gpa - region.start;
    const high = region.view.getUint32(offset + 4, true);
    if (high > 0x1f_ffff) return Fault.TOO_WIDE;
    return high * TWO_32 + region.view.getUint32(offset, true);
  }

  writeU8(gpa: Gpa, value: number): Status {
    const region = this.#find(gpa);
    if (region === null) return Fault.NO_MEMORY;
    if (region.readOnly) return Fault.PERMISSION;
    region.bytes[gpa - region.start] = value;
    if (region.dirty !== null) region.dirty.mark(gpa, 1);
    return 0;
  }

  writeU16(gpa: Gpa, value: number): Status {
    const region = this.#find(gpa);
    if (region === null || gpa + 1 > region.last) return this.#writeAcross(gpa, 2, value);
    if (region.readOnly) return Fault.PERMISSION;
    region.view.setUint16(gpa - region.start, value, true);
    if (region.dirty !== null) region.dirty.mark(gpa, 2);
    return 0;
  }

  writeU32(gpa: Gpa, value: number): Status {
    const region = this.#find(gpa);
    if (region === null || gpa + 3 > region.last) return this.#writeAcross(gpa, 4, value);
    if (region.readOnly) return Fault.PERMISSION;
    region.view.setUint32(gpa - region.start, value, true);
    if (region.dirty !== null) region.dirty.mark(gpa, 4);
    return 0;
  }

  writeU64(gpa: Gpa, value: number): Status {
    const region = this.#find(gpa);
    if (region === null || gpa + 7 > region.last) return this.#writeAcross(gpa, 8, value);
    if (region.readOnly) return Fault.PERMISSION;
    const offset = gpa - region.start;
    region.view.setUint32(offset, value, true);
    region.view.setUint32(offset + 4, Math.floor(value / TWO_32), true);
    if (region.dirty !== null) region.dirty.mark(gpa, 8);
    return 0;
  }

  atomicLoad(gpa: Gpa, size: ScalarSize): number {
    if ((gpa & (size - 1)) !== 0) return Fault.STRADDLES;
    const region = this.#find(gpa);
    if (region === null) return Fault.NO_MEMORY;
    const offset = gpa - region.start;
    switch (size) {
      case 1:
        return Atomics.load(region.bytes, offset);
      case 2:
        return Atomics.load(region.u16, offset / 2);
      case 4:
        return Atomics.load(region.u32, offset / 4);
      case 8:
        return loadU64(region, offset, scalar, 0) || scalar[0]!;
    }
  }

  atomicStore(gpa: Gpa, size: ScalarSize, value: number): Status {
    if ((gpa & (size - 1)) !== 0) return Fault.STRADDLES;
    const region = this.#find(gpa);
    if (region === null) return Fault.NO_MEMORY;
    if (region.readOnly) return Fault.PERMISSION;
    const offset = gpa - region.start;
    switch (size) {
      case 1:
        Atomics.store(region.bytes, offset, value);
        break;
      case 2:
        Atomics.store(region.u16, offset / 2, value);
        break;
      case 4:
        Atomics.store(region.u32, offset / 4, value);
        break;
      case 8:
        scalar[0] = value;
        storeU64(region, offset, scalar, 0);
        break;
    }
    if (region.dirty !== null) region.dirty.mark(gpa, size);
    return 0;
  }

  check(gpa: Gpa, length: number, access: number): Status {
    for (let done = 0; done < length;) {
      const region = this.#find(gpa + done);
      if (region === null) return Fault.NO_MEMORY;
      if (region.readOnly && (access & Access.WRITE) !== 0) return Fault.PERMISSION;
      done = region.last + 1 - gpa;
    }
    return 0;
  }

  slices(gpa: Gpa, length: number, access: number): readonly Uint8Array[] | Fault {
    const views: Uint8Array[] = [];
    const status = this.appendSlices(gpa, length, access, views);
    return status === 0 ? views : status;
  }

  appendSlices(gpa: Gpa, length: number, access: number, views: Uint8Array[]): Status {
    const writes = (access & Access.WRITE) !== 0;
    let done = 0;
    while (done < length) {
      const address = gpa + done;
      const region = this.#find(address);
      if (region === null || (writes && region.readOnly)) {
        this.#transferred = done;
        return region === null ? Fault.NO_MEMORY : Fault.PERMISSION;
      }
      const offset = address - region.start;
      const run = Math.min(length - done, region.length - offset);
      views.push(region.bytes.subarray(offset, offset + run));
      if (writes && region.dirty !== null) region.dirty.mark(address, run);
      done += run;
    }
    this.#transferred = done;
    return 0;
  }

  pin(gpa: Gpa, length: number, access: number): Pin | Fault {
    const views: Uint8Array[] = [];
    const status = this.appendSlices(gpa, length, access, views);
    if (status !== 0) return status;
    const writes = (access & Access.WRITE) !== 0;
    return new RamPin(
      views,
      length,
      writes ? (offset, count) => this.markDirty((gpa + offset) as Gpa, count) : null,
    );
  }

  /** From now on every page that is written is recorded. Forgets what was recorded before. */
  startDirtyLog(): void {
    this.#dirtyLog = "on";
    for (const region of this.#regions) {
      region.dirty = new DirtyBitmap(region.start, region.length);
    }
  }

  /** Stops recording, and forgets. */
  stopDirtyLog(): void {
    this.#dirtyLog = "off";
    for (const region of this.#regions) region.dirty = null;
  }

  /** `on` between {@linkcode startDirtyLog} and {@linkcode stopDirtyLog}. */
  get dirtyLog(): "on" | "off" {
    return this.#dirtyLog;
  }

  /** GPAs of the pages written since the last call, ascending; each is clean from the same instant on. */
  takeDirtyPages(): Gpa[] {
    return this.#regions.flatMap((region) => (region.dirty?.take() ?? []) as Gpa[]);
  }

  markDirty(gpa: Gpa, length: number): void {
    // Of the regions of a client there may be tens of thousands.
    const regions = this.#regions;
    for (let at = Math.max(0, this.#after(gpa) - 1); at < regions.length; at++) {
      const region = regions[at]!;
      if (region.start >= gpa + length) return;
      region.dirty?.mark(gpa, length);
    }
  }

  regionAt(pages: Float64Array): RamRegion | null {
    const page = pages[TARGET_PAGE]!;
    const recent = this.#recent;
    if (page >= recent.firstPage && page <= recent.lastPage) return recent;
    return this.#search(page * PAGE_SIZE);
  }

  #find(address: number): RamRegion | null {
    const recent = this.#recent;
    if (address >= recent.start && address <= recent.last) return recent;
    return this.#search(address);
  }

  #search(address: number): RamRegion | null {
    const region = this.#regions[this.#after(address) - 1];
    if (region === undefined || address > region.last) return null;
    this.#recent = region;
    return region;
  }

  /** Number of regions that start at or before `address`. */
  #after(address: number): number {
    let low = 0;
    let high = this.#regions.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#regions[middle]!.start <= address) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** A scalar that no single region holds whole. */
  #readAcross(gpa: Gpa, size: number): number {
    let low = 0;
    let high = 0;
    for (let i = 0; i < size; i++) {
      const byte = gpa + i > MAX_ADDRESS ? Fault.NO_MEMORY : this.readU8((gpa + i) as Gpa);
      if (byte < 0) return byte;
      if (i < 4) low += byte * 2 ** (8 * i);
      else high += byte * 2 ** (8 * i - 32);
    }
    return high > 0x1f_ffff ? Fault.TOO_WIDE : high * TWO_32 + low;
  }

  /** As {@linkcode #readAcross}: the bytes before a fault are stored, as for a byte range. */
  #writeAcross(gpa: Gpa, size: number, value: number): Status {
    let rest = value;
    for (let i = 0; i < size; i++) {
      const status = gpa + i > MAX_ADDRESS
        ? Fault.NO_MEMORY
        : this.writeU8((gpa + i) as Gpa, rest % 256);
      if (status !== 0) return status;
      rest = Math.floor(rest / 256);
    }
    return 0;
  }
}

/** A value on its way between two words and one double. */
const words = new Uint32Array(2);
const double = new Float64Array(words.buffer);
const scalar = new Float64Array(1);
/** What an ordered access is made to, to order the plain ones around it. */
const fence = new Int32Array(1);

/**
 * The indivisible 64-bit load that makes no BigInt: an aligned double is scalar
 * whole on x86-64 and arm64. Patterns of NaN may change on the way, and those are
 * too wide anyhow. Stores the value in `into[at]`. @returns 0 or `TOO_WIDE`
 */
export function loadU64(
  region: RamRegion,
  offset: number,
  into: Float64Array,
  at: number,
): Status {
  double[0] = region.f64[offset / 8]!;
  Atomics.load(fence, 0);
  const high = words[1]!;
  if (high > 0x1f_ffff) return Fault.TOO_WIDE;
  into[at] = high * TWO_32 + words[0]!;
  return 0;
}

/** As {@linkcode loadU64}, of the value in `from[at]`. A safe integer is never the pattern of a NaN. */
export function storeU64(region: RamRegion, offset: number, from: Float64Array, at: number): void {
  const value = from[at]!;
  words[0] = value;
  words[1] = Math.floor(value / TWO_32);
  Atomics.store(fence, 0, 0);
  region.f64[offset / 8] = double[0]!;
  Atomics.store(fence, 0, 0);
}
