/**
 * Scenario time: a clock that only moves when it is told to, so that a run with
 * the same seed does the same thing at the same instants.
 * @module
 */

/** A task that waits for its instant. */
export interface Timer {
  /** Drops the task if it has not run. Idempotent. */
  cancel(): void;
}

/** Time as devices see it. */
export interface Clock {
  /** Nanoseconds since the clock started: a safe integer. */
  readonly nowNs: number;
  /**
   * Runs `task` once, `delayMs` of this clock's milliseconds from now. Tasks due
   * at one instant run in the order in which they were deferred. `task` must not throw.
   */
  defer(delayMs: number, task: () => void): Timer;
}
