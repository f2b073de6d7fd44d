/**
 * Memory by GPA, held longer than one call.
 * @module
 */

import { hex, type Status } from "../address.ts";
import type { Pin } from "./memory.ts";

/** Views on guest memory. Nothing can take it away by GPA, so nothing waits for them. */
export class RamPin implements Pin {
  readonly revoked = false;
  onRevoke: (() => void) | null = null;
  #released = false;

  /** @param markDirty called with what has been written, and on release with all; null when nothing may be */
  constructor(
    readonly slices: readonly Uint8Array[],
    readonly length: number,
    private readonly markDirty: ((offset: number, length: number) => void) | null,
  ) {}

  wrote(offset: number, length: number): Status {
    checkWritten(this.length, this.markDirty !== null && !this.#released, offset, length);
    if (length > 0) this.markDirty?.(offset, length);
    return 0;
  }

  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.markDirty?.(0, this.length);
  }
}

/**
 * What every {@linkcode Pin.wrote} refuses: `takes` says whether the pin wants WRITE and is not released.
 * @throws {RangeError}
 */
export function checkWritten(
  pinned: number,
  takes: boolean,
  offset: number,
  length: number,
): void {
  if (!takes) {
    throw new RangeError(
      `Cannot store ${length} bytes of a pin: it was released, or taken without WRITE`,
    );
  }
  if (!(offset >= 0 && length >= 0 && offset + length <= pinned)) {
    throw new RangeError(
      `Cannot store ${length} bytes at offset ${hex(offset)} of a pin: it has ${pinned} bytes`,
    );
  }
}
