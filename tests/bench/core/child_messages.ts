/**
 * What the processes that measure memory are asked, and what they answer.
 * @module
 */

import * as v from "valibot";

/** For `allocation_child.ts`. */
export interface AllocationRequest {
  readonly seed: number;
  /** Accesses of each way. */
  readonly accesses: number;
  /** Calls of 10 000 accesses before that. */
  readonly warmUpCalls: number;
  /** Rounds of `conditionCore()` before everything. */
  readonly conditioning: number;
  /** `small`: IOVAs and GPAs below 2^31. `large`: both beyond 2^32. */
  readonly addresses: "small" | "large";
}

/** Of `allocation_child.ts`. */
export const AllocationReport = v.object({
  /** Of each way to access memory, as `bytesPerAccess()` says. */
  ways: v.array(v.object({ name: v.string(), bytesPerAccess: v.number() })),
  /** Depends on all that was read. */
  sink: v.optional(v.number()),
});
export type AllocationReport = v.InferOutput<typeof AllocationReport>;

/** For `footprint_child.ts`. */
export interface FootprintRequest {
  readonly seed: number;
  readonly pages: number;
  /** Ours, mapped in ascending or in shuffled order; or a baseline. */
  readonly table: "ascending" | "shuffled" | "map-bigint" | "map-number";
}

/** Of `footprint_child.ts`: bytes per mapping. */
export const FootprintReport = v.object({
  /** By what the table says itself. Null for tables that do not. */
  own: v.nullable(v.number()),
  /** The most of `own` at any count from half of the mappings to all of them. */
  worst: v.nullable(v.number()),
  /** By the growth of heap and array buffers. */
  heap: v.number(),
  /** By the growth of the process, freed memory that it keeps included. */
  rss: v.number(),
});
export type FootprintReport = v.InferOutput<typeof FootprintReport>;
