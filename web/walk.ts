/**
 * The way of one access through the tables, step by step, as a person wants to see it.
 * @module
 */

import { Access, accessName, Fault, faultName } from "../core/address.ts";
import { formatRequesterId } from "../devices/pci/bdf.ts";
import type { Around, RegionReport } from "../harness/observe/observation.ts";
import type { DomainState, EndpointState, TranslateResult, WalkStep } from "./api.ts";
import { mappingRow } from "./mapping_row.ts";

/** What the walk is made from. */
export interface WalkInput {
  readonly endpoint: EndpointState;
  readonly iova: number;
  /** What is wanted: values of `Access`. */
  readonly access: number;
  /** The endpoint's domain, when it is in one. */
  readonly domain: Pick<DomainState, "id" | "kind"> | null;
  /** The mappings there; null when no domain translates. */
  readonly around: Around | null;
  readonly regions: readonly RegionReport[];
  readonly ended: boolean;
}

/** Walks. */
export function walk(input: WalkInput): TranslateResult {
  const { endpoint, iova, access, domain, around, regions, ended } = input;
  const steps: WalkStep[] = [{
    step: "endpoint",
    ok: true,
    endpoint: endpoint.id,
    bdf: formatRequesterId(endpoint.id),
  }];
  const result = (gpa: number | null, fault: number | null): TranslateResult => ({
    endpoint: endpoint.id,
    iova,
    access: accessName(access),
    gpa,
    fault: fault === null ? null : faultName(fault),
    walk: steps,
    ended,
  });
  const passes = domain === null ? endpoint.bypass : domain.kind === "bypass";
  steps.push({
    step: "domain",
    ok: domain !== null || passes,
    domain: domain?.id ?? null,
    kind: passes ? "bypass" : domain === null ? "none" : "mapped",
  });
  if (domain === null && !passes) return result(null, Fault.NO_DOMAIN);

  let gpa = iova;
  if (!passes) {
    const { over = null, below = null, above = null, answerer = null } = around ?? {};
    steps.push({
      step: "mapping",
      ok: over !== null,
      mapping: over === null ? null : mappingRow(over),
      cache: over === null ? null : answerer,
      below: below === null ? null : mappingRow(below),
      above: above === null ? null : mappingRow(above),
    });
    if (over === null) return result(null, Fault.UNMAPPED);
    const [start, target, , allowed] = over;
    const permitted = (allowed & access) === access;
    steps.push({
      step: "permission",
      ok: permitted,
      allowed: accessName(allowed),
      wanted: accessName(access),
    });
    if (!permitted) return result(null, Fault.PERMISSION);
    gpa = target + (iova - start);
  }

  const region = regions.find(({ start, length }) => gpa >= start && gpa < start + length) ?? null;
  const readOnly = region?.readOnly ?? false;
  const refused = readOnly && (access & Access.WRITE) !== 0;
  steps.push({
    step: "region",
    ok: region !== null && !refused,
    gpa,
    region: region?.name ?? null,
    readOnly,
  });
  if (region === null) return result(null, Fault.NO_MEMORY);
  return refused ? result(null, Fault.PERMISSION) : result(gpa, null);
}
