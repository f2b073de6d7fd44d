/**
 * Shared memory between the thread that runs a scenario and the one that tells about it: the
 * timeline's ring, the domains' sizes, and the flag that asks the scenario's thread to come by.
 * One writer; the other thread reads at any moment, however busy the writer is.
 * @module
 */

import { EVENT_FIELDS } from "./observation.ts";

/** Events the ring holds: a second of more than 16 thousand changes, four looks a second. */
export const EVENTS_KEPT = 8192;
/** Domains whose sizes are shared. */
export const DOMAINS_KEPT = 256;

const CONTROL = 8;
const TICK = 0, HEAD = 1, DOMAINS = 2, LEFT_OUT = 3, NUDGED = 4;
const DOMAIN_FIELDS = 3;
const DOMAINS_AT = CONTROL * Int32Array.BYTES_PER_ELEMENT;
const EVENTS_AT = DOMAINS_AT + DOMAINS_KEPT * DOMAIN_FIELDS * Float64Array.BYTES_PER_ELEMENT;
const SIZE = EVENTS_AT + EVENTS_KEPT * EVENT_FIELDS * Float64Array.BYTES_PER_ELEMENT;

/** What {@linkcode Board.read} found. */
export interface BoardEvents {
  /** Oldest first, as `EventTuple`. */
  readonly events: readonly (readonly number[])[];
  /** Events recorded so far: where the next look begins. */
  readonly recorded: number;
}

/** See the module. */
export class Board {
  readonly buffer: SharedArrayBuffer;
  readonly #control: Int32Array;
  readonly #domains: Float64Array;
  readonly #events: Float64Array;

  /** A fresh one, or the other thread's view of `buffer`. */
  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(SIZE)) {
    this.buffer = buffer;
    this.#control = new Int32Array(buffer, 0, CONTROL);
    this.#domains = new Float64Array(buffer, DOMAINS_AT, DOMAINS_KEPT * DOMAIN_FIELDS);
    this.#events = new Float64Array(buffer, EVENTS_AT, EVENTS_KEPT * EVENT_FIELDS);
  }

  /** Whether the scenario's thread is asked to come by. A plain load: tested at every call of a scenario. */
  get due(): boolean {
    return this.#control[TICK] !== 0;
  }

  /** Asks the scenario's thread to come by. */
  ask(): void {
    Atomics.store(this.#control, TICK, 1);
  }

  /** It has. */
  answered(): void {
    Atomics.store(this.#control, TICK, 0);
  }

  /** True for the first who asks until {@linkcode unnudge}: one message at a time waits for the other thread. */
  nudge(): boolean {
    return Atomics.exchange(this.#control, NUDGED, 1) === 0;
  }

  /** The message has arrived. */
  unnudge(): void {
    Atomics.store(this.#control, NUDGED, 0);
  }

  /** Records one event of the timeline. */
  event(
    timeNs: number,
    kind: number,
    endpoint: number,
    domain: number,
    pasid: number,
    iova: number,
    length: number,
    result: number,
    access: number,
  ): void {
    const head = this.#control[HEAD]!;
    const events = this.#events;
    const at = (head >>> 0) % EVENTS_KEPT * EVENT_FIELDS;
    events[at] = head >>> 0;
    events[at + 1] = timeNs;
    events[at + 2] = kind;
    events[at + 3] = endpoint;
    events[at + 4] = domain;
    events[at + 5] = pasid;
    events[at + 6] = iova;
    events[at + 7] = length;
    events[at + 8] = result;
    events[at + 9] = access;
    Atomics.store(this.#control, HEAD, (head + 1) | 0);
  }

  /** The events from number `from` on that are still there, at most `limit`, the newest. */
  read(from: number, limit: number = EVENTS_KEPT): BoardEvents {
    const head = Atomics.load(this.#control, HEAD);
    const recorded = from + ((head - from) >>> 0);
    const first = Math.max(from, recorded - Math.min(limit, EVENTS_KEPT));
    const copied: number[][] = [];
    for (let number = first; number < recorded; number++) {
      const at = number % EVENTS_KEPT * EVENT_FIELDS;
      const event = Array.from(this.#events.subarray(at, at + EVENT_FIELDS));
      event[0] = number;
      copied.push(event);
    }
    // What the writer went over meanwhile, and the place it may be at now, is not what it was.
    const passed = recorded + ((Atomics.load(this.#control, HEAD) - head) >>> 0);
    const whole = passed + 1 - EVENTS_KEPT;
    return { events: copied.filter(([number]) => number! >= whole), recorded };
  }

  /** Sets what domain number `at`, in any fixed order, looks like. Beyond {@linkcode DOMAINS_KEPT} nothing is kept. */
  setDomain(at: number, id: number, mappings: number, mappedBytes: number): void {
    if (at >= DOMAINS_KEPT) return;
    const base = at * DOMAIN_FIELDS;
    this.#domains[base] = id;
    this.#domains[base + 1] = mappings;
    this.#domains[base + 2] = mappedBytes;
  }

  /** Sets how many domains there are. */
  setDomains(count: number): void {
    Atomics.store(this.#control, LEFT_OUT, Math.max(0, count - DOMAINS_KEPT));
    Atomics.store(this.#control, DOMAINS, Math.min(count, DOMAINS_KEPT));
  }

  /** The domains: ID, mappings, mapped bytes. */
  domains(): [number, number, number][] {
    const count = Atomics.load(this.#control, DOMAINS);
    const rows: [number, number, number][] = [];
    for (let at = 0; at < count; at++) {
      const base = at * DOMAIN_FIELDS;
      rows.push([this.#domains[base]!, this.#domains[base + 1]!, this.#domains[base + 2]!]);
    }
    return rows;
  }

  /** Domains beyond {@linkcode DOMAINS_KEPT}. */
  get domainsLeftOut(): number {
    return Atomics.load(this.#control, LEFT_OUT);
  }
}
