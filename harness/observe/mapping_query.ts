/**
 * Looks into a domain's mappings, as a watcher asks for them.
 * @module
 */

import type { Iova } from "../../core/address.ts";
import type { Domain } from "../../core/iommu/domain.ts";
import type { MappingNotes } from "./mapping_notes.ts";
import type { Around, MappingTuple } from "./observation.ts";

/** Mappings in an answer. */
const MAX_ANSWER = 1001;

/** Sides of a fault at which its nearest mapping may lie: see `FaultTuple`. */
export const SIDE = { NONE: 0, OVER: 1, BELOW: 2, ABOVE: 3 } as const;

/** At most `limit` mappings that begin at or after `from`, ascending. */
export function mappingsFrom(
  domain: Domain,
  from: number,
  limit: number,
  notes: MappingNotes,
): MappingTuple[] {
  const found: MappingTuple[] = [];
  for (const mapping of domain.space.mappings(from as Iova)) {
    if (found.length >= Math.min(limit, MAX_ANSWER)) break;
    // The one that ends at or after `from` may begin before it, on the page before.
    if (mapping.iova < from) continue;
    found.push(notes.tuple(domain, mapping));
  }
  return found;
}

/** The mappings round an address. */
export function aroundOf(domain: Domain, iova: number, notes: MappingNotes): Around {
  const { ranges } = domain.space.table;
  const at = (slot: number): MappingTuple | null => {
    if (slot < 0) return null;
    const start = ranges.startOf(slot);
    return notes.tuple(domain, {
      iova: start,
      gpa: ranges.targetOf(slot),
      length: ranges.lastOf(slot) - start + 1,
      access: ranges.flagsOf(slot),
    });
  };
  const floor = ranges.floor(iova);
  const covers = floor >= 0 && ranges.lastOf(floor) >= iova;
  const above = floor < 0 ? ranges.first() : ranges.next(floor);
  return {
    over: covers ? at(floor) : null,
    below: covers ? at(ranges.previous(floor)) : at(floor),
    above: at(above),
  };
}

/** As {@linkcode aroundOf}, for devices of this process: with who would answer them. */
export function lookAround(domain: Domain, iova: number, notes: MappingNotes): Around {
  const around = aroundOf(domain, iova, notes);
  const answerer = domain.space.table.answererOf(iova);
  return answerer === null ? around : { ...around, answerer };
}

/** Of the mappings round an address the nearest one, and its {@linkcode SIDE}. */
export function nearestOf(
  near: Around | null,
  iova: number,
): readonly [side: number, mapping: MappingTuple | null] {
  if (near === null) return [SIDE.NONE, null];
  const { over, below, above } = near;
  if (over !== null) return [SIDE.OVER, over];
  if (below === null) return above === null ? [SIDE.NONE, null] : [SIDE.ABOVE, above];
  if (above === null) return [SIDE.BELOW, below];
  const down = iova - (below[0] + below[2] - 1), up = above[0] - iova;
  return down <= up ? [SIDE.BELOW, below] : [SIDE.ABOVE, above];
}
