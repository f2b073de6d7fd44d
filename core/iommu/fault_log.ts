/**
 * The faults of one endpoint: a bounded ring, so that a device that faults for
 * ever costs no memory. What is overwritten is counted.
 * @module
 */

import type { Fault, Iova } from "../address.ts";

/** One refused access. */
export interface FaultRecord {
  /** Position among all faults of all endpoints of one IOMMU, from 0. */
  readonly sequence: number;
  /** When, by the IOMMU's clock, in nanoseconds. */
  readonly timeNs: number;
  /** Whose access it was. */
  readonly endpoint: number;
  /** -1 for an access without one. */
  readonly pasid: number;
  /** The first byte that could not be accessed. */
  readonly iova: Iova;
  /** What was wanted: values of `Access`, or'ed. */
  readonly access: number;
  /** Why. */
  readonly reason: Fault;
}

/** Numbers faults across endpoints, so that merged logs keep their order. */
export class FaultSequence {
  /** The next fault's number. */
  next = 0;
}

/** A ring of the most recent faults of one endpoint. */
export class FaultLog {
  /** Faults it holds. */
  readonly capacity: number;
  readonly #endpoint: number;
  readonly #numbering: FaultSequence;
  /** Faults ever recorded, and how many of them {@linkcode drain} has handed out or passed over. */
  #recorded = 0;
  #drained = 0;
  #dropped = 0;
  /** Time and address on their way into the ring: numbers that are too large to hand over for free. */
  readonly #handed = new Float64Array(2);
  readonly #sequence: Float64Array;
  readonly #time: Float64Array;
  readonly #pasid: Int32Array;
  readonly #iova: Float64Array;
  readonly #access: Uint8Array;
  readonly #reason: Int8Array;

  /** Makes an empty log. @param capacity faults to hold, at least 1 */
  constructor(endpoint: number, numbering: FaultSequence, capacity = 1024) {
    this.#endpoint = endpoint;
    this.#numbering = numbering;
    this.capacity = capacity;
    this.#sequence = new Float64Array(capacity);
    this.#time = new Float64Array(capacity);
    this.#pasid = new Int32Array(capacity);
    this.#iova = new Float64Array(capacity);
    this.#access = new Uint8Array(capacity);
    this.#reason = new Int8Array(capacity);
  }

  /** Faults ever recorded. */
  get recorded(): number {
    return this.#recorded;
  }

  /** Faults that were overwritten before anyone took them. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Records one fault. Called on the access path; allocates nothing. */
  record(timeNs: number, pasid: number, iova: number, access: number, reason: Fault): void {
    this.#handed[0] = timeNs;
    this.#handed[1] = iova;
    this.#record(pasid, access, reason);
  }

  /** Takes the faults recorded since the last call, oldest first. */
  drain(): FaultRecord[] {
    const records: FaultRecord[] = [];
    while (this.#drained < this.#recorded) records.push(this.#at(this.#drained++));
    return records;
  }

  /** The most recent faults, oldest first, at most `count`; they stay. */
  recent(count: number = this.capacity): FaultRecord[] {
    const records: FaultRecord[] = [];
    const first = Math.max(0, this.#recorded - Math.min(count, this.capacity));
    for (let i = first; i < this.#recorded; i++) records.push(this.#at(i));
    return records;
  }

  #record(pasid: number, access: number, reason: Fault): void {
    if (this.#recorded - this.#drained === this.capacity) {
      this.#drained++;
      this.#dropped++;
    }
    const at = this.#recorded++ % this.capacity;
    this.#sequence[at] = this.#numbering.next++;
    this.#time[at] = this.#handed[0]!;
    this.#pasid[at] = pasid;
    this.#iova[at] = this.#handed[1]!;
    this.#access[at] = access;
    this.#reason[at] = reason;
  }

  #at(index: number): FaultRecord {
    const at = index % this.capacity;
    return {
      sequence: this.#sequence[at]!,
      timeNs: this.#time[at]!,
      endpoint: this.#endpoint,
      pasid: this.#pasid[at]!,
      iova: this.#iova[at]! as Iova,
      access: this.#access[at]!,
      reason: this.#reason[at]! as Fault,
    };
  }
}
