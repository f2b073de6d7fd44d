/**
 * Places for DMA buffers in one domain: scattered, apart from one another, and
 * where every device can reach them.
 * @module
 */

import { hex, type Iova, PAGE_SIZE } from "../../core/address.ts";
import type { Random } from "../random.ts";

/** The end of what edu and other 28-bit devices reach. */
export const IOVA_LIMIT: number = 2 ** 28;

/**
 * Places are looked for from here up to {@linkcode IOVA_LIMIT} first, so that IOVAs
 * a scenario names itself, which are small as a rule, stay free.
 */
const USUAL_START = 2 ** 27;

/** Random places tried before the first free one is taken. */
const TRIES = 16;

/** Free IOVAs of one domain. A page on each side of a place stays free, so that overruns fault. */
export class IovaAllocator {
  /** Taken places by start; ends are exclusive. */
  readonly #taken: { readonly start: number; readonly end: number }[] = [];

  constructor(private readonly random: Random) {}

  /** Takes a place of `length` bytes, whole pages. @throws {Error} when there is none */
  allocate(length: number): Iova {
    const start = this.#scattered(length) ?? this.#first(length, USUAL_START) ??
      this.#first(length, PAGE_SIZE);
    if (start === null) {
      throw new Error(
        `Cannot find a place for ${hex(length)} bytes below ${hex(IOVA_LIMIT)}: ` +
          `name one with the option iova`,
      );
    }
    this.take(start, length);
    return start as Iova;
  }

  /** Marks a place as taken: what someone else has mapped there. */
  take(start: number, length: number): void {
    const at = this.#taken.findIndex((place) => place.start > start);
    this.#taken.splice(at < 0 ? this.#taken.length : at, 0, { start, end: start + length });
  }

  /** Gives back a place that was taken. */
  release(start: number): void {
    const at = this.#taken.findIndex((place) => place.start === start);
    if (at >= 0) this.#taken.splice(at, 1);
  }

  #scattered(length: number): number | null {
    const places = (IOVA_LIMIT - USUAL_START - length) / PAGE_SIZE;
    if (places < 1) return null;
    for (let tried = 0; tried < TRIES; tried++) {
      const start = USUAL_START + this.random.below(places) * PAGE_SIZE;
      if (this.#isFree(start, length)) return start;
    }
    return null;
  }

  #first(length: number, from: number): number | null {
    let start = from;
    for (const place of this.#taken) {
      if (place.end + PAGE_SIZE <= start) continue;
      if (start + length + PAGE_SIZE <= place.start) break;
      start = Math.max(start, Math.ceil(place.end / PAGE_SIZE) * PAGE_SIZE + PAGE_SIZE);
    }
    return start + length <= IOVA_LIMIT ? start : null;
  }

  #isFree(start: number, length: number): boolean {
    return !this.#taken.some((place) =>
      start < place.end + PAGE_SIZE && place.start < start + length + PAGE_SIZE
    );
  }
}
