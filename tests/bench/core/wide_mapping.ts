/**
 * What one big mapping costs.
 * @module
 */

import { Access, type Gpa, type Iova } from "../../../core/address.ts";
import { AddressSpace } from "../../../core/iommu/address_space.ts";
import { EndpointCounters } from "../../../core/observe/counters.ts";
import { Random } from "../../../harness/random.ts";
import { IOVA_BASE } from "./workload.ts";

const GIB = 2 ** 30;

/** What it costs now, and what it has cost once it was used. */
export interface WideMappingCost {
  /** Mappings that the space holds. */
  readonly entries: number;
  /** Bytes by which the table is larger than an empty one, after accesses to a quarter million pages. */
  readonly growth: number;
}

/** Maps 1 GiB as one range and translates all over it. @throws {Error} when a translation is wrong */
export function wideMappingCost(seed: number): WideMappingCost {
  const space = new AddressSpace("domain 1", seed);
  const empty = space.table.byteLength;
  space.map(IOVA_BASE as Iova, 0 as Gpa, GIB, Access.READ_WRITE);
  const random = new Random(seed);
  const counters = new EndpointCounters().values;
  for (let i = 0; i < 2 ** 18; i++) {
    const offset = random.below(GIB);
    const gpa = space.table.translate(IOVA_BASE + offset, Access.READ, 1, counters);
    if (gpa !== offset) throw new Error(`Offset ${offset} of a 1 GiB mapping became ${gpa}`);
  }
  return { entries: space.size, growth: space.table.byteLength - empty };
}
