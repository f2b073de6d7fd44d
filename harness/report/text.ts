/**
 * Quantities and text as reports print them.
 * @module
 */

/** Milliseconds in at most 7 characters: `0.4 ms`, `41 ms`, `1.2 s`, `3.5 min`. */
export function duration(ms: number): string {
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 99_950) return `${(ms / 1000).toFixed(1)} s`;
  return `${(ms / 60_000).toFixed(1)} min`;
}

const SCALES: readonly (readonly [number, string])[] = [
  [1e15, "P"],
  [1e12, "T"],
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
];

/** A count in at most 6 characters: `812`, `65.5 k`, `1.9 M`. */
export function quantity(count: number): string {
  for (const [scale, letter] of SCALES) {
    // What rounds up to the next unit is told in it: 999 960 is 1.0 M.
    if (count >= scale * (scale === 1e3 ? 1 : 0.99995)) {
      const value = count / scale;
      return `${value.toFixed(value < 99.95 ? 1 : 0)} ${letter}`;
    }
  }
  return String(count);
}

/** The share of hits among all look-ups, or `–` when there were none. */
export function hitRate(hits: number, misses: number): string {
  const all = hits + misses;
  if (all === 0) return "–";
  const percent = 100 * hits / all;
  // 100 % is said only of what never missed.
  const shown = misses > 0 ? Math.min(percent, 99.9) : percent;
  return `${shown.toFixed(shown === 100 ? 0 : 1)} %`;
}

/** `1 fault`, `2 faults`. */
export function plural(count: number, noun: string): string {
  return `${quantity(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** Control characters, and those that turn the direction of what stands beside them. */
const UNPRINTABLE =
  // deno-lint-ignore no-control-regex -- these are the ones to find
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** Text that a scenario chose, harmless to a terminal: control characters are spelled out. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
}

/** Its lines, each behind `indent`. */
export function indented(text: string, indent: string): string {
  return printable(text).split("\n").map((line) => `${indent}${line}`.trimEnd()).join("\n");
}
