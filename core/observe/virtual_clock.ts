/**
 * The clock of tests and scenarios: it moves when it is told to.
 * @module
 */

import type { Clock, Timer } from "./clock.ts";

/** Cancelled tasks that are worth going through all. */
const MANY = 64;

interface Task extends Timer {
  readonly dueNs: number;
  readonly order: number;
  run: (() => void) | null;
}

function comesFirst(a: Task, b: Task): boolean {
  return a.dueNs < b.dueNs || (a.dueNs === b.dueNs && a.order < b.order);
}

/** A {@linkcode Clock} that stands still between calls of {@linkcode VirtualClock.advance}. */
export class VirtualClock implements Clock {
  #nowNs = 0;
  #order = 0;
  /** Binary heap, the next task first. Cancelled tasks stay until they surface, or are most of it. */
  readonly #tasks: Task[] = [];
  /** How many of them are cancelled. */
  #cancelled = 0;

  get nowNs(): number {
    return this.#nowNs;
  }

  /** Tasks that wait, cancelled ones left out. */
  get pending(): number {
    return this.#tasks.length - this.#cancelled;
  }

  /** Instant of the next task in nanoseconds, or null when none waits. */
  get nextDueNs(): number | null {
    this.#dropCancelled();
    return this.#tasks[0]?.dueNs ?? null;
  }

  defer(delayMs: number, task: () => void): Timer {
    if (!(delayMs >= 0 && delayMs < Infinity)) {
      throw new RangeError(`Cannot defer a task by ${delayMs} ms: give a number of at least 0`);
    }
    const entry: Task = {
      dueNs: this.#nowNs + Math.round(delayMs * 1e6),
      order: this.#order++,
      run: task,
      cancel: () => {
        if (entry.run === null) return;
        entry.run = null;
        this.#cancelled++;
        if (this.#cancelled >= MANY && this.#cancelled * 2 > this.#tasks.length) this.#sift();
      },
    };
    this.#push(entry);
    return entry;
  }

  /**
   * Moves time on by `ms`, and runs in order what falls due on the way, also what
   * those tasks defer in turn.
   */
  advance(ms: number): void {
    if (!(ms >= 0 && ms < Infinity)) {
      throw new RangeError(
        `Cannot advance the clock by ${ms} ms: give a number of at least 0, for time runs one way`,
      );
    }
    const untilNs = this.#nowNs + Math.round(ms * 1e6);
    if (untilNs > Number.MAX_SAFE_INTEGER) {
      throw new RangeError(
        `Cannot advance the clock by ${ms} ms: it counts nanoseconds, ${Number.MAX_SAFE_INTEGER} ` +
          `of them at most`,
      );
    }
    for (;;) {
      this.#dropCancelled();
      const next = this.#tasks[0];
      if (next === undefined || next.dueNs > untilNs) break;
      this.#pop();
      this.#nowNs = next.dueNs;
      const run = next.run!;
      next.run = null;
      run();
    }
    // A task that advanced the clock itself may have gone further.
    this.#nowNs = Math.max(this.#nowNs, untilNs);
  }

  #dropCancelled(): void {
    while (this.#tasks.length > 0 && this.#tasks[0]!.run === null) {
      this.#pop();
      this.#cancelled--;
    }
  }

  /** Drops all cancelled tasks: a guest may have a timer begun and cancelled for ever. */
  #sift(): void {
    const tasks = this.#tasks.filter(({ run }) => run !== null);
    this.#tasks.length = 0;
    this.#cancelled = 0;
    for (const task of tasks) this.#push(task);
  }

  #push(task: Task): void {
    const heap = this.#tasks;
    let i = heap.length;
    heap.push(task);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!comesFirst(task, heap[parent]!)) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = task;
  }

  #pop(): void {
    const heap = this.#tasks;
    const moved = heap.pop()!;
    if (heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && comesFirst(heap[child + 1]!, heap[child]!)) child++;
      if (!comesFirst(heap[child]!, moved)) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = moved;
  }
}
