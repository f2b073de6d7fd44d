/**
 * Lanes of byte ranges through the IOMMU, beside the plain `set()` that no copy
 * can beat. Here the subjects of a lane share an isolate, because they must
 * share their buffers: where those lie in memory is worth more than what is
 * compared. `set()` is a built-in, so nothing the others do can slow it down.
 * @module
 */

import { Access, type Gpa, type Iova, PAGE_SIZE } from "../../../core/address.ts";
import { Iommu } from "../../../core/iommu/iommu.ts";
import { GuestRam } from "../../../core/memory/guest_ram.ts";
import type { Memory } from "../../../core/memory/memory.ts";
import { VirtualClock } from "../../../core/observe/virtual_clock.ts";
import { Random } from "../../../harness/random.ts";
import type { LaneFactory, Subject } from "../subject.ts";
import { conditionCore } from "./conditioning.ts";
import {
  IOVA_BASE,
  MANY_FRAMES,
  numberOf,
  permutation,
  RAM_BASE,
  ScatteredPages,
  selfDescribingBytes,
} from "./workload.ts";

/** Bytes that copies of one lane go round in. Small enough to stay in a cache: memory that is slow hides what we cost. */
const WINDOW = 2 ** 20;
/** The same window again, page by page and shuffled. */
const SCATTERED_BASE = IOVA_BASE + 2 ** 30;

/** Offsets of one pass: random, aligned to a cache line, from a page on to whole pages. */
function offsetsOf(size: number, window: number, seed: number): Float64Array {
  const random = new Random(seed);
  const step = size < PAGE_SIZE ? 64 : PAGE_SIZE;
  const places = Math.floor((window - size) / step) + 1;
  return Float64Array.from({ length: 4096 }, () => random.below(places) * step);
}

/** What all copies have in common: a buffer on the device's side, and where to go next. */
abstract class Copy implements Subject {
  readonly name: string;
  readonly pass: number;
  protected readonly buffer: Uint8Array;
  readonly #order: Float64Array;
  readonly #first: DataView;
  #at = 0;

  constructor(name: string, buffer: Uint8Array, order: Float64Array) {
    this.name = name;
    this.pass = order.length;
    this.buffer = buffer;
    this.#order = order;
    this.#first = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
  }

