/**
 * Faults that were counted and whose reason nobody saw, for `/metrics`.
 * @module
 */

/** Milliseconds in which the reason of a fault that was counted has come, if it comes. */
const PATIENCE_MS = 1000;

interface Endpoint {
  /** Faults counted at an earlier look, and when that was. */
  counted: number;
  countedMs: number;
  unseen: number;
}

/**
 * Reasons come after the counters: a fault is unseen for good when it was counted a while ago and
 * has no reason yet. So the number only grows, as Prometheus wants it.
 */
export class UnseenFaults {
  readonly #endpoints = new Map<string, Endpoint>();
  readonly #nowMs: () => number;

  /** `nowMs` is any clock of the wall. */
  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /**
   * The unseen faults of an endpoint, of which `counted` faults are known and `seen` have a reason.
   * With `over` no reason comes any more.
   */
  of(endpoint: string, counted: number, seen: number, state: "live" | "over"): number {
    const nowMs = this.#nowMs();
    let known = this.#endpoints.get(endpoint);
    if (known === undefined) {
      known = { counted, countedMs: nowMs, unseen: 0 };
      this.#endpoints.set(endpoint, known);
    }
    if (state === "over") return known.unseen = Math.max(known.unseen, counted - seen);
    if (nowMs - known.countedMs >= PATIENCE_MS) {
      known.unseen = Math.max(known.unseen, known.counted - seen);
      known.counted = counted;
      known.countedMs = nowMs;
    }
    return known.unseen;
  }
}
