/**
 * One region of guest memory, with its bytes at hand in every width.
 * @module
 */

import { type Gpa, PAGE_SIZE } from "../address.ts";
import type { DirtyBitmap } from "./dirty_bitmap.ts";
import { MAX_STRETCH, WordView } from "./word_view.ts";

/** One region of guest memory, as it is asked for. */
export interface RamRegionSpec {
  /** For people: `ram-low`, `rom`. */
  readonly name: string;
  /** First GPA, a multiple of the page size. */
  readonly start: Gpa;
  /** Bytes, a multiple of the page size, at least one page. */
  readonly length: number;
  /** Writes fault with `PERMISSION`. False unless told. */
  readonly readOnly?: boolean;
  /** The bytes behind it, `length` of them, at a multiple of 8 in their buffer; fresh zeroed ones unless told. */
  readonly bytes?: Uint8Array;
}

/**
 * Guest memory without a hole. Who touches the bytes directly looks at
 * {@linkcode readOnly} before, and marks {@linkcode dirty} after.
 */
export class RamRegion {
  /** For people. */
  readonly name: string;
  /** First GPA. */
  readonly start: Gpa;
  /** Last GPA. */
  readonly last: number;
  /** Bytes. */
  readonly length: number;
  /** First page. */
  readonly firstPage: number;
  /** Last page. */
  readonly lastPage: number;
  /** Whether writes fault. */
  readonly readOnly: boolean;
  /** What it holds. */
  readonly bytes: Uint8Array;
  /** The same, for scalars at any alignment. */
  readonly view: DataView;
  // The rest is made when it is first used: memory may be mapped for a moment only.
  #u16: Uint16Array | null = null;
  #u32: Uint32Array | null = null;
  #f64: Float64Array | null = null;
  #words: readonly WordView[] | null = null;
  /** Pages written, while that is recorded. */
  dirty: DirtyBitmap | null = null;

  /** Takes the bytes of `spec`, or fresh ones. Called by the memory it belongs to, which has checked it. */
  constructor(spec: RamRegionSpec) {
    this.name = spec.name;
    this.start = spec.start;
    this.length = spec.length;
    this.last = spec.start + spec.length - 1;
    this.firstPage = spec.start / PAGE_SIZE;
    this.lastPage = Math.floor(this.last / PAGE_SIZE);
    this.readOnly = spec.readOnly ?? false;
    const bytes = spec.bytes ?? new Uint8Array(spec.length);
    const { buffer, byteOffset, length } = bytes;
    this.bytes = bytes;
    this.view = new DataView(buffer, byteOffset, length);
  }

  /** The same, for atomic accesses of 2 bytes. */
  get u16(): Uint16Array {
    const { buffer, byteOffset, length } = this.bytes;
    return this.#u16 ??= new Uint16Array(buffer, byteOffset, length / 2);
  }

  /** The same, for atomic accesses of 4 bytes. */
  get u32(): Uint32Array {
    const { buffer, byteOffset, length } = this.bytes;
    return this.#u32 ??= new Uint32Array(buffer, byteOffset, length / 4);
  }

  /** The same, for indivisible accesses of 8 bytes. */
  get f64(): Float64Array {
    const { buffer, byteOffset, length } = this.bytes;
    return this.#f64 ??= new Float64Array(buffer, byteOffset, length / 8);
  }

  /** The same, for copies, in stretches of {@linkcode MAX_STRETCH}. */
  get words(): readonly WordView[] {
    return this.#words ??= stretchesOf(this.bytes);
  }
}

/** A function of its own: V8 allocates for one that could make a closure, made or not. */
function stretchesOf(bytes: Uint8Array): WordView[] {
  return Array.from(
    { length: Math.ceil(bytes.length / MAX_STRETCH) },
    (_, i) => new WordView(bytes.subarray(i * MAX_STRETCH, (i + 1) * MAX_STRETCH)),
  );
}
