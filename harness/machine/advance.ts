/**
 * Moves scenario time on.
 * @module
 */

import type { VirtualClock } from "../../core/observe/virtual_clock.ts";

/**
 * As `VirtualClock.advance()`, but a task that throws does not keep others from their turn:
 * `failed` gets what it threw. @throws {RangeError} unless `ms` is at least 0
 */
export function advanceClock(
  clock: VirtualClock,
  ms: number,
  failed: (error: unknown) => void,
): void {
  const untilNs = clock.nowNs + Math.round(ms * 1e6);
  if (!(ms >= 0)) clock.advance(ms);
  for (;;) {
    try {
      // A task that advanced the clock itself may have gone further.
      return clock.advance(Math.max(0, untilNs - clock.nowNs) / 1e6);
    } catch (error) {
      failed(error);
    }
  }
}
