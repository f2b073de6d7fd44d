/**
 * Tasks in the order of their instants: a binary heap.
 * @module
 */

import type { Timer } from "../../core/observe/clock.ts";

/** Entries below which cancelled ones are not worth clearing out. */
const FEW = 64;

class Entry implements Timer {
  task: (() => void) | null;
  /** What it stands in; null once it was taken out. */
  queue: TimerQueue | null;

  constructor(queue: TimerQueue, readonly dueNs: number, readonly order: number, task: () => void) {
    this.queue = queue;
    this.task = task;
  }

  cancel(): void {
    if (this.task === null) return;
    this.task = null;
    this.queue?.cancelled();
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.dueNs < b.dueNs || (a.dueNs === b.dueNs && a.order < b.order);
}

/**
 * Adding and taking cost O(log n), and so does cancelling on the average: the places of cancelled tasks
 * are freed once they are more than the others, since a peer may cause many that are due late.
 */
export class TimerQueue {
  #heap: Entry[] = [];
  #order = 0;
  /** Entries without a task. */
  #cancelled = 0;

  /** Tasks due at one instant are taken in the order in which they were added. */
  add(dueNs: number, task: () => void): Timer {
    const entry = new Entry(this, dueNs, this.#order++, task);
    const heap = this.#heap;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      const above = heap[parent] as Entry;
      if (!before(entry, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = entry;
    return entry;
  }

  /** The earliest instant, or Infinity when nothing waits. */
  get nextNs(): number {
    let first = this.#heap[0];
    while (first !== undefined && first.task === null) {
      this.#removeFirst();
      first = this.#heap[0];
    }
    return first === undefined ? Infinity : first.dueNs;
  }

  /** Takes the tasks that are due at `nowNs`, in order. One that is cancelled meanwhile gives null. */
  takeDue(nowNs: number): readonly { task: (() => void) | null }[] {
    const due: Entry[] = [];
    while (this.nextNs <= nowNs) {
      due.push(this.#heap[0] as Entry);
      this.#removeFirst();
    }
    return due;
  }

  /** Tasks that are kept, cancelled ones among them. */
  get size(): number {
    return this.#heap.length;
  }

  /** Drops every task. */
  clear(): void {
    for (const entry of this.#heap) entry.queue = null;
    this.#heap = [];
    this.#cancelled = 0;
  }

  /** Called by a timer of this queue. */
  cancelled(): void {
    this.#cancelled++;
    if (this.#heap.length <= FEW || 2 * this.#cancelled <= this.#heap.length) return;
    for (const entry of this.#heap) if (entry.task === null) entry.queue = null;
    // What is sorted is a heap.
    this.#heap = this.#heap.filter((entry) => entry.task !== null)
      .sort((a, b) => before(a, b) ? -1 : 1);
    this.#cancelled = 0;
  }

  #removeFirst(): void {
    const heap = this.#heap;
    const first = heap[0] as Entry;
    first.queue = null;
    if (first.task === null) this.#cancelled--;
    const last = heap.pop() as Entry;
    const length = heap.length;
    if (length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= length) break;
      if (child + 1 < length && before(heap[child + 1] as Entry, heap[child] as Entry)) child++;
      const below = heap[child] as Entry;
      if (!before(below, last)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = last;
  }
}
