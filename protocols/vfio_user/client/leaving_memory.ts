/**
 * What a server may still reach by message although it is unmapped here: an unmap takes effect in the
 * client's tables at once, and for a server when it has answered. DMA that is in flight until then is
 * served (vfio-user, VFIO_USER_DMA_UNMAP).
 * @module
 */

import type { Gpa, Iova, Status } from "../../../core/address.ts";
import { Iommu } from "../../../core/iommu/iommu.ts";
import type { GuestMemory } from "../../../core/memory/guest_memory.ts";
import { VirtualClock } from "../../../core/observe/virtual_clock.ts";
import type { DmaMemory } from "./dma_service.ts";
import type { Ticket } from "./ticket.ts";

/** A mapping as a server has it. */
export interface LeavingRange {
  readonly iova: number;
  readonly gpa: number;
  /** Bytes. */
  readonly length: number;
  /** Bits of `Access`. */
  readonly access: number;
}

interface Leaving {
  readonly range: LeavingRange;
  readonly ticket: Ticket<unknown>;
}

/** Endpoint and domain of the tables that hold what leaves. */
const ONLY = 0;

/**
 * The memory of one endpoint as its server sees it: what leaves, until it has left, and what is mapped
 * now. Where both are at one address a server that has not answered the unmap has not seen the later
 * mapping, so what leaves comes first.
 */
export class LeavingMemory implements DmaMemory {
  readonly #now: DmaMemory;
  /** Tables of their own, since IOVAs may be mapped anew. Their faults and counts are nobody's. */
  readonly #iommu: Iommu;
  readonly #old: DmaMemory;
  /** What leaves from addresses that something leaves from already, oldest first. */
  #later: Leaving[] = [];

  /** @param now what is mapped @param memory what mappings lead to */
  constructor(now: DmaMemory, memory: GuestMemory) {
    this.#now = now;
    this.#iommu = new Iommu(memory, { clock: new VirtualClock() });
    this.#old = this.#iommu.addEndpoint(ONLY).memory;
    this.#iommu.createDomain(ONLY);
    this.#iommu.attach(ONLY, ONLY);
  }

  /** Mappings that are leaving. */
  get count(): number {
    return this.#space.size + this.#later.length;
  }

  /** The mappings leave, and have left when `ticket` is done, well or not. */
  leave(ranges: readonly LeavingRange[], ticket: Ticket<unknown>): void {
    if (ticket.done || ranges.length === 0) return;
    const placed: LeavingRange[] = [];
    for (const range of ranges) {
      if (this.#place(range)) placed.push(range);
      else this.#later.push({ range, ticket });
    }
    ticket.whenDone(() => {
      for (const { iova, length } of placed) this.#space.unmap(iova as Iova, length);
      this.#placeLater();
    });
  }

  read(iova: Iova, into: Uint8Array): Status {
    return this.#at(iova).read(iova, into);
  }

  write(iova: Iova, from: Uint8Array): Status {
    return this.#at(iova).write(iova, from);
  }

  /** No message goes beyond one mapping of its server, so its first byte says which. */
  #at(iova: Iova): DmaMemory {
    const { size } = this.#space;
    return size > 0 && this.#space.mappingAt(iova) !== null ? this.#old : this.#now;
  }

  get #space() {
    return this.#iommu.domain(ONLY).space;
  }

  /** False while something at its addresses leaves, or is to leave, before it. */
  #place({ iova, gpa, length, access }: LeavingRange): boolean {
    const last = iova + length - 1;
    if (this.#space.table.ranges.overlaps(iova, last)) return false;
    for (const { range } of this.#later) {
      if (range.iova <= last && range.iova + range.length > iova) return false;
    }
    this.#space.map(iova as Iova, gpa as Gpa, length, access);
    return true;
  }

  #placeLater(): void {
    const later = this.#later;
    this.#later = [];
    for (const { range, ticket } of later) this.leave([range], ticket);
  }
}
