/**
 * The control path of an IOMMU in this process, as scenarios have it.
 * @module
 */

import type { DomainId } from "../../core/iommu/domain.ts";
import type { Iommu } from "../../core/iommu/iommu.ts";
import type { MachineIommu } from "../scenario.ts";

/** Domain numbers of one machine: the lowest that has not been used. */
export class DomainNumbers {
  #last = 0;

  constructor(private readonly iommu: Iommu) {}

  next(): DomainId {
    do this.#last++; while (this.iommu.hasDomain(this.#last));
    return this.#last;
  }
}

/**
 * Each call has changed the tables when it returns its promise, which then waits for
 * DMA in flight; errors are rejections.
 */
export function localIommu(iommu: Iommu): MachineIommu {
  const numbers = new DomainNumbers(iommu);
  return {
    async createDomain() {
      return await Promise.resolve(iommu.createDomain(numbers.next()).id);
    },
    async destroyDomain(domain) {
      await iommu.destroyDomain(domain);
    },
    async attach(endpoint, domain) {
      await iommu.attach(endpoint, domain);
    },
    async detach(endpoint) {
      await iommu.detach(endpoint);
    },
    async map(domain, iova, gpa, length, access) {
      await Promise.resolve(iommu.map(domain, iova, gpa, length, access));
    },
    async unmap(domain, iova, length) {
      return await iommu.unmap(domain, iova, length);
    },
    async startDirtyTracking(domain, iova, length) {
      await Promise.resolve(iommu.startDirtyTracking(domain, iova, length));
    },
    async takeDirtyPages(domain) {
      return await Promise.resolve(iommu.takeDirtyPages(domain));
    },
  };
}
