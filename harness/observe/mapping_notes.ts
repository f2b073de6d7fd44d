/**
 * What a watcher notes of mappings beside the tables themselves: when each was made, and how many
 * accesses of a sample went through it. Nothing here is on the access path, and both notes have a
 * bound, however many mappings there are.
 *
 * The sample is the one that feeds the heat map: up to a few hundred accesses, several times a
 * second (`dma_look.ts`). A hit is an access whose first byte the mapping covers. Hits of two
 * mappings may be compared; how often a mapping was used in all they do not say.
 *
 * @module
 */

import type { Iova } from "../../core/address.ts";
import type { Domain } from "../../core/iommu/domain.ts";
import type { Iommu } from "../../core/iommu/iommu.ts";
import type { MappingTuple } from "./observation.ts";

/** Mappings whose time, and whose hits, are kept. */
const MAX_AGES = 200_000;
const MAX_HITS = 65_536;

/** A mapping, as the tables have it. */
export interface NotedMapping {
  readonly iova: number;
  readonly gpa: number;
  readonly length: number;
  readonly access: number;
}

/** One number a mapping, by domain and first IOVA. */
class Numbers {
  readonly #most: number;
  readonly #isThere: (domain: number, iova: number) => boolean;
  readonly #domains = new Map<number, Map<number, number>>();
  #kept = 0;
  /** Numbers that may be refused until it is worth looking again for those of mappings that are gone. */
  #refusals = 0;
  /** Some mapping may be without its number. */
  incomplete = false;

  constructor(most: number, isThere: (domain: number, iova: number) => boolean) {
    this.#most = most;
    this.#isThere = isThere;
  }

  get(domain: number, iova: number): number | undefined {
    return this.#domains.get(domain)?.get(iova);
  }

  set(domain: number, iova: number, value: number): void {
    let numbers = this.#domains.get(domain);
    if (numbers?.has(iova) !== true) {
      if (!this.#makeRoom()) {
        this.incomplete = true;
        return;
      }
      this.#kept++;
      numbers = this.#domains.get(domain);
    }
    if (numbers === undefined) this.#domains.set(domain, numbers = new Map());
    numbers.set(iova, value);
  }

  delete(domain: number, iova: number): void {
    if (this.#domains.get(domain)?.delete(iova) === true) this.#kept--;
  }

  forget(domain: number): void {
    this.#kept -= this.#domains.get(domain)?.size ?? 0;
    this.#domains.delete(domain);
  }

  /** Numbers stay until room is wanted: removing them at each unmap would cost a walk. */
  #makeRoom(): boolean {
    if (this.#kept < this.#most) return true;
    if (this.#refusals-- > 0) return false;
    this.#kept = 0;
    for (const [domain, numbers] of this.#domains) {
      for (const iova of numbers.keys()) {
        if (!this.#isThere(domain, iova)) numbers.delete(iova);
      }
      if (numbers.size === 0) this.#domains.delete(domain);
      this.#kept += numbers.size;
    }
    this.#refusals = this.#most / 4;
    return this.#kept < this.#most;
  }
}

/** The notes on one IOMMU's mappings. */
export class MappingNotes {
  readonly #ages: Numbers;
  readonly #hits: Numbers;

  constructor(iommu: Iommu) {
    const isThere = (domain: number, iova: number): boolean =>
      iommu.hasDomain(domain) &&
      iommu.domain(domain).space.mappingAt(iova as Iova)?.iova === iova;
    this.#ages = new Numbers(MAX_AGES, isThere);
    this.#hits = new Numbers(MAX_HITS, isThere);
  }

  /** A mapping was made at `timeNs`. */
  mapped(domain: number, iova: number, timeNs: number): void {
    this.#ages.set(domain, iova, timeNs);
    this.#hits.delete(domain, iova);
  }

  /** The domain is gone; another may get its number. */
  forget(domain: number): void {
    this.#ages.forget(domain);
    this.#hits.forget(domain);
  }

  /** A sampled access at `timeNs` went through whatever covers `iova` now; one of before that mapping was made counts for nothing. */
  hit(domain: Domain, iova: number, timeNs: number): void {
    const mapping = domain.space.mappingAt(iova as Iova);
    if (mapping === null) return;
    if (timeNs < (this.#ages.get(domain.id, mapping.iova) ?? -1)) return;
    this.#hits.set(domain.id, mapping.iova, (this.#hits.get(domain.id, mapping.iova) ?? 0) + 1);
  }

  /** The mapping with what is noted of it. */
  tuple(domain: Domain, { iova, gpa, length, access }: NotedMapping): MappingTuple {
    const mappedNs = this.#ages.get(domain.id, iova) ?? -1;
    const hits = this.#hits.get(domain.id, iova) ?? (this.#hits.incomplete ? -1 : 0);
    return [iova, gpa, length, access, mappedNs, hits];
  }
}
