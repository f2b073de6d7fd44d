/**
 * Domains.
 * @module
 */

import type { RunInfo } from "./runs.ts";

/** `/api/domains`. */
export interface DomainList {
  readonly run: RunInfo | null;
  readonly domains: readonly DomainState[];
}

/** One domain in a snapshot. */
export interface DomainState {
  readonly id: number;
  readonly kind: "mapped" | "bypass";
  readonly mappings: number;
  readonly mappedBytes: number;
  /** Maps so far. Those of more than 8192 events between two samples were not seen. */
  readonly maps: number;
  /** As {@linkcode maps}; an unmap may take several mappings away. */
  readonly unmaps: number;
  /** Endpoints in it, with their PASID or null; at most 64. */
  readonly members: readonly { readonly endpoint: number; readonly pasid: number | null }[];
  readonly membersLeftOut: number;
}
