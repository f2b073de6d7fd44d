/**
 * Numbers, times and addresses as the pages print them.
 * @module
 */

import { hex, hexRange } from "../../core/address.ts";

export { hex as formatHex };

const SUFFIXES = ["", "k", "M", "G", "T", "P"];
const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const EN_DASH = "–";

/** Three significant digits, without an exponent. */
function three(value: number): string {
  const size = Math.abs(value);
  if (size >= 100 || Number.isInteger(value)) return value.toFixed(0);
  return size >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** `12.3 k`: a count or rate in three significant digits. */
export function formatCount(value: number): string {
  if (!Number.isFinite(value)) return EN_DASH;
  let step = 0;
  let rest = value;
  while (Math.abs(rest) >= 999.5 && step < SUFFIXES.length - 1) {
    rest /= 1000;
    step++;
  }
  return step === 0 ? three(rest) : `${three(rest)} ${SUFFIXES[step]}`;
}

/** `1 234 567`: every digit of an integer, in groups. */
export function formatInteger(value: number): string {
  return Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** `4.0 MiB`: bytes in binary units. */
export function formatBytes(value: number): string {
  if (!Number.isFinite(value)) return EN_DASH;
  let step = 0;
  let rest = value;
  while (Math.abs(rest) >= 1023.5 && step < BINARY.length - 1) {
    rest /= 1024;
    step++;
  }
  return `${three(rest)} ${BINARY[step]}`;
}

/** `99.2 %`, or a dash when there was nothing to take a share of. `share` is 0..1. */
export function formatShare(share: number | null): string {
  if (share === null || !Number.isFinite(share)) return EN_DASH;
  // Never rounds up to a whole that is not one.
  const percent = share < 1 ? Math.min(99.9, share * 100) : 100;
  return `${percent.toFixed(1)} %`;
}

/** `1.25 µs`: a duration in the unit that suits it. */
export function formatNs(ns: number | null): string {
  if (ns === null || !Number.isFinite(ns)) return EN_DASH;
  if (ns < 999.5) return `${three(ns)} ns`;
  if (ns < 999_500) return `${three(ns / 1000)} µs`;
  if (ns < 999_500_000) return `${three(ns / 1e6)} ms`;
  return `${three(ns / 1e9)} s`;
}

/**
 * What a percentile from buckets of powers of two is at most, in nanoseconds: the end of the bucket
 * that it fell in.
 */
export function upperNs(ns: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, ns)));
}

/** `≤ 8.19 µs`: a duration that may be less. */
export function formatAtMostNs(ns: number | null): string {
  return ns === null || !Number.isFinite(ns) ? EN_DASH : `≤ ${formatNs(ns)}`;
}

/** `≤ 8.19 µs`: a percentile from buckets, in nanoseconds. */
export function formatPercentileNs(ns: number | null): string {
  return formatAtMostNs(ns === null ? null : upperNs(ns));
}

/** `41 ms`: a duration of a run or step. */
export function formatMs(ms: number): string {
  return formatNs(ms * 1e6);
}

/** `0.004213`: seconds with microseconds, as the message log prints them. */
export function formatSeconds(ns: number): string {
  return (ns / 1e9).toFixed(6);
}

/** `14:03:27`: an instant in the reader's own time. `epochMs` counts from 1970. */
export function formatClock(epochMs: number): string {
  const date = new Date(epochMs);
  return [date.getHours(), date.getMinutes(), date.getSeconds()]
    .map((part) => String(part).padStart(2, "0")).join(":");
}

/** `0x1000..0x1fff`, both ends inclusive; the address alone when the length is 0. */
export function formatRange(start: number, length: number): string {
  return length === 0 ? hex(start) : hexRange(start, length);
}

/**
 * The address in `text`: hexadecimal with or without `0x`, `_` between digits allowed.
 * @returns null when it is none, or is 2^52 or more
 */
export function parseAddress(text: string): number | null {
  const digits = text.trim().replace(/^0x/i, "").replaceAll("_", "");
  if (!/^[0-9a-f]{1,13}$/i.test(digits)) return null;
  return parseInt(digits, 16);
}

/** `one fault`, `3 faults`: a count with its noun. */
export function plural(count: number, noun: string): string {
  return `${formatInteger(count)} ${noun}${count === 1 ? "" : "s"}`;
}
