/**
 * How long a server's thread may wait for answers of its clients, which all others of that thread wait
 * for as well (spec/08 rule 21).
 *
 * An access by message takes what it takes at {@linkcode ALLOWED_MS} and {@linkcode ALLOWED_MS_A_MESSAGE}
 * for nothing. What is longer is paid for: the first time as long as the limit, and then no more than
 * has come in again since, a {@linkcode REGAINED}th part of the time that has passed. So a client that
 * is slow once, because it was stopped or moved to another CPU, loses nothing, and one that is slow on
 * purpose takes that part of the thread's time and no more, however often it comes back.
 *
 * @module
 */

import type { Clock } from "../../../core/observe/clock.ts";

/** Milliseconds that every access may take. */
export const ALLOWED_MS = 10;
/** Milliseconds more for each message of it: five times what one takes between two processes. */
export const ALLOWED_MS_A_MESSAGE = 0.25;
/** One in so many milliseconds of waiting is regained. */
export const REGAINED = 16;

/** One server's, over all of its clients. */
export class Patience {
  readonly #clock: Clock;
  readonly #limitNs: number;
  #leftNs: number;
  #atNs: number;

  /** @param limitMs milliseconds that one access may take at the most */
  constructor(clock: Clock, limitMs: number) {
    this.#clock = clock;
    this.#limitNs = this.#leftNs = limitMs * 1e6;
    this.#atNs = clock.nowNs;
  }

  /**
   * When an access that began at `startNs`, and has sent so many messages, is to be given up. Both are
   * the clock's nanoseconds. Short messages may count as parts of one.
   */
  deadlineNs(startNs: number, messages: number): number {
    this.#regain(this.#clock.nowNs);
    return startNs + Math.min(this.#limitNs, allowedNs(messages) + this.#leftNs);
  }

  /** An access has sent so many messages, and taken that long. */
  spend(messages: number, ns: number): void {
    const paid = ns - allowedNs(messages);
    if (paid <= 0) return;
    this.#regain(this.#clock.nowNs);
    this.#leftNs = Math.max(0, this.#leftNs - paid);
  }

  #regain(nowNs: number): void {
    this.#leftNs = Math.min(this.#limitNs, this.#leftNs + (nowNs - this.#atNs) / REGAINED);
    this.#atNs = nowNs;
  }
}

function allowedNs(messages: number): number {
  return (ALLOWED_MS + messages * ALLOWED_MS_A_MESSAGE) * 1e6;
}
