/**
 * Slices on threads. On one thread of a trace slices stand side by side or one in another; those
 * that would cross go on lanes, which are threads of their own.
 * @module
 */

/** How slices may share a lane: `nest` lets one stand in another, as steps do; `apart` does not. */
export type LaneRule = "nest" | "apart";

/** Gives slices their lanes. */
export class Lanes {
  readonly #rule: LaneRule;
  readonly #most: number;
  /** Ends of the slices that are open, the innermost last, by lane. */
  readonly #open: number[][] = [];

  /** At most `most` lanes. */
  constructor(rule: LaneRule, most: number) {
    this.#rule = rule;
    this.#most = most;
  }

  /** Lanes in use so far. */
  get count(): number {
    return this.#open.length;
  }

  /**
   * The lane, from 0, of a slice from `start` to `end`, or -1 when it crosses what is on every one.
   * Slices come by their starts; of those that start together the longest first.
   */
  place(start: number, end: number): number {
    for (const [lane, ends] of this.#open.entries()) {
      while (ends.length > 0 && ends.at(-1)! <= start) ends.pop();
      const over = ends.at(-1);
      if (over !== undefined && (this.#rule === "apart" || over < end)) continue;
      ends.push(end);
      return lane;
    }
    if (this.#open.length >= this.#most) return -1;
    this.#open.push([end]);
    return this.#open.length - 1;
  }
}
