/**
 * Moves scenario time on.
 * @module
 */

import type { VirtualClock } from "../../core/observe/virtual_clock.ts";

/** @throws {RangeError} where `clock.advance(ms)` would refuse `ms`; otherwise does nothing */
export function checkAdvance(clock: VirtualClock, ms: number): void {
  const fits = clock.nowNs + Math.round(ms * 1e6) <= Number.MAX_SAFE_INTEGER;
  if (!(ms >= 0 && fits)) clock.advance(ms);
}

/**
 * As `VirtualClock.advance()`, but a task that throws does not keep others from their turn:
 * `failed` gets what it threw. @throws {RangeError} as {@linkcode checkAdvance}
 */
export function advanceClock(
  clock: VirtualClock,
  ms: number,
  failed: (error: unknown) => void,
): void {
  // Here and not below, where it would pass for a task's error, again and again.
  checkAdvance(clock, ms);
  const untilNs = clock.nowNs + Math.round(ms * 1e6);
  for (;;) {
    try {
      // A task that advanced the clock itself may have gone further.
      return clock.advance(Math.max(0, untilNs - clock.nowNs) / 1e6);
    } catch (error) {
      failed(error);
    }
  }
}
