/**
 * Waiting for several connections at once: while one of a group waits, all of them
 * are served. Two connections of one group can therefore never wait for each other,
 * and a peer in this very thread gets its turn.
 * @module
 */

import { EventFd } from "../../linux/eventfd.ts";
import { pointerOf, POLLIN, ppoll, ppollLater, stable } from "../../linux/libc.ts";
import { LoadAverage, type SpinMode, SpinPolicy } from "../../linux/spin.ts";

/** A descriptor and what to wait for: POLLIN, POLLOUT. */
export interface ReadyFd {
  readonly fd: number;
  readonly events: number;
}

/** Something that a {@linkcode PollGroup} serves. */
export interface Pollable {
  /** What to wait for. Nothing when it is closed. Asked before every wait. */
  readyFds(): readonly ReadyFd[];
  /** Does what is ready, and never waits. @returns whether anything was */
  poll(): boolean;
}

/** What can be waited for. A {@linkcode Ticket} is one. */
export interface Waitable {
  readonly done: boolean;
}

export interface PollGroupOptions {
  /** How long to look before sleeping; `off` unless told. */
  readonly spin?: SpinMode;
}

/** Pollfds that fit without a larger array. */
const FIRST_FDS = 16;

/** See the module. */
export class PollGroup implements Disposable {
  readonly #members = new Set<Pollable>();
  readonly #load: LoadAverage | null;
  readonly #policy: SpinPolicy | null;
  /** struct pollfd, two words each. */
  #words = new Int32Array(stable(8 * FIRST_FDS));
  #pointer = pointerOf(this.#words);
  /** struct timespec of two 64-bit fields. */
  readonly #timeout = new Int32Array(stable(16));
  readonly #timeoutPointer = pointerOf(this.#timeout);

  /** Of each promise that wants to be served in the background: what rejects it when that fails. */
  readonly #promises = new Set<(error: unknown) => void>();
  #serving = false;
  #wake: EventFd | null = null;
  /** What the background polls. Kept here, since a thread of the pool writes to it meanwhile. */
  #backgroundWords = new Int32Array(stable(8 * FIRST_FDS));

  constructor(options: PollGroupOptions = {}) {
    const spin = options.spin ?? "off";
    this.#load = spin === "auto" ? new LoadAverage() : null;
    this.#policy = spin === "off" ? null : new SpinPolicy(spin, () => this.#load?.running() ?? NaN);
  }

  /** Serves `member` from now on. */
  add(member: Pollable): void {
    this.#members.add(member);
    this.#wakeBackground();
  }

  /** Serves it no more. */
  remove(member: Pollable): void {
    this.#members.delete(member);
  }

  /** How many are served. */
  get size(): number {
    return this.#members.size;
  }

  /** Serves the members until `target` is done. False when it is not after `timeoutMs`; negative is for ever. */
  wait(target: Waitable, timeoutMs: number): boolean {
    if (target.done) return true;
    if (timeoutMs < 0) {
      do this.turn(-1); while (!target.done);
      return true;
    }
    const started = performance.now();
    for (let left = timeoutMs; left > 0; left = timeoutMs - (performance.now() - started)) {
      this.turn(left);
      if (target.done) return true;
    }
    return false;
  }

