/**
 * 64-bit values of the wire as numbers. A number holds 53 bits exactly, so a larger value is never
 * rounded: a field becomes {@linkcode TOO_WIDE}, and a range is classed and clamped.
 * @module
 */

import { MAX_ADDRESS } from "../../core/address.ts";

const WORD = 2 ** 32;

/** What {@linkcode readU64} gives for 2^53 or more. Negative, as no other result is. */
export const TOO_WIDE: number = -1;

/** The unsigned 64-bit value at byte `at`, or {@linkcode TOO_WIDE}. */
export function readU64(view: DataView, at: number): number {
  const high = view.getUint32(at + 4, true);
  return high < 0x20_0000 ? high * WORD + view.getUint32(at, true) : TOO_WIDE;
}

/** Stores `value`, a safe integer of at least 0. */
export function writeU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % WORD, true);
  view.setUint32(at + 4, Math.floor(value / WORD), true);
}

/** How a range of 64-bit addresses lies in the 2^52 addresses that we have. */
export const RangeKind = {
  /** All of it is within. */
  WITHIN: 0,
  /** It has no bytes. */
  EMPTY: 1,
  /** It starts within and ends beyond: `last` is clamped. */
  CLAMPED: 2,
  /** It starts beyond: nothing here can be in it. */
  BEYOND: 3,
  /** Its end passes 2^64: no range at all. */
  WRAPS: 4,
} as const;

/** A value of {@linkcode RangeKind}. */
export type RangeKind = typeof RangeKind[keyof typeof RangeKind];

/**
 * A range as a peer names it, by start and size, each up to 2^64 - 1. `start` and `last` are what
 * is left of it within our addresses; the four halves are what was sent, for a reply that echoes it.
 */
export interface AddressRange {
  kind: RangeKind;
  /** First address; 0 for BEYOND and WRAPS. */
  start: number;
  /** Last address, inclusive, at most 2^52 - 1; `start - 1` when the range has no byte here. */
  last: number;
  startLow: number;
  startHigh: number;
  sizeLow: number;
  sizeHigh: number;
}

/** An empty range, to be filled. */
export function addressRange(): AddressRange {
  return {
    kind: RangeKind.EMPTY,
    start: 0,
    last: -1,
    startLow: 0,
    startHigh: 0,
    sizeLow: 0,
    sizeHigh: 0,
  };
}

/** Makes `into` the range of `size` bytes from `start`, both safe integers of at least 0. */
export function setRange(into: AddressRange, start: number, size: number): AddressRange {
  into.startLow = start % WORD;
  into.startHigh = Math.floor(start / WORD);
  into.sizeLow = size % WORD;
  into.sizeHigh = Math.floor(size / WORD);
  classify(into);
  return into;
}

/** Reads a 64-bit start at byte `at` and a 64-bit size after it. Every bit pattern has a meaning. */
export function readRange(view: DataView, at: number, into: AddressRange): void {
  into.startLow = view.getUint32(at, true);
  into.startHigh = view.getUint32(at + 4, true);
  into.sizeLow = view.getUint32(at + 8, true);
  into.sizeHigh = view.getUint32(at + 12, true);
  classify(into);
}

/** Writes start and size as they were read or set. */
export function writeRange(view: DataView, at: number, range: Readonly<AddressRange>): void {
  view.setUint32(at, range.startLow, true);
  view.setUint32(at + 4, range.startHigh, true);
  view.setUint32(at + 8, range.sizeLow, true);
  view.setUint32(at + 12, range.sizeHigh, true);
}

function classify(range: AddressRange): void {
  const { startLow, startHigh, sizeLow, sizeHigh } = range;
  range.start = 0;
  range.last = -1;
  // An empty range wraps never, wherever it stands.
  if (sizeLow === 0 && sizeHigh === 0) {
    range.kind = RangeKind.EMPTY;
    if (startHigh < 0x10_0000) {
      range.start = startHigh * WORD + startLow;
      range.last = range.start - 1;
    }
    return;
  }
  // last = start + (size - 1), in halves with a carry.
  const low = startLow + (sizeLow === 0 ? 0xffff_ffff : sizeLow - 1);
  const high = startHigh + (sizeLow === 0 ? sizeHigh - 1 : sizeHigh) + (low >= WORD ? 1 : 0);
  if (high >= WORD) {
    range.kind = RangeKind.WRAPS;
  } else if (startHigh >= 0x10_0000) {
    range.kind = RangeKind.BEYOND;
  } else {
    range.start = startHigh * WORD + startLow;
    const within = high < 0x10_0000;
    range.kind = within ? RangeKind.WITHIN : RangeKind.CLAMPED;
    range.last = within ? high * WORD + (low >= WORD ? low - WORD : low) : MAX_ADDRESS;
  }
}
