/**
 * How often mappings were made and taken away, by domain, out of the events of a timeline.
 * @module
 */

import { type EventTuple, TIMELINE } from "../harness/observe/observation.ts";
import type { DomainState } from "./api.ts";

/** Domains that are counted: more than are ever shown at a time. */
const MAX_DOMAINS = 4096;

/** Totals of one domain. */
export type Changes = Pick<DomainState, "maps" | "unmaps">;

const NONE: Changes = { maps: 0, unmaps: 0 };

/** Counts as events come. */
export class MappingChanges {
  readonly #domains = new Map<number, { maps: number; unmaps: number }>();

  /** Counts the event if it is a map or an unmap. */
  count(event: EventTuple): void {
    const kind = event[2], domain = event[4]!;
    if (kind !== TIMELINE.map && kind !== TIMELINE.unmap) return;
    let changes = this.#domains.get(domain);
    if (changes === undefined) {
      if (this.#domains.size >= MAX_DOMAINS) return;
      this.#domains.set(domain, changes = { ...NONE });
    }
    if (kind === TIMELINE.map) changes.maps++;
    else changes.unmaps++;
  }

  /** Those of a domain so far. */
  of(domain: number): Changes {
    return { ...this.#domains.get(domain) ?? NONE };
  }
}
