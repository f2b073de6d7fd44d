/**
 * Faults of endpoints in this process, read beside whoever else takes them.
 * @module
 */

import type { Endpoint } from "../../core/iommu/endpoint.ts";
import type { FaultRecord } from "../../core/iommu/fault_log.ts";

/** Faults that an endpoint's log may hold unseen: before it is full it must be read. */
const PILE = 512;

/** See the module. */
export class LocalFaults {
  readonly #seen = new Map<number, number>();
  /** Faults that were overwritten before they were seen. */
  lost = 0;

  /** Whether a log is about to lose faults that nobody has seen. */
  pileUp(endpoints: Iterable<Endpoint>): boolean {
    return this.#has(endpoints, PILE);
  }

  /** Whether there are any that nobody has seen. */
  areThere(endpoints: Iterable<Endpoint>): boolean {
    return this.#has(endpoints, 1);
  }

  /** Those recorded since the last call, in the order in which they happened. */
  take(endpoints: Iterable<Endpoint>): FaultRecord[] {
    const found: FaultRecord[] = [];
    for (const { id, faults } of endpoints) {
      const fresh = faults.recorded - (this.#seen.get(id) ?? 0);
      if (fresh === 0) continue;
      this.#seen.set(id, faults.recorded);
      const records = faults.recent(fresh);
      this.lost += fresh - records.length;
      for (const record of records) found.push(record);
    }
    return found.sort((a, b) => a.sequence - b.sequence);
  }

  /** The endpoint has gone, or another is in its place. */
  forget(endpoint: number): void {
    this.#seen.delete(endpoint);
  }

  #has(endpoints: Iterable<Endpoint>, count: number): boolean {
    for (const { id, faults } of endpoints) {
      if (faults.recorded - (this.#seen.get(id) ?? 0) >= count) return true;
    }
    return false;
  }
}
