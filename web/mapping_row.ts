/**
 * A mapping as the page shows it.
 * @module
 */

import { accessName } from "../core/address.ts";
import type { MappingTuple } from "../harness/observe/observation.ts";
import type { MappingRow } from "./api.ts";

/** The row of a mapping. */
export function mappingRow([iova, gpa, length, access, mappedNs, hits]: MappingTuple): MappingRow {
  return {
    iova,
    last: iova + length - 1,
    gpa,
    length,
    access: accessName(access),
    mappedNs: mappedNs < 0 ? null : mappedNs,
    hits: hits < 0 ? null : hits,
  };
}
