/**
 * The workloads of the core's benchmarks: where mappings lie, what they point
 * to, and in which order they are accessed. All of it is drawn from the seed
 * before any clock runs, and the same for every subject.
 * @module
 */

import { type Gpa, type Iova, PAGE_SIZE } from "../../../core/address.ts";
import { Random } from "../../../harness/random.ts";
import type { LaneParameters } from "../subject.ts";

/** Where guest RAM begins: beyond 32 bits too, where a number is no small integer to the engine. */
export const RAM_BASE = 0x2_0000_0000;

/** Where the mapped IOVAs begin: beyond 32 bits, as a 64-bit guest hands them out. */
export const IOVA_BASE = 0x1_0000_0000;

/** Frames of guest RAM, 256 MiB, that copies over many pages go to. Larger address spaces map several pages to one frame. */
export const MANY_FRAMES = 65536;

/** Accesses of one pass are at least this many, so that no order is learnt by heart. */
const SHORTEST_PASS = 2 ** 18;

/** A number among a lane's parameters. @throws {Error} when it is not there */
export function numberOf(parameters: LaneParameters, name: string): number {
  const value = parameters[name];
  if (typeof value !== "number") throw new Error(`A lane was given no number ${name}`);
  return value;
}

/** The numbers from 0 to `count` - 1 in random order. */
export function permutation(count: number, random: Random): Uint32Array {
  const order = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    const other = random.below(i + 1);
    order[i] = order[other]!;
    order[other] = i;
  }
  return order;
}

/** Scattered 4 KiB mappings: neighbouring pages point to unrelated frames. */
export class ScatteredPages {
  readonly pages: number;
  /** Frames that the targets are among. */
  readonly frames: number;
  readonly #targets: Uint32Array;
  readonly #insertion: Uint32Array;

  constructor(pages: number, frames: number, seed: number) {
    const random = new Random(seed);
    this.pages = pages;
    this.frames = Math.min(pages, frames);
    this.#targets = permutation(pages, random);
    this.#insertion = permutation(pages, random);
  }

  /** Calls `map` for each page, in shuffled order as a guest that has run for a while maps them. */
  mapEach(map: (iova: Iova, gpa: Gpa) => void): void {
    for (const page of this.#insertion) map(this.iovaOf(page), this.gpaOf(page));
  }

  iovaOf(page: number): Iova {
    return (IOVA_BASE + page * PAGE_SIZE) as Iova;
  }

  gpaOf(page: number): Gpa {
    return (RAM_BASE + this.#targets[page]! % this.frames * PAGE_SIZE) as Gpa;
  }

  /** IOVAs of one pass of 8-byte accesses, each at a random aligned place of one of `hot` random pages. */
  accesses(hot: number, seed: number): Float64Array {
    const random = new Random(seed);
    const chosen = permutation(this.pages, random).subarray(0, hot);
    const order = new Float64Array(Math.max(SHORTEST_PASS, hot));
    for (let i = 0; i < order.length; i++) {
      order[i] = this.iovaOf(chosen[random.below(hot)]!) + 8 * random.below(PAGE_SIZE / 8);
    }
    return order;
  }
}

/**
 * RAM from `RAM_BASE` on in which each aligned 8-byte word holds its own GPA: a read through any
 * table returns what the translation alone would, and both can be checked by one sum.
 */
export function selfDescribingBytes(frames: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(frames * PAGE_SIZE);
  const halves = new Uint32Array(bytes.buffer);
  for (let at = 0; at < halves.length; at += 2) {
    const gpa = RAM_BASE + at * 4;
    halves[at] = gpa % 2 ** 32;
    halves[at + 1] = Math.floor(gpa / 2 ** 32);
  }
  return bytes;
}
