/**
 * One loop a thread that owns sockets, timers and eventfds (ppoll(2)).
 *
 * It is made for a Worker that does nothing else. Handlers and tasks are plain
 * functions: while {@linkcode Reactor.run} is on the stack the thread never returns
 * to JavaScript's event loop, so no promise of that thread settles, and no message
 * posted to the Worker arrives (what it posts itself does leave). Other threads talk
 * to it through a `Mailbox`, and stop it through its {@linkcode ReactorHandle};
 * `Worker.terminate()` would not: it waits for the call of the system to end.
 * A thread with an event loop to serve uses {@linkcode Reactor.runAlongside}, and
 * code that polls for itself {@linkcode Reactor.turn}.
 *
 * A turn runs what is due once: timers, posted tasks, then each ready handler. A
 * handler should do a bounded piece of work and ask for more with `again()`; then no
 * peer can keep the others waiting.
 *
 * @module
 */

import type { Clock, Timer } from "../../core/observe/clock.ts";
import { Errno, LinuxError } from "./errno.ts";
import { EventFd, signalEvent } from "./eventfd.ts";
import { monotonic, pointerOf, POLLIN, ppollLater, stable } from "./libc.ts";
import { PollSet, type ReadyHandler, type Registration } from "./poll_set.ts";
import { LoadAverage, type SpinMode, SpinPolicy } from "./spin.ts";
import { TimerQueue } from "./timer_queue.ts";

export type { ReadyHandler, Registration, SpinMode };

export interface ReactorOptions {
  /** `auto` unless told. */
  readonly spin?: SpinMode;
  /**
   * Gets what a handler or a task threw, which is a bug of it; the loop goes on. Without
   * it the error leaves {@linkcode Reactor.turn} or {@linkcode Reactor.run} once the turn is done.
   */
  readonly onError?: (error: unknown) => void;
}

/** What another thread needs to stop or wake a reactor. Can be posted to it. */
export interface ReactorHandle {
  readonly wakeFd: number;
  readonly control: Int32Array<SharedArrayBuffer>;
}

/** Words of {@linkcode ReactorHandle.control}: 1 when it is so. */
const STOPPED = 0, CLOSED = 1, CONTROL_WORDS = 2;

/** Stops a reactor from any thread: it finishes the handler it is in, and no more. */
export function stopReactor(handle: ReactorHandle): void {
  Atomics.store(handle.control, STOPPED, 1);
  wakeReactor(handle);
}

/**
 * Makes a reactor run its {@linkcode Reactor.onWake} handlers. Does nothing once it is
 * closed; whoever closes one sees to it that no other thread is in here just then.
 */
export function wakeReactor(handle: ReactorHandle): void {
  if (Atomics.load(handle.control, CLOSED) === 0) signalEvent(handle.wakeFd);
}

/** How often and how a reactor waited. */
export interface ReactorCounts {
  readonly turns: number;
  /** Waits that ended while spinning. */
  readonly spins: number;
  /** Waits that slept. */
  readonly sleeps: number;
}

/** Polls between two looks at the clock while spinning. */
const POLLS_A_LOOK = 4;

/** See the module. Not re-entrant. */
export class Reactor implements Disposable {
  /**
   * Monotonic real time since the reactor was made. Its tasks run between handlers. One
   * that throws is treated as a handler that does.
   */
  readonly clock: Clock;
  /** For other threads. */
  readonly handle: ReactorHandle;

  readonly #onError: ((error: unknown) => void) | null;
  readonly #mode: SpinMode;
  readonly #load = new LoadAverage();
  readonly #policy: SpinPolicy;
  readonly #timers = new TimerQueue();
  readonly #set = new PollSet();
  readonly #wake = EventFd.create();
  readonly #wakeHandlers: (() => void)[] = [];
  readonly #control = new Int32Array(new SharedArrayBuffer(4 * CONTROL_WORDS));
  readonly #stopped = (): boolean => Atomics.load(this.#control, STOPPED) !== 0;
  readonly #failed = (error: unknown): void => {
    if (this.#onError !== null) this.#onError(error);
    else this.#failure ??= { error };
  };

  // struct timespec: seconds and nanoseconds, 64 bits each.
  readonly #time = new Uint32Array(stable(16));
  readonly #timePointer = pointerOf(this.#time);
  readonly #startSeconds: number;
  readonly #startNanoseconds: number;
  readonly #timeout = new Uint32Array(stable(16));
  readonly #timeoutPointer = pointerOf(this.#timeout);

