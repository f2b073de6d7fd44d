/**
 * The stretch of time that charts show while they follow a run.
 * @module
 */

/** A young history fills its charts, but is not stretched to more than this. */
const SHORTEST_MS = 15_000;
/** Steps in which the stretch moves on where it must not slide, of its length. */
const STEPS = 10;

/** What the stretch depends on, in milliseconds from 1970. */
export interface Following {
  /** The newest moment that is known. */
  readonly endMs: number;
  /** The oldest. */
  readonly beganMs: number;
  /** How much is to be seen at most, in milliseconds. */
  readonly lengthMs: number;
  /**
   * `slide`: the newest moment is at the right end. `step`: the stretch stands still while it fills,
   * and then moves on by a tenth of its length, for readers who want nothing to scroll.
   */
  readonly motion: "slide" | "step";
}

/** See the module. */
export function followingRange(
  { endMs, beganMs, lengthMs, motion }: Following,
): { fromMs: number; toMs: number } {
  const stepMs = lengthMs / STEPS;
  const toMs = motion === "slide" ? endMs : Math.ceil(endMs / stepMs) * stepMs;
  // Time before the page came is not drawn.
  return { fromMs: Math.max(toMs - lengthMs, Math.min(beganMs, toMs - SHORTEST_MS)), toMs };
}
