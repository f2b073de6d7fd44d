/**
 * What devices may still reach although it is unmapped here: an unmap takes effect in the
 * machine's tables at once, and for a server when it has answered. DMA that is in flight until
 * then may come by message, and is served (vfio-user, VFIO_USER_DMA_UNMAP).
 * @module
 */

import type { Mapping } from "../../core/iommu/address_space.ts";
import type { DomainId } from "../../core/iommu/domain.ts";
import { Iommu } from "../../core/iommu/iommu.ts";
import type { IommuMemory } from "../../core/iommu/iommu_memory.ts";
import type { GuestMemory } from "../../core/memory/guest_memory.ts";
import type { Clock } from "../../core/observe/clock.ts";
import type { ServerCommandHandler, Ticket } from "../../protocols/vfio_user/client/mod.ts";

/** Mappings that leave, each in the way of one endpoint. */
export class LeavingMemory {
  readonly #iommu: Iommu;

  constructor(memory: GuestMemory, clock: Clock) {
    this.#iommu = new Iommu(memory, { clock });
  }

  /** What of this endpoint leaves, as memory. */
  of(endpoint: number): IommuMemory {
    const { memory } = this.#iommu.addEndpoint(endpoint);
    this.#iommu.createDomain(endpoint);
    this.#iommu.attach(endpoint, endpoint);
    return memory;
  }

  /** There is no such endpoint any more. */
  forget(endpoint: number): void {
    this.#iommu.removeEndpoint(endpoint);
    this.#iommu.destroyDomain(endpoint);
  }

  /** The mappings leave, and have left when `ticket` is done. They have been there until now, so none overlaps another. */
  leave(endpoint: DomainId, mappings: readonly Mapping[], ticket: Ticket<unknown>): void {
    if (ticket.done) return;
    const { space } = this.#iommu.domain(endpoint);
    const leaving = mappings.filter(({ iova }) => space.mappingAt(iova) === null);
    for (const { iova, gpa, length, access } of leaving) space.map(iova, gpa, length, access);
    ticket.whenDone(() => {
      for (const { iova, length } of leaving) space.unmap(iova, length);
    });
  }
}

/** Handlers that ask `second` for what `first` refuses. */
export function eitherHandler(
  first: ReadonlyMap<number, ServerCommandHandler>,
  second: ReadonlyMap<number, ServerCommandHandler>,
): ReadonlyMap<number, ServerCommandHandler> {
  return new Map(
    [...first].map(([command, handler]) => {
      const other = second.get(command)!;
      const either: ServerCommandHandler = (message) => {
        const result = handler(message);
        if (result >= 0) return result;
        const granted = other(message);
        return granted >= 0 ? granted : result;
      };
      return [command, either];
    }),
  );
}
