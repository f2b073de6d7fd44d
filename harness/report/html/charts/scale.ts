/**
 * Scales of charts: from a value to its place between the left and the right end.
 * @module
 */

/** A mark on the axis. */
export interface Tick {
  /** From 0, the left end, to 1. */
  readonly at: number;
  readonly value: number;
}

/** See the module. */
export interface Scale {
  /** The place of a value, from 0 to 1. */
  at(value: number): number;
  readonly ticks: readonly Tick[];
}

/** Decades that all have a tick: on a phone there is room for no more. */
const TICKED_DECADES = 5;

/** From 0 to `max`, evenly. */
export function linearScale(max: number, ticks = 4): Scale {
  const top = max > 0 ? max : 1;
  return {
    at: (value) => Math.min(1, Math.max(0, value / top)),
    ticks: Array.from(
      { length: ticks + 1 },
      (_, at) => ({ at: at / ticks, value: top * at / ticks }),
    ),
  };
}

/**
 * Whole decades around all `values`, which are 0 or more. A 0 has a place of its own at
 * the left end, a decade before the least of the others.
 */
export function logScale(values: readonly number[]): Scale {
  let min = Infinity, max = 0, hasZero = false;
  for (const value of values) {
    if (value > 0) {
      min = Math.min(min, value);
      max = Math.max(max, value);
    } else hasZero = true;
  }
  if (max === 0) [min, max] = [1, 10];
  const low = Math.floor(Math.log10(min));
  const high = Math.max(low + 1, Math.ceil(Math.log10(max)));
  const left = hasZero ? low - 1 : low;
  const span = high - left;
  const at = (value: number) =>
    value > 0 ? Math.min(1, Math.max(0, (Math.log10(value) - left) / span)) : 0;
  const ticks: Tick[] = hasZero ? [{ at: 0, value: 0 }] : [];
  const step = Math.ceil((high - low) / TICKED_DECADES);
  for (let decade = low; decade <= high; decade += step) {
    const value = 10 ** decade;
    ticks.push({ at: at(value), value });
  }
  return { at, ticks };
}
