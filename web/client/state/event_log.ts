/**
 * The newest events of a run's timeline, by their number. What never came is counted.
 * @module
 */

import type { Timeline, TimelineEvent } from "../../api.ts";

/** Events kept. */
export const LOG_CAPACITY = 20_000;

/** A ring of timeline events. */
export class EventLog {
  readonly #ring: TimelineEvent[] = [];
  #count = 0;
  /** Events that the server left out. */
  dropped = 0;

  /** Events kept now. */
  get length(): number {
    return Math.min(this.#count, LOG_CAPACITY);
  }

  /** Adds what a snapshot brought; what is here already stays as it is. */
  add(timeline: Timeline): void {
    this.dropped += timeline.dropped;
    const last = this.at(this.length - 1)?.sequence ?? -1;
    for (const event of timeline.events) {
      if (event.sequence > last) this.#ring[this.#count++ % LOG_CAPACITY] = event;
    }
  }

  /** Adds what came before the events there are; what is here already stays as it is. */
  prepend({ events, dropped }: Timeline): void {
    const later = { events: this.filter(() => true), dropped: this.dropped };
    const first = later.events[0]?.sequence ?? Infinity;
    this.clear();
    this.add({ events: events.filter(({ sequence }) => sequence < first), dropped });
    this.add(later);
  }

  /** The event at `index`, 0 the oldest kept. */
  at(index: number): TimelineEvent | undefined {
    if (index < 0 || index >= this.length) return undefined;
    return this.#ring[(this.#count - this.length + index) % LOG_CAPACITY];
  }

  /** Those that pass, oldest first. */
  filter(passes: (event: TimelineEvent) => boolean): TimelineEvent[] {
    const result: TimelineEvent[] = [];
    for (let i = 0; i < this.length; i++) {
      const event = this.at(i)!;
      if (passes(event)) result.push(event);
    }
    return result;
  }

  /** Drops everything. */
  clear(): void {
    this.#ring.length = 0;
    this.#count = 0;
    this.dropped = 0;
  }
}
