/**
 * Tasks in the order of their instants: a binary heap.
 * @module
 */

import type { Timer } from "../../core/observe/clock.ts";

class Entry implements Timer {
  task: (() => void) | null;

  constructor(readonly dueNs: number, readonly order: number, task: () => void) {
    this.task = task;
  }

  cancel(): void {
    this.task = null;
  }
}

function before(a: Entry, b: Entry): boolean {
  return a.dueNs < b.dueNs || (a.dueNs === b.dueNs && a.order < b.order);
}

/** Adding and taking cost O(log n); cancelling O(1), the place is freed when its instant comes. */
export class TimerQueue {
  readonly #heap: Entry[] = [];
  #order = 0;

  /** Tasks due at one instant are taken in the order in which they were added. */
  add(dueNs: number, task: () => void): Timer {
    const entry = new Entry(dueNs, this.#order++, task);
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

  /** Drops every task. */
  clear(): void {
    this.#heap.length = 0;
  }

  #removeFirst(): void {
    const heap = this.#heap;
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
