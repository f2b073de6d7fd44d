/**
 * How long to wait before the next attempt to connect.
 * @module
 */

const FIRST_MS = 500;
const LONGEST_MS = 15_000;

/**
 * Milliseconds before attempt `attempt` (from 0): doubling from half a second to 15,
 * a quarter of it by chance so that many pages do not come at once. `random` is in [0, 1).
 */
export function backoffMs(attempt: number, random: number): number {
  const most = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 10));
  return Math.round(most * (0.75 + random / 4));
}
