/**
 * What a run leaves when its scenario has ended, told while its machine still stands: then it can be
 * looked at when the machine is gone.
 * @module
 */

import type { Domain } from "../../core/iommu/domain.ts";
import { readDetail } from "./device_detail.ts";
import type { MappingNotes } from "./mapping_notes.ts";
import type { Subject } from "./questions.ts";
import type { ToTeller } from "./thread_protocol.ts";

/** Mappings that are told, of all domains together, and devices in detail. */
const MAX_MAPPINGS = 200_000;
const MAX_DETAILS = 64;
/** Mappings in one message. */
const ROWS = 4096;

/** Tells it. */
export async function tellWhatIsLeft(
  { iommu, notes, plugged }: Pick<Subject, "iommu" | "notes" | "plugged">,
  send: (message: ToTeller) => void,
): Promise<void> {
  let left = MAX_MAPPINGS;
  for (const domain of iommu.domains) left -= tellMappings(domain, notes, left, send);
  for (const { target, shape } of [...plugged.values()].slice(0, MAX_DETAILS)) {
    try {
      const detail = await readDetail(target, shape);
      send({ kind: "left-detail", detail });
    } catch {
      // A device that is gone leaves nothing to look at.
    }
  }
}

/** Tells at most `limit` mappings of the domain. @returns how many */
function tellMappings(
  domain: Domain,
  notes: MappingNotes,
  limit: number,
  send: (message: ToTeller) => void,
): number {
  let rows: number[] = [];
  let told = 0;
  const say = (): void => {
    if (rows.length === 0) return;
    send({ kind: "left-mappings", domain: domain.id, rows: new Float64Array(rows) });
    rows = [];
  };
  for (const mapping of domain.space.mappings()) {
    if (told >= limit) break;
    rows.push(...notes.tuple(domain, mapping));
    told++;
    if (told % ROWS === 0) say();
  }
  say();
  return told;
}
