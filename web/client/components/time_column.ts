/**
 * A column of scenario time that is as wide as its longest time: a server counts from its machine's
 * start, which may be weeks ago.
 * @module
 */

import { formatSeconds } from "../format.ts";

/** Pixels of a digit in the lists' monospace, rounded up, and of the shortest column. */
const DIGIT = 8, LEAST = 88;

/** Width of a column of {@linkcode formatSeconds} with times up to `latestNs`: pixels, as CSS has them. */
export function timeWidth(latestNs: number): string {
  return `${Math.max(LEAST, formatSeconds(latestNs).length * DIGIT)}px`;
}