  #posted: (() => void)[] = [];
  #inTurn = false;
  /** True while a poll on another thread must hear of every change. */
  #alongside = false;
  #failure: { readonly error: unknown } | null = null;
  #turns = 0;
  #spins = 0;
  #sleeps = 0;

  constructor(options: ReactorOptions = {}) {
    this.#onError = options.onError ?? null;
    this.#mode = options.spin ?? "auto";
    this.#policy = new SpinPolicy(this.#mode, () => this.#load.running());
    monotonic(this.#timePointer);
    this.#startSeconds = this.#seconds();
    this.#startNanoseconds = this.#time[2] as number;
    this.handle = { wakeFd: this.#wake.fd, control: this.#control };
    this.#set.add(this.#wake.fd, POLLIN, () => {
      this.#wake.drain();
      for (const handler of [...this.#wakeHandlers]) handler();
    });
    const now = (): number => this.nowNs;
    this.clock = {
      get nowNs(): number {
        return now();
      },
      defer: (delayMs: number, task: () => void): Timer => this.#defer(delayMs, task),
    };
  }

  /** Nanoseconds since the reactor was made. */
  get nowNs(): number {
    monotonic(this.#timePointer);
    return this.lastNs;
  }

  /** {@linkcode nowNs} as it was last read, by anybody: costs no call of the system. */
  get lastNs(): number {
    return (this.#seconds() - this.#startSeconds) * 1e9 +
      ((this.#time[2] as number) - this.#startNanoseconds);
  }

  get counts(): ReactorCounts {
    return { turns: this.#turns, spins: this.#spins, sleeps: this.#sleeps };
  }

  /** Descriptors watched, without the reactor's own. */
  get watched(): number {
    return this.#set.size - 1;
  }

  /**
   * Calls `handler` while `fd` is ready for one of `events` (POLLIN, POLLOUT), is hung up
   * or in error. The descriptor stays the caller's, who removes it here before closing it.
   */
  add(fd: number, events: number, handler: ReadyHandler): Registration {
    this.#changed();
    const registration = this.#set.add(fd, events, handler);
    return {
      watch: (events) => {
        registration.watch(events);
        this.#changed();
      },
      again: () => {
        registration.again();
        this.#changed();
      },
      remove: () => {
        registration.remove();
        this.#changed();
      },
    };
  }

  /** Runs `task` in the next turn. For this thread; others use a mailbox and {@linkcode onWake}. */
  post(task: () => void): void {
    this.#posted.push(task);
    this.#changed();
  }

  /** Whether tasks wait for the next turn, which a handler that goes on by itself would keep waiting. */
  get hasTasks(): boolean {
    return this.#posted.length > 0;
  }

  /** Calls `handler` whenever another thread has used {@linkcode wakeReactor}, which may be once for several times. */
  onWake(handler: () => void): void {
    this.#wakeHandlers.push(handler);
  }

  /** Runs turns on this thread, waiting in between, until it is stopped. */
  run(): void {
    while (!this.#stopped()) this.turn();
  }

  /**
   * As {@linkcode run} without blocking the thread: it waits on one of the runtime's
   * pool, some 50 us slower. For tools and tests that have an event loop to serve. Await it
   * after stopping and before disposing of the reactor.
   */
  async runAlongside(): Promise<void> {
    while (!this.#stopped()) {
      this.turn(0);
      if (this.#stopped()) break;
      // Also when something is due already: the event loop gets its turn too.
      this.#alongside = true;
      const { words, count } = this.#set.snapshot();
      const wait = this.#due();
      const timeout = new Uint32Array(stable(16));
      if (wait !== Infinity) putTime(timeout, wait);
      const limit = wait === Infinity ? null : pointerOf(timeout);
      await ppollLater(pointerOf(words), count, limit);
      this.#alongside = false;
      // Used after the wait, so that neither is collected during it.
      words[0] = timeout[0] = 0;
    }
  }

  /**
   * One turn: waits until something is due, at most `timeoutMs` when given, and runs it.
   * @throws what a handler threw, when there is no `onError`
   */
  turn(timeoutMs: number = Infinity): void {
    if (this.#inTurn) throw new Error("Cannot start a turn of a reactor from within one");
    this.#inTurn = true;
    try {
      this.#turns++;
      const ready = this.#wait(Math.min(this.#due(), timeoutMs * 1e6));
      if (this.#stopped()) return;
      if (this.#timers.nextNs !== Infinity) this.#runTimers();
      if (this.#posted.length > 0) this.#runPosted();
      if ((ready > 0 || this.#set.repeats > 0) && !this.#stopped()) {
        this.#set.dispatch(this.#stopped, this.#failed);
      }
    } finally {
      this.#inTurn = false;
    }
    const failure = this.#failure;
    if (failure !== null) {
      this.#failure = null;
      throw failure.error;
    }
  }

  /** Ends {@linkcode run} after the handler that is running now. From other threads: {@linkcode stopReactor}. */
  stop(): void {
    stopReactor(this.handle);
  }

  /** Forgets every handler, task and timer, and closes what the reactor itself has open. */
  [Symbol.dispose](): void {
    if (this.#wake.closed) return;
    Atomics.store(this.#control, STOPPED, 1);
    Atomics.store(this.#control, CLOSED, 1);
    this.#timers.clear();
    this.#posted = [];
    this.#wake.close();
    this.#load[Symbol.dispose]();
  }

  #seconds(): number {
    return (this.#time[1] as number) * 2 ** 32 + (this.#time[0] as number);
  }

  #defer(delayMs: number, task: () => void): Timer {
    if (!(delayMs >= 0 && delayMs < Infinity)) {
      throw new RangeError(`Cannot defer a task by ${delayMs} ms: give a number of at least 0`);
    }
    const timer = this.#timers.add(this.nowNs + Math.round(delayMs * 1e6), task);
    this.#changed();
    return timer;
  }

  #changed(): void {
    if (this.#alongside) signalEvent(this.handle.wakeFd);
  }

  /** Nanoseconds until something is due that needs no event. */
  #due(): number {
    if (this.#posted.length > 0 || this.#set.repeats > 0) return 0;
    const next = this.#timers.nextNs;
    return next === Infinity ? Infinity : Math.max(0, next - this.nowNs);
  }

  #wait(limitNs: number): number {
    if (limitNs <= 0) return this.#poll(0);
    if (this.#mode === "off") {
      this.#sleeps++;
      return this.#poll(limitNs);
    }
    const start = this.nowNs;
    const spin = Math.min(this.#policy.boundNs(start), limitNs);
    let now = start;
    for (let polls = 0; now - start < spin;) {
      const ready = this.#poll(0);
      if (ready > 0) {
        this.#spins++;
        this.#policy.learn(this.nowNs - start);
        return ready;
      }
      if (++polls % POLLS_A_LOOK === 0) now = this.nowNs;
    }
    const left = limitNs - (now - start);
    if (left <= 0) return this.#poll(0);
    this.#sleeps++;
    const ready = this.#poll(left);
    this.#policy.learn(this.nowNs - start);
    return ready;
  }

  #poll(timeoutNs: number): number {
    if (timeoutNs !== Infinity) putTime(this.#timeout, timeoutNs);
    const ready = this.#set.poll(timeoutNs === Infinity ? null : this.#timeoutPointer);
    if (ready >= 0) return ready;
    // A signal is as good as a time limit. ENOMEM passes; the rest are bugs.
    if (ready === -Errno.EINTR || ready === -Errno.ENOMEM) return 0;
    throw new LinuxError("ppoll", ready, `on ${this.#set.size} descriptors`);
  }

  #runTimers(): void {
    for (const timer of this.#timers.takeDue(this.nowNs)) {
      const task = timer.task;
      if (task !== null && !this.#stopped()) this.#call(task);
    }
  }

  #runPosted(): void {
    const tasks = this.#posted;
    this.#posted = [];
    for (const task of tasks) if (!this.#stopped()) this.#call(task);
  }

  #call(task: () => void): void {
    try {
      task();
    } catch (error) {
      this.#failed(error);
    }
  }
}

/** Fills a struct timespec, rounding up: a wait must not end before its instant. */
function putTime(timespec: Uint32Array, ns: number): void {
  const whole = Math.ceil(Math.min(ns, 1e18));
  const seconds = Math.floor(whole / 1e9);
  timespec[0] = seconds % 2 ** 32;
  timespec[1] = Math.floor(seconds / 2 ** 32);
  timespec[2] = whole - seconds * 1e9;
}
