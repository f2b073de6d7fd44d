/**
 * The faults of a machine: the newest in columns of numbers, and groups over all there ever were.
 * @module
 */

import { accessName, faultName } from "../core/address.ts";
import { formatRequesterId } from "../devices/pci/bdf.ts";
import type { FaultTuple, MappingTuple } from "../harness/observe/observation.ts";
import type { FaultGroup, FaultRow } from "./api.ts";
import { mappingRow } from "./mapping_row.ts";

/** Faults that are kept. */
export const FAULTS_KEPT = 50_000;
const SIDES = ["over", "over", "below", "above"] as const;
/** Groups that are kept: endpoints are numbers a scenario chooses. */
const GROUPS_KEPT = 4096;

interface Group {
  readonly reason: string;
  readonly endpoint: number;
  count: number;
  firstNs: number;
  lastNs: number;
}

/** What a page of faults is asked for with. */
export interface FaultQuery {
  /** Only faults before this number; null for the newest. */
  readonly before: number | null;
  readonly limit: number;
  readonly endpoint: number | null;
  readonly reason: string | null;
}

/** See the module. */
export class FaultStore {
  /** Ascending by number. Cut in lumps, so that adding stays cheap. */
  #rows: FaultTuple[] = [];
  #dropped = 0;
  readonly #groups = new Map<string, Group>();
  /** The same, by endpoint: each picture asks for those of each. */
  readonly #ofEndpoint = new Map<number, Group[]>();
  #lost = 0;

  /** Takes faults, oldest first. */
  add(rows: readonly FaultTuple[]): void {
    for (const row of rows) {
      this.#rows.push(row);
      this.#group(row);
    }
    if (this.#rows.length >= 2 * FAULTS_KEPT) {
      this.#dropped += this.#rows.length - FAULTS_KEPT;
      this.#rows = this.#rows.slice(-FAULTS_KEPT);
    }
  }

  /** Sets how many were lost before anybody saw them. */
  set lost(count: number) {
    this.#lost = count;
  }

  /** Faults that happened but are not kept. */
  get dropped(): number {
    return this.#dropped + this.#lost;
  }

  /** Faults kept. */
  get size(): number {
    return this.#rows.length;
  }

  /** Groups over all faults seen, most first. */
  groups(): FaultGroup[] {
    return [...this.#groups.values()]
      .map((group) => ({ ...group, bdf: formatRequesterId(group.endpoint) }))
      .sort((a, b) => b.count - a.count || a.endpoint - b.endpoint);
  }

  /** How often each reason was seen, of one endpoint. */
  reasonsOf(endpoint: number): Record<string, number> {
    const reasons: Record<string, number> = {};
    for (const { reason, count } of this.#ofEndpoint.get(endpoint) ?? []) reasons[reason] = count;
    return reasons;
  }

  /** A page, newest first; `deviceOf` names the device of an endpoint. */
  page(
    query: FaultQuery,
    deviceOf: (endpoint: number) => string,
  ): {
    readonly total: number;
    readonly faults: readonly FaultRow[];
    readonly next: string | null;
  } {
    const { before, limit, endpoint, reason } = query;
    const matches = (row: FaultTuple): boolean =>
      (endpoint === null || row[2] === endpoint) &&
      (reason === null || faultName(row[6]!) === reason);
    const all = endpoint === null && reason === null;
    let total = all ? this.#rows.length : 0;
    if (!all) { for (const row of this.#rows) if (matches(row)) total++; }
    const faults: FaultRow[] = [];
    let next: string | null = null;
    for (let at = this.#firstAt(before) - 1; at >= 0; at--) {
      const row = this.#rows[at]!;
      if (!matches(row)) continue;
      if (faults.length === limit) {
        next = String(faults.at(-1)!.sequence);
        break;
      }
      faults.push(faultRow(row, deviceOf(row[2]!)));
    }
    return { total, faults, next };
  }

  /** Where the first row of number `before` or later stands. */
  #firstAt(before: number | null): number {
    if (before === null) return this.#rows.length;
    let low = 0, high = this.#rows.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#rows[middle]![0]! < before) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #group(row: FaultTuple): void {
    const endpoint = row[2]!;
    const reason = faultName(row[6]!);
    const key = `${endpoint} ${reason}`;
    const timeNs = row[1]!;
    const group = this.#groups.get(key);
    if (group !== undefined) {
      group.count++;
      group.lastNs = timeNs;
    } else if (this.#groups.size < GROUPS_KEPT) {
      const first = { reason, endpoint, count: 1, firstNs: timeNs, lastNs: timeNs };
      this.#groups.set(key, first);
      const others = this.#ofEndpoint.get(endpoint);
      if (others === undefined) this.#ofEndpoint.set(endpoint, [first]);
      else others.push(first);
    }
  }
}

function faultRow(row: FaultTuple, device: string): FaultRow {
  const [sequence, timeNs, endpoint, pasid, iova, access, reason, domain, side] = row;
  const nearest = side === 0 ? null : mappingRow(row.slice(9) as unknown as MappingTuple);
  return {
    sequence: sequence!,
    timeNs: timeNs!,
    endpoint: endpoint!,
    bdf: formatRequesterId(endpoint!),
    device,
    pasid: pasid! < 0 ? null : pasid!,
    iova: iova!,
    access: accessName(access!),
    reason: faultName(reason!),
    domain: domain! < 0 ? null : domain!,
    nearest: nearest === null ? null : {
      mapping: nearest,
      distance: side === 1 ? 0 : side === 2 ? iova! - nearest.last : nearest.iova - iova!,
      side: SIDES[side!] ?? "over",
    },
  };
}
