/**
 * Faults on their way to the watcher: numbered, each with the mapping nearest to it when it was seen.
 * @module
 */

import type { Domain } from "../../core/iommu/domain.ts";
import type { FaultRecord } from "../../core/iommu/fault_log.ts";
import type { MappingNotes } from "./mapping_notes.ts";
import { aroundOf, nearestOf } from "./mapping_query.ts";
import { MAPPING_FIELDS } from "./observation.ts";

const NO_MAPPING: readonly number[] = new Array<number>(MAPPING_FIELDS).fill(0);

/** A fault, wherever it was recorded. */
export type SeenFault = Omit<FaultRecord, "sequence">;

/** See the module. */
export class FaultRows {
  #number = 0;
  #values: number[] = [];

  /** Whether there are none. */
  get isEmpty(): boolean {
    return this.#values.length === 0;
  }

  /** Adds a fault of an endpoint that is in `domain` now. */
  add(fault: SeenFault, domain: Domain | null, notes: MappingNotes): void {
    const near = domain === null ? null : aroundOf(domain, fault.iova, notes);
    const [side, nearest] = nearestOf(near, fault.iova);
    this.#values.push(
      this.#number++,
      fault.timeNs,
      fault.endpoint,
      fault.pasid,
      fault.iova,
      fault.access,
      fault.reason,
      domain?.id ?? -1,
      side,
      ...nearest ?? NO_MAPPING,
    );
  }

  /** The rows, one a `FaultTuple`; none are left. */
  take(): Float64Array {
    const rows = new Float64Array(this.#values);
    this.#values = [];
    return rows;
  }
}
