/**
 * Refused accesses.
 * @module
 */

import type { MappingRow } from "./mappings.ts";
import type { RunInfo } from "./runs.ts";

/**
 * `/api/faults?cursor=&limit=&endpoint=&reason=` (limit 1 to 1000, 100 unless told), newest first.
 */
export interface FaultsPage {
  readonly run: RunInfo | null;
  /** Faults that match, of those kept. */
  readonly total: number;
  readonly faults: readonly FaultRow[];
  /** For the next, older page; null at the end. */
  readonly next: string | null;
  /** All faults kept, by reason and endpoint, most first; filters do not apply. */
  readonly groups: readonly FaultGroup[];
  /** Faults that happened but are not kept. */
  readonly dropped: number;
}

/** One refused access. */
export interface FaultRow {
  /** Position among all faults of the run, from 0. */
  readonly sequence: number;
  readonly timeNs: number;
  readonly endpoint: number;
  readonly bdf: string;
  readonly device: string;
  readonly pasid: number | null;
  readonly iova: number;
  /** What was wanted: `r`, `w` or `rw`. */
  readonly access: string;
  readonly reason: string;
  /** The domain the endpoint was in when the fault was seen. */
  readonly domain: number | null;
  /** The mapping nearest to the address when the fault was seen, on the faulting side or over it; null when there was none. */
  readonly nearest: NearestMapping | null;
}

/** A mapping beside a fault. */
export interface NearestMapping {
  readonly mapping: MappingRow;
  /** Bytes from the fault's address to the mapping; 0 when the mapping covers it (a permission fault). */
  readonly distance: number;
  /** Where the mapping lies, seen from the address. */
  readonly side: "over" | "below" | "above";
}

/** Faults of one kind. */
export interface FaultGroup {
  readonly reason: string;
  readonly endpoint: number;
  readonly bdf: string;
  readonly count: number;
  readonly firstNs: number;
  readonly lastNs: number;
}
