/**
 * Domains as a watched run tells about them.
 * @module
 */

import type { Iommu } from "../../core/iommu/iommu.ts";
import { DOMAINS_KEPT } from "./board.ts";
import type { DomainReport } from "./observation.ts";

/** Members of one domain that are told. */
const MAX_MEMBERS = 64;

/** The domains of an IOMMU, as many as their sizes are shared of. */
export function domainReports(iommu: Iommu): DomainReport[] {
  const domains: DomainReport[] = [];
  for (const { id, kind, members } of iommu.domains) {
    if (domains.length >= DOMAINS_KEPT) break;
    const rows: [number, number][] = [];
    for (const { endpoint, pasid } of members) {
      if (rows.length >= MAX_MEMBERS) break;
      rows.push([endpoint.id, pasid]);
    }
    domains.push({ id, kind, members: rows, membersLeftOut: members.size - rows.length });
  }
  return domains;
}
