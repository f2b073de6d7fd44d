/**
 * Guest memory as those who walk fragments need it: an IOMMU reaches the bytes
 * of one access through several targets.
 * @module
 */

import type { Gpa, Status } from "../address.ts";
import type { Memory } from "./memory.ts";
import type { RamRegion } from "./ram_region.ts";

/** Memory by GPA, with the pieces that a translating wrapper puts together. */
export interface GuestMemory extends Memory<Gpa> {
  /** Bytes of all regions together. */
  readonly size: number;
  /**
   * The region that holds the page `pages[TARGET_PAGE]` and lets its bytes be touched
   * directly, or null: then the access goes through the methods here. For wrappers that
   * are in a hurry.
   */
  regionAt(pages: Float64Array): RamRegion | null;
  /** As {@linkcode Memory.read}, for `length` bytes into `into` from offset `at` on. Sets {@linkcode Memory.transferred}. */
  copyOut(gpa: Gpa, into: Uint8Array, at: number, length: number): Status;
  /** As {@linkcode Memory.write}, for `length` bytes of `from` from offset `at` on. Sets {@linkcode Memory.transferred}. */
  copyIn(gpa: Gpa, from: Uint8Array, at: number, length: number): Status;
  /**
   * As {@linkcode Memory.slices}, at the end of `views`. On a fault `views` holds
   * what came before it, and {@linkcode Memory.transferred} says how many bytes that is.
   */
  appendSlices(gpa: Gpa, length: number, access: number, views: Uint8Array[]): Status;
  /** Marks pages as written, for a write that went round the access path. */
  markDirty(gpa: Gpa, length: number): void;
}
