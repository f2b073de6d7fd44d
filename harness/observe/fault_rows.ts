/**
 * Faults on their way to the watcher: numbered, each with the mapping nearest to it when it was seen.
 * @module
 */

import { type Iova, MAX_ADDRESS } from "../../core/address.ts";
import type { Domain } from "../../core/iommu/domain.ts";
import type { FaultRecord } from "../../core/iommu/fault_log.ts";
import type { MappingNotes } from "./mapping_notes.ts";
import { aroundOf, nearestOf } from "./mapping_query.ts";
import { MAPPING_FIELDS } from "./observation.ts";

const NO_MAPPING: readonly number[] = new Array<number>(MAPPING_FIELDS).fill(0);

/** A fault, wherever it was recorded. */
export type SeenFault = Omit<FaultRecord, "sequence">;

/**
 * The fault as it can be told: what a device asks for may be no address, where its transfer runs past
 * the last one or its model makes mistakes, and then the nearest that is one stands for it.
 */
export function tellable(fault: SeenFault): SeenFault {
  const { iova } = fault;
  if (Number.isInteger(iova) && iova >= 0 && iova <= MAX_ADDRESS) return fault;
  const nearest = iova > 0 ? Math.min(Math.floor(iova), MAX_ADDRESS) : 0;
  return { ...fault, iova: nearest as Iova };
}

/** See the module. */
export class FaultRows {
  #number = 0;
  #values: number[] = [];

  /** Whether there are none. */
  get isEmpty(): boolean {
    return this.#values.length === 0;
  }

  /** Adds a {@linkcode tellable} fault of an endpoint that is in `domain` now. */
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
