/**
 * Bytes in the widths in which they are moved fast, and the moving itself.
 * @module
 */

import { PAGE_SIZE } from "../address.ts";
import { PageViews } from "./page_views.ts";

/** Bytes of a chunk. Who copies this much at once gets views that are kept: a thousandth of the memory. */
const CHUNK = 65536;
/** Most bytes of a stretch: an index beyond 2 GiB is no small integer to the engine any more, and slow. */
export const MAX_STRETCH: number = 2 ** 30;

/**
 * One stretch of a buffer. JavaScript copies between two buffers only from a view
 * that is exactly what is to be copied, and making one allocates. So views of the
 * pages in use, and of big chunks, are made once and kept, and everything else is moved
 * in a loop over words, which up to a few hundred bytes is faster as well.
 */
export class WordView {
  /** What it looks at. */
  readonly buffer: ArrayBufferLike;
  /** What there is to see, one by one. */
  readonly bytes: Uint8Array;
  readonly #view: DataView;
  /** As many as are whole. */
  readonly #longs: BigInt64Array;
  #pages: PageViews | null = null;
  #chunks: (Uint8Array | null)[] | null = null;

  /** Looks at `bytes`: at most {@linkcode MAX_STRETCH}, at an offset in their buffer that is a multiple of 8 */
  constructor(bytes: Uint8Array) {
    const { buffer, byteOffset, length } = bytes;
    this.buffer = buffer;
    this.bytes = bytes;
    this.#view = new DataView(buffer, byteOffset, length);
    this.#longs = new BigInt64Array(buffer, byteOffset, Math.floor(length / 8));
  }

  /** Copies `length` bytes from `offset` on to `target` in `into`, of another buffer. */
  copyTo(offset: number, into: WordView, target: number, length: number): void {
    if (length < PAGE_SIZE) return this.#copyWords(offset, into, target, length);
    const end = offset + length;
    const skew = target - offset;
    let at = Math.min((offset + PAGE_SIZE - 1) & -PAGE_SIZE, end);
    if (at > offset) this.#copyWords(offset, into, target, at - offset);
    while (at + PAGE_SIZE <= end) {
      const big = (at & (CHUNK - 1)) === 0 && at + CHUNK <= end;
      const view = big ? this.#chunk(at / CHUNK) : this.#page(at / PAGE_SIZE);
      if (view !== null) into.bytes.set(view, at + skew);
      else this.#copyWords(at, into, at + skew, PAGE_SIZE);
      at += big ? CHUNK : PAGE_SIZE;
    }
    if (at < end) this.#copyWords(at, into, at + skew, end - at);
  }

  #chunk(index: number): Uint8Array {
    this.#chunks ??= new Array(Math.ceil(this.bytes.length / CHUNK)).fill(null);
    return this.#chunks[index] ??= this.bytes.subarray(index * CHUNK, (index + 1) * CHUNK);
  }

  #page(index: number): Uint8Array | null {
    this.#pages ??= new PageViews(this.bytes);
    return this.#pages.get(index);
  }

  #copyWords(offset: number, into: WordView, target: number, length: number): void {
    const bytes = this.bytes;
    const intoBytes = into.bytes;
    const view = this.#view;
    const intoView = into.#view;
    const end = offset + length;
    let from = offset;
    let to = target;
    if (((from ^ to) & 7) === 0) {
      for (; (from & 7) !== 0 && from < end; from++, to++) intoBytes[to] = bytes[from]!;
      const count = ((end - from) >>> 5) << 2;
      copyLongs(this.#longs, from >>> 3, into.#longs, to >>> 3, count);
      from += count << 3;
      to += count << 3;
    } else {
      for (; from + 31 < end; from += 32, to += 32) {
        intoView.setBigInt64(to, view.getBigInt64(from, true), true);
        intoView.setBigInt64(to + 8, view.getBigInt64(from + 8, true), true);
        intoView.setBigInt64(to + 16, view.getBigInt64(from + 16, true), true);
        intoView.setBigInt64(to + 24, view.getBigInt64(from + 24, true), true);
      }
    }
    for (; from + 7 < end; from += 8, to += 8) {
      intoView.setBigInt64(to, view.getBigInt64(from, true), true);
    }
    for (; from < end; from++, to++) intoBytes[to] = bytes[from]!;
  }
}

/**
 * Copies `count` longs, a multiple of four: by quarters side by side, so that four lines of
 * memory that is not in a cache are under way at a time.
 */
function copyLongs(
  from: BigInt64Array,
  at: number,
  into: BigInt64Array,
  intoAt: number,
  count: number,
): void {
  const one = count >>> 2;
  const two = one * 2;
  const three = one * 3;
  for (let i = 0; i < one; i++) {
    into[intoAt + i] = from[at + i]!;
    into[intoAt + one + i] = from[at + one + i]!;
    into[intoAt + two + i] = from[at + two + i]!;
    into[intoAt + three + i] = from[at + three + i]!;
  }
}
