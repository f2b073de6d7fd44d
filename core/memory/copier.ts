/**
 * Copies between guest memory and the buffers of devices, without allocating for
 * a buffer that is used again.
 * @module
 */

import type { RamRegion } from "./ram_region.ts";
import { MAX_STRETCH, WordView } from "./word_view.ts";

/** Up to here a byte loop beats everything. */
const SMALL = 16;
/** Buffers that are known at a time, and that may become known. */
const KNOWN = 8;

/**
 * The copying of one device, or of one memory. It knows the last few buffers that
 * it met twice in a short while, and copies by words between them and guest memory.
 * For a buffer that it meets for the first time it makes a view, as everybody does:
 * who makes a buffer for each access pays for that anyhow.
 */
export class Copier {
  /** Where in the region the next copy is, in bytes: set before each. No parameter, since V8 would allocate for it. */
  readonly offset: Float64Array = new Float64Array(1);
  #last: WordView | null = null;
  readonly #known: WordView[] = [];
  /** The buffers that were met last, and were not known. */
  readonly #met: (ArrayBufferLike | null)[] = new Array(KNOWN).fill(null);
  #nextKnown = 0;
  #nextMet = 0;

  /** Copies `length` bytes of the region from {@linkcode offset} on to `into[at]` and on. */
  copyOut(region: RamRegion, into: Uint8Array, at: number, length: number): void {
    const { bytes } = region;
    const { buffer } = into;
    const offset = this.offset[0]!;
    // Within one buffer the ranges may overlap, and only set() is right then.
    const apart = buffer !== bytes.buffer;
    if (length <= SMALL && apart) {
      for (let i = 0; i < length; i++) into[at + i] = bytes[offset + i]!;
      return;
    }
    const words = apart ? this.#wordsOf(buffer) : null;
    if (words === null) {
      into.set(bytes.subarray(offset, offset + length), at);
      return;
    }
    const target = into.byteOffset + at;
    for (let done = 0; done < length;) {
      const stretch = Math.floor((offset + done) / MAX_STRETCH);
      const from = offset + done - stretch * MAX_STRETCH;
      const run = Math.min(length - done, MAX_STRETCH - from);
      region.words[stretch]!.copyTo(from, words, target + done, run);
      done += run;
    }
  }

  /** Copies `length` bytes from `from[at]` on into the region from {@linkcode offset} on. */
  copyIn(from: Uint8Array, at: number, region: RamRegion, length: number): void {
    const { bytes } = region;
    const { buffer } = from;
    const offset = this.offset[0]!;
    const apart = buffer !== bytes.buffer;
    if (length <= SMALL && apart) {
      for (let i = 0; i < length; i++) bytes[offset + i] = from[at + i]!;
      return;
    }
    const stretch = Math.floor(offset / MAX_STRETCH);
    const into = offset - stretch * MAX_STRETCH;
    if (length === from.length && into + length <= MAX_STRETCH) {
      region.words[stretch]!.bytes.set(from, into);
      return;
    }
    const words = apart ? this.#wordsOf(buffer) : null;
    if (words === null) {
      bytes.set(from.subarray(at, at + length), offset);
      return;
    }
    const source = from.byteOffset + at;
    for (let done = 0; done < length;) {
      const stretch = Math.floor((offset + done) / MAX_STRETCH);
      const to = offset + done - stretch * MAX_STRETCH;
      const run = Math.min(length - done, MAX_STRETCH - to);
      words.copyTo(source + done, region.words[stretch]!, to, run);
      done += run;
    }
  }

  /** The buffer's words, from its first byte on; null when it is not known. */
  #wordsOf(buffer: ArrayBufferLike): WordView | null {
    if (this.#last?.buffer === buffer) return this.#last;
    for (const words of this.#known) {
      if (words.buffer === buffer) return this.#last = words;
    }
    return this.#meet(buffer);
  }

  #meet(buffer: ArrayBufferLike): WordView | null {
    const met = this.#met.indexOf(buffer);
    if (met < 0 || buffer.byteLength > MAX_STRETCH || isResizable(buffer)) {
      this.#met[this.#nextMet] = buffer;
      this.#nextMet = (this.#nextMet + 1) % KNOWN;
      return null;
    }
    this.#met[met] = null;
    const words = new WordView(new Uint8Array(buffer));
    this.#known[this.#nextKnown] = words;
    this.#nextKnown = (this.#nextKnown + 1) % KNOWN;
    return this.#last = words;
  }
}

/** Whether its length is nothing to rely on. */
function isResizable(buffer: ArrayBufferLike): boolean {
  return buffer instanceof ArrayBuffer ? buffer.resizable : buffer.growable;
}
