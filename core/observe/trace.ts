/**
 * The trace ring: the last events of the data path, each with time, endpoint,
 * PASID, address and result. One branch while it is off.
 * @module
 */

/** What happened. */
export const TraceKind = {
  /**
   * A device read `length` bytes at `iova`; `result` is the first byte's GPA. For one that was
   * refused, the fault: then `iova` is the first bad byte, and `length` is 0.
   */
  DMA_READ: 0,
  /** A device wrote `length` bytes at `iova`; `result` as for a read. */
  DMA_WRITE: 1,
  /** `length` bytes at `iova` were mapped to the GPA in `result`; `endpoint` is the domain. */
  MAP: 2,
  /** `length` bytes from `iova` on were unmapped; `result` is the bytes removed; `endpoint` is the domain. */
  UNMAP: 3,
  /** The endpoint was attached to the domain in `result`. */
  ATTACH: 4,
  /** The endpoint was detached from the domain in `result`. */
  DETACH: 5,
  /**
   * What the endpoint had cached of `length` bytes at `iova` was dropped: one for each that its
   * counter has, before the event of the change that made it necessary. `result` is 0.
   */
  INVALIDATE: 6,
  /** The endpoint asked for the page at `iova`. */
  PAGE_REQUEST: 7,
  /** DMA of `length` bytes at `iova` has begun; `result` is how many the endpoint has in flight then. */
  PIN: 8,
  /** As {@linkcode PIN}: it has ended. */
  UNPIN: 9,
} as const;

/** Names of {@linkcode TraceKind}, by value. */
export const TRACE_KIND_NAMES: readonly string[] = [
  "dma-read",
  "dma-write",
  "map",
  "unmap",
  "attach",
  "detach",
  "invalidate",
  "page-request",
  "pin",
  "unpin",
];

/** One event of the ring. */
export interface TraceEvent {
  /** Position among all events ever recorded, from 0. */
  readonly sequence: number;
  /** When, in nanoseconds. */
  readonly timeNs: number;
  /** A value of {@linkcode TraceKind}. */
  readonly kind: number;
  /** Whose it was; see {@linkcode TraceKind} for events that are a domain's. */
  readonly endpoint: number;
  /** -1 without one. */
  readonly pasid: number;
  /** See {@linkcode TraceKind}. */
  readonly iova: number;
  /** See {@linkcode TraceKind}. */
  readonly length: number;
  /** See {@linkcode TraceKind}. */
  readonly result: number;
}

/** A ring of the most recent events, in typed arrays. Older ones are overwritten and counted. */
export class TraceRing {
  /** Callers test this before they record: it is the one branch. */
  on: boolean;
  /** Events it holds. */
  readonly capacity: number;
  #recorded = 0;
  readonly #time: Float64Array;
  readonly #kind: Uint8Array;
  readonly #endpoint: Uint32Array;
  readonly #pasid: Int32Array;
  readonly #iova: Float64Array;
  readonly #length: Float64Array;
  readonly #result: Float64Array;

  /** Holds `capacity` events, at least 1. Off unless told. */
  constructor(capacity = 65536, state: "on" | "off" = "off") {
    this.capacity = capacity;
    this.on = state === "on";
    this.#time = new Float64Array(capacity);
    this.#kind = new Uint8Array(capacity);
    this.#endpoint = new Uint32Array(capacity);
    this.#pasid = new Int32Array(capacity);
    this.#iova = new Float64Array(capacity);
    this.#length = new Float64Array(capacity);
    this.#result = new Float64Array(capacity);
  }

  /** Events ever recorded. */
  get recorded(): number {
    return this.#recorded;
  }

  /** Events that were overwritten. */
  get dropped(): number {
    return Math.max(0, this.#recorded - this.capacity);
  }

  /** Records one event. Call it only while {@linkcode on}. */
  record(
    timeNs: number,
    kind: number,
    endpoint: number,
    pasid: number,
    iova: number,
    length: number,
    result: number,
  ): void {
    const at = this.#recorded++ % this.capacity;
    this.#time[at] = timeNs;
    this.#kind[at] = kind;
    this.#endpoint[at] = endpoint;
    this.#pasid[at] = pasid;
    this.#iova[at] = iova;
    this.#length[at] = length;
    this.#result[at] = result;
  }

  /** The events that are still there, oldest first; from `sequence` on when given. */
  *events(sequence = 0): Generator<TraceEvent> {
    for (let i = Math.max(sequence, this.dropped); i < this.#recorded; i++) {
      const at = i % this.capacity;
      yield {
        sequence: i,
        timeNs: this.#time[at]!,
        kind: this.#kind[at]!,
        endpoint: this.#endpoint[at]!,
        pasid: this.#pasid[at]!,
        iova: this.#iova[at]!,
        length: this.#length[at]!,
        result: this.#result[at]!,
      };
    }
  }
}
