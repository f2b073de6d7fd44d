/**
 * A place in a list of memory fragments, and the copy from one such place to another.
 * @module
 */

/** Walks fragments in order. */
export class SliceCursor {
  readonly #slices: readonly Uint8Array[];
  #index = 0;
  #offset = 0;

  constructor(slices: readonly Uint8Array[]) {
    this.#slices = slices;
  }

  /**
   * Copies up to `length` bytes from where `from` stands to where this one stands,
   * and moves both on. @returns bytes copied: fewer when either comes to its end
   */
  copyFrom(from: SliceCursor, length: number): number {
    let done = 0;
    while (done < length) {
      const source = from.#rest();
      const target = this.#rest();
      if (source === null || target === null) break;
      const run = Math.min(length - done, source.length, target.length);
      // Two addresses may lead to one page, and set() copies as if through a buffer then.
      target.set(source.subarray(0, run));
      from.#offset += run;
      this.#offset += run;
      done += run;
    }
    return done;
  }

  /** What is left of the fragment it stands in, at least one byte; null at the end. */
  #rest(): Uint8Array | null {
    for (; this.#index < this.#slices.length; this.#index++, this.#offset = 0) {
      const slice = this.#slices[this.#index]!;
      if (this.#offset < slice.length) return slice.subarray(this.#offset);
    }
    return null;
  }
}
