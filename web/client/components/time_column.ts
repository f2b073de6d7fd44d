/**
 * Columns of times and numbers that are as wide as their longest: a server counts from its machine's
 * start, which may be weeks and millions of messages ago.
 * @module
 */

import { formatInteger, formatSeconds } from "../format.ts";

/** Pixels of a digit in the lists' monospace, rounded up. */
const DIGIT = 8;
/** Pixels of the narrowest columns, which their headings fit. */
const LEAST_TIME = 88, LEAST_NUMBER = 64;

/** Width of a column of {@linkcode formatSeconds} with times up to `latestNs`: pixels, as CSS has them. */
export function timeWidth(latestNs: number): string {
  return widthOf(formatSeconds(latestNs), LEAST_TIME);
}

/** As {@linkcode timeWidth}, of milliseconds with three digits after the point. */
export function millisecondsWidth(latestMs: number): string {
  return widthOf(latestMs.toFixed(3), LEAST_TIME);
}

/** As {@linkcode timeWidth}, of {@linkcode formatInteger} with numbers up to `greatest`. */
export function numberWidth(greatest: number): string {
  return widthOf(formatInteger(greatest), LEAST_NUMBER);
}

function widthOf(longest: string, least: number): string {
  return `${Math.max(least, longest.length * DIGIT)}px`;
}
