/**
 * What happened to mappings and endpoints, event by event.
 * @module
 */

import type { RunInfo } from "./runs.ts";

/** `/api/timeline?cursor=&limit=` (limit 1 to 5000, 500 unless told), oldest first. */
export interface TimelinePage {
  readonly run: RunInfo | null;
  readonly events: readonly TimelineEvent[];
  /** For the next page; null at the end. */
  readonly next: string | null;
  /** Events from the cursor on that came before these and are not kept. */
  readonly dropped: number;
}

/** What an event of the timeline is. */
export type TimelineKind =
  | "map"
  | "unmap"
  | "invalidate"
  | "attach"
  | "detach"
  | "page-request"
  | "fault";

/** Events since the snapshot before. */
export interface Timeline {
  /** Oldest first; at most {@linkcode MAX_TIMELINE}. */
  readonly events: readonly TimelineEvent[];
  /** Events left out, since there were more. The newest are kept. */
  readonly dropped: number;
}

/** One event of the timeline. */
export interface TimelineEvent {
  /** Position among all events of its run, from 0. */
  readonly sequence: number;
  readonly timeNs: number;
  readonly kind: TimelineKind;
  /** Null for map and unmap, which are a domain's. */
  readonly endpoint: number | null;
  /** Null where none has a part in it. */
  readonly domain: number | null;
  readonly pasid: number | null;
  readonly iova: number;
  /** Bytes; 0 for attach, detach and fault. */
  readonly length: number;
  /**
   * map: {@linkcode MappingRow.gpa} in hex. unmap: bytes removed. fault: the reason. Otherwise empty.
   */
  readonly result: string;
  /** fault: what was wanted, `r`, `w` or `rw`. map: what is allowed. Otherwise empty. */
  readonly access: string;
}
