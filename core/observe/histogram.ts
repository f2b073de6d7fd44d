/**
 * Latencies in powers of two: 48 buckets in shared memory, from 1 ns to days.
 * @module
 */

const BUCKETS = 48;

/** Bytes of one histogram in shared memory. */
export const HISTOGRAM_SIZE: number = (BUCKETS + 1) * Float64Array.BYTES_PER_ELEMENT;

/** Counts durations by their power of two. One writer, any number of readers. */
export class Histogram {
  /** Bucket `i` counts durations in [2^i, 2^(i+1)) ns; the last field is their sum in ns. */
  readonly #values: Float64Array;

  /** Counts into `buffer` at `offset`, a multiple of 8; into memory of its own unless told. */
  constructor(
    buffer: ArrayBufferLike = new SharedArrayBuffer(HISTOGRAM_SIZE),
    offset = 0,
  ) {
    this.#values = new Float64Array(buffer, offset, BUCKETS + 1);
  }

  /** Counts one duration. What is below 1 ns counts as 1, what no bucket holds goes to the last. */
  record(ns: number): void {
    const values = this.#values;
    let bucket: number;
    if (ns < 2) bucket = 0;
    else if (ns < 0x8000_0000) bucket = 31 - Math.clz32(ns);
    else bucket = Math.min(BUCKETS - 1, Math.floor(Math.log2(ns)));
    values[bucket]!++;
    values[BUCKETS]! += ns;
  }

  /** Durations counted. */
  get count(): number {
    let count = 0;
    for (let i = 0; i < BUCKETS; i++) count += this.#values[i]!;
    return count;
  }

  /** Their sum, in nanoseconds. */
  get sumNs(): number {
    return this.#values[BUCKETS]!;
  }

  /**
   * The duration in nanoseconds that `p` percent, 0 to 100, do not exceed, taken
   * as evenly spread within its bucket. NaN while nothing was counted.
   */
  percentile(p: number): number {
    const count = this.count;
    if (count === 0) return NaN;
    const wanted = Math.min(count, Math.max(1, Math.ceil(count * p / 100)));
    let before = 0;
    for (let i = 0; i < BUCKETS; i++) {
      const inside = this.#values[i]!;
      if (before + inside >= wanted) return 2 ** i * (1 + (wanted - before) / inside);
      before += inside;
    }
    return 2 ** BUCKETS;
  }

  /** The buckets that are not empty, ascending: upper bound in nanoseconds (exclusive) and count. */
  snapshot(): { readonly belowNs: number; readonly count: number }[] {
    const buckets: { belowNs: number; count: number }[] = [];
    for (let i = 0; i < BUCKETS; i++) {
      const count = this.#values[i]!;
      if (count > 0) buckets.push({ belowNs: 2 ** (i + 1), count });
    }
    return buckets;
  }
}