  /** Waits until something is ready, for at most `timeoutMs` (for ever when negative or Infinity), and does it. */
  turn(timeoutMs: number): void {
    if (timeoutMs === Infinity) timeoutMs = -1;
    if (this.#policy !== null && this.#spin(this.#policy, timeoutMs)) return;
    const count = this.#gather();
    let timeout: Deno.PointerValue = null;
    if (timeoutMs >= 0) {
      this.#timeout[0] = Math.floor(timeoutMs / 1000);
      this.#timeout[2] = Math.floor((timeoutMs % 1000) * 1e6);
      timeout = this.#timeoutPointer;
    }
    if (ppoll(this.#pointer, count, timeout) <= 0) return;
    if (this.#members.size === 1) {
      for (const member of this.#members) member.poll();
      return;
    }
    const words = this.#words;
    let at = 0;
    // A member may leave or come while another is served.
    for (const member of [...this.#members]) {
      let ready = false;
      for (let left = this.#counts.get(member) ?? 0; left > 0; left--, at++) {
        if ((words[2 * at + 1] as number) >>> 16 !== 0) ready = true;
      }
      if (ready && this.#members.has(member)) member.poll();
    }
  }

  /**
   * The answer as a promise that settles without anybody's further doing: while there is
   * one, the group is served from the thread's event loop, and waits on a thread of the
   * runtime's pool.
   */
  settled<T>(target: PromiseLike<T> & Waitable): Promise<T> {
    if (target.done) return Promise.resolve(target);
    return new Promise<T>((resolve, reject) => {
      const isOver = (): void => {
        this.#promises.delete(reject);
        if (this.#promises.size === 0) this.#wakeBackground();
      };
      this.#promises.add(reject);
      target.then((value) => {
        isOver();
        resolve(value);
      }, (error) => {
        isOver();
        reject(error);
      });
      this.#serveInBackground();
    });
  }

  /** Lets go of what the group itself holds. Members stay their owners'. */
  close(): void {
    this.#load?.[Symbol.dispose]();
    this.#members.clear();
    this.#wakeBackground();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** How many pollfds each member has in {@linkcode #words}, when there are several. */
  readonly #counts = new Map<Pollable, number>();

  #gather(): number {
    let count = 0;
    this.#counts.clear();
    for (const member of this.#members) {
      const fds = member.readyFds();
      if (this.#members.size > 1) this.#counts.set(member, fds.length);
      for (let index = 0; index < fds.length; index++) {
        const { fd, events } = fds[index] as ReadyFd;
        if (2 * count === this.#words.length) this.#grow();
        this.#words[2 * count] = fd;
        this.#words[2 * count + 1] = events;
        count++;
      }
    }
    return count;
  }

  #grow(): void {
    const larger = new Int32Array(stable(2 * this.#words.byteLength));
    larger.set(this.#words);
    this.#words = larger;
    this.#pointer = pointerOf(larger);
  }

  /** Looks without sleeping for as long as it pays. True when something was done. */
  #spin(policy: SpinPolicy, timeoutMs: number): boolean {
    const started = performance.now();
    const boundMs = policy.boundNs(started * 1e6) / 1e6;
    const limitMs = timeoutMs < 0 ? boundMs : Math.min(boundMs, timeoutMs);
    let waitedMs = 0;
    while (waitedMs < limitMs) {
      let any = false;
      for (const member of this.#members) any = member.poll() || any;
      waitedMs = performance.now() - started;
      if (any) {
        policy.learn(waitedMs * 1e6);
        return true;
      }
    }
    // Slept or not, what it came to is learnt from the time that the sleep takes.
    const count = this.#gather();
    this.#timeout.fill(0);
    if (timeoutMs >= 0) {
      const leftMs = Math.max(0, timeoutMs - waitedMs);
      this.#timeout[0] = Math.floor(leftMs / 1000);
      this.#timeout[2] = Math.floor((leftMs % 1000) * 1e6);
    }
    const ready = ppoll(this.#pointer, count, timeoutMs < 0 ? null : this.#timeoutPointer);
    policy.learn((performance.now() - started) * 1e6);
    if (ready > 0) { for (const member of [...this.#members]) member.poll(); }
    return true;
  }

  #wakeBackground(): void {
    if (this.#serving) this.#wake?.signal();
  }

  #serveInBackground(): void {
    if (this.#serving) {
      this.#wakeBackground();
      return;
    }
    this.#serving = true;
    this.#background().catch((error) => {
      // A member's poll threw, which is a bug of ours: who waits hears of it.
      for (const reject of this.#promises) reject(error);
      this.#promises.clear();
    }).finally(() => {
      this.#serving = false;
      if (this.#promises.size > 0) this.#serveInBackground();
    });
  }

  async #background(): Promise<void> {
    const wake = EventFd.create();
    this.#wake = wake;
    try {
      while (this.#promises.size > 0) {
        let any = false;
        for (const member of [...this.#members]) any = member.poll() || any;
        // Settled promises get their turn before the next look.
        await Promise.resolve();
        if (this.#promises.size === 0) return;
        if (any) continue;
        // Its own array: what this thread polls meanwhile uses the other.
        const count = this.#gather();
        if (this.#backgroundWords.length < 2 * (count + 1)) {
          this.#backgroundWords = new Int32Array(stable(8 * 2 * (count + 1)));
        }
        const words = this.#backgroundWords;
        words.set(this.#words.subarray(0, 2 * count));
        words[2 * count] = wake.fd;
        words[2 * count + 1] = POLLIN;
        await ppollLater(pointerOf(words), count + 1, null);
        wake.drain();
      }
    } finally {
      this.#wake = null;
      wake.close();
    }
  }
}