  run(operations: number): number {
    const last = this.buffer.length - 8;
    let sum = 0;
    for (let i = 0; i < operations; i++) {
      this.copy(this.#order[this.#at]!);
      // The first and the last word name the pages they came from.
      sum += this.#first.getUint32(0, true) + this.#first.getUint32(last, true);
      if (++this.#at === this.#order.length) this.#at = 0;
    }
    return sum;
  }

  protected abstract copy(offset: number): void;
}

class SetFromRam extends Copy {
  readonly #ram: Uint8Array;

  constructor(ram: Uint8Array, buffer: Uint8Array, order: Float64Array) {
    super("set", buffer, order);
    this.#ram = ram;
  }

  protected override copy(offset: number): void {
    this.buffer.set(this.#ram.subarray(offset, offset + this.buffer.length));
  }
}

class SetIntoRam extends Copy {
  readonly #ram: Uint8Array;

  constructor(ram: Uint8Array, buffer: Uint8Array, order: Float64Array) {
    super("set", buffer, order);
    this.#ram = ram;
  }

  protected override copy(offset: number): void {
    this.#ram.set(this.buffer, offset);
  }
}

/** One `set()` a page: what a copy over scattered pages cannot do with less. */
class SetEachPage extends Copy {
  readonly #ram: Uint8Array;
  readonly #offsetOf: (page: number) => number;

  constructor(
    ram: Uint8Array,
    offsetOf: (page: number) => number,
    buffer: Uint8Array,
    order: Float64Array,
  ) {
    super("set", buffer, order);
    this.#ram = ram;
    this.#offsetOf = offsetOf;
  }

  protected override copy(offset: number): void {
    for (let at = 0; at < this.buffer.length; at += PAGE_SIZE) {
      const from = this.#offsetOf((offset + at) / PAGE_SIZE);
      this.buffer.set(this.#ram.subarray(from, from + PAGE_SIZE), at);
    }
  }
}

class Read extends Copy {
  readonly #memory: Memory<Iova>;
  readonly #base: number;

  constructor(
    name: string,
    memory: Memory<Iova>,
    base: number,
    buffer: Uint8Array,
    order: Float64Array,
  ) {
    super(name, buffer, order);
    this.#memory = memory;
    this.#base = base;
  }

  protected override copy(offset: number): void {
    this.#memory.read((this.#base + offset) as Iova, this.buffer);
  }
}

class Write extends Copy {
  readonly #memory: Memory<Iova>;
  readonly #base: number;

  constructor(
    name: string,
    memory: Memory<Iova>,
    base: number,
    buffer: Uint8Array,
    order: Float64Array,
  ) {
    super(name, buffer, order);
    this.#memory = memory;
    this.#base = base;
  }

  protected override copy(offset: number): void {
    this.#memory.write((this.#base + offset) as Iova, this.buffer);
  }
}

/** Views instead of a copy. */
class Slices implements Subject {
  readonly name = "slices";
  readonly pass: number;
  readonly #memory: Memory<Iova>;
  readonly #length: number;
  readonly #order: Float64Array;
  #at = 0;

  constructor(memory: Memory<Iova>, length: number, order: Float64Array) {
    this.pass = order.length;
    this.#memory = memory;
    this.#length = length;
    this.#order = order;
  }

  run(operations: number): number {
    let sum = 0;
    for (let i = 0; i < operations; i++) {
      const iova = (IOVA_BASE + this.#order[this.#at]!) as Iova;
      const views = this.#memory.slices(iova, this.#length, Access.READ);
      if (typeof views === "number") return NaN;
      const first = views[0]!;
      const last = views[views.length - 1]!;
      sum += wordAt(first, 0) + wordAt(last, last.length - 8);
      if (++this.#at === this.#order.length) this.#at = 0;
    }
    return sum;
  }
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 | bytes[at + 3]! << 24) >>> 0;
}

/** @throws {Error} unless the bytes are the same: what is timed must be right */
function requireEqual(actual: Uint8Array, expected: Uint8Array, what: string): void {
  for (let i = 0; i < expected.length; i++) {
    if (actual[i] !== expected[i]) {
      throw new Error(`The copy of ${what} is wrong at byte ${i} of ${expected.length}`);
    }
  }
}

/** The window, once as one mapping and once as scattered pages. */
function windowOf(seed: number) {
  const pages = WINDOW / PAGE_SIZE;
  const bytes = selfDescribingBytes(pages);
  const ram = new GuestRam([{ name: "ram", start: RAM_BASE as Gpa, length: WINDOW, bytes }]);
  const iommu = new Iommu(ram, { clock: new VirtualClock(), seed });
  const { memory } = iommu.addEndpoint(1);
  iommu.createDomain(1);
  iommu.attach(1, 1);
  iommu.map(1, IOVA_BASE as Iova, RAM_BASE as Gpa, WINDOW, Access.READ_WRITE);
  const frames = permutation(pages, new Random(seed));
  frames.forEach((frame, page) => {
    const iova = (SCATTERED_BASE + page * PAGE_SIZE) as Iova;
    iommu.map(1, iova, (RAM_BASE + frame * PAGE_SIZE) as Gpa, PAGE_SIZE, Access.READ_WRITE);
  });
  const scattered = new Uint8Array(WINDOW);
  frames.forEach((frame, page) => {
    scattered.set(bytes.subarray(frame * PAGE_SIZE, (frame + 1) * PAGE_SIZE), page * PAGE_SIZE);
  });
  const check = new Uint8Array(WINDOW);
  memory.read(IOVA_BASE as Iova, check);
  requireEqual(check, bytes, "the contiguous window");
  memory.read(SCATTERED_BASE as Iova, check);
  requireEqual(check, scattered, "the scattered window");
  return { bytes, memory };
}

/**
 * `read`, `write`: `size` bytes in the window; parameters `seed`, `size`.
 * `fragments`: reads of `size` bytes, whole pages, of 64 k scattered mappings.
 */
export const copyLanes: Readonly<Record<string, LaneFactory>> = {
  read: (parameters) => {
    const seed = numberOf(parameters, "seed");
    const size = numberOf(parameters, "size");
    conditionCore(seed, numberOf(parameters, "conditioning"));
    const { bytes, memory } = windowOf(seed);
    const order = offsetsOf(size, WINDOW, seed);
    const buffer = new Uint8Array(size);
    return [
      new SetFromRam(bytes, buffer, order),
      new Read("contiguous", memory, IOVA_BASE, buffer, order),
      new Read("scattered", memory, SCATTERED_BASE, buffer, order),
    ];
  },
  write: (parameters) => {
    const seed = numberOf(parameters, "seed");
    const size = numberOf(parameters, "size");
    conditionCore(seed, numberOf(parameters, "conditioning"));
    const { bytes, memory } = windowOf(seed);
    const order = offsetsOf(size, WINDOW, seed);
    const buffer = new Random(seed).bytes(size);
    memory.write((IOVA_BASE + PAGE_SIZE) as Iova, buffer.subarray(0, WINDOW - PAGE_SIZE));
    requireEqual(bytes.subarray(PAGE_SIZE), buffer.subarray(0, WINDOW - PAGE_SIZE), "a write");
    return [
      new SetIntoRam(bytes, buffer, order),
      new Write("contiguous", memory, IOVA_BASE, buffer, order),
      new Write("scattered", memory, SCATTERED_BASE, buffer, order),
    ];
  },
  fragments: (parameters) => {
    const seed = numberOf(parameters, "seed");
    const size = numberOf(parameters, "size");
    conditionCore(seed, numberOf(parameters, "conditioning"));
    const pages = new ScatteredPages(numberOf(parameters, "pages"), MANY_FRAMES, seed);
    const bytes = selfDescribingBytes(pages.frames);
    const ram = new GuestRam([{
      name: "ram",
      start: RAM_BASE as Gpa,
      length: bytes.length,
      bytes,
    }]);
    const iommu = new Iommu(ram, { clock: new VirtualClock(), seed });
    const { memory } = iommu.addEndpoint(1);
    iommu.createDomain(1);
    iommu.attach(1, 1);
    pages.mapEach((iova, gpa) => iommu.map(1, iova, gpa, PAGE_SIZE, Access.READ_WRITE));
    const order = offsetsOf(size, pages.pages * PAGE_SIZE, seed);
    const buffer = new Uint8Array(size);
    const offsetIn = (page: number) => pages.gpaOf(page) - RAM_BASE;
    return [
      new SetEachPage(bytes, offsetIn, buffer, order),
      new Read("read", memory, IOVA_BASE, buffer, order),
      new Slices(memory, size, order),
    ];
  },
};
