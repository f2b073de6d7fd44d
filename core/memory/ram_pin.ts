/**
 * Memory by GPA, held longer than one call.
 * @module
 */

import type { Pin } from "./memory.ts";

/** Views on guest memory. Nothing can take it away by GPA, so nothing waits for them. */
export class RamPin implements Pin {
  readonly revoked = false;
  onRevoke: (() => void) | null = null;
  #released = false;

  /** @param markDirty called once on release; null when nothing was to be written */
  constructor(
    readonly slices: readonly Uint8Array[],
    readonly length: number,
    private readonly markDirty: (() => void) | null,
  ) {}

  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.markDirty?.();
  }
}
