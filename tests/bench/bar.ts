/**
 * Bars: what a ratio has to be.
 * @module
 */

/** A limit that a value must keep. */
export interface Bar {
  readonly sense: "at most" | "at least";
  readonly limit: number;
}

/** The value may be `limit`, and less. */
export function atMost(limit: number): Bar {
  return { sense: "at most", limit };
}

/** The value may be `limit`, and more. */
export function atLeast(limit: number): Bar {
  return { sense: "at least", limit };
}

/** Whether the value keeps the bar. What is no number, from a division by 0 say, keeps none. */
export function keeps(value: number, bar: Bar): boolean {
  return bar.sense === "at most" ? value <= bar.limit : value >= bar.limit;
}
