/**
 * A protection domain: the endpoints in it share one address space.
 * @module
 */

import { AddressSpace } from "./address_space.ts";
import type { DmaContext } from "./endpoint.ts";

/** Chosen by whoever programs the IOMMU: an unsigned 32-bit integer. */
export type DomainId = number;

/** How a domain translates. */
export type DomainKind = "mapped" | "bypass";

/** Made by {@linkcode Iommu.createDomain}; change it through the {@linkcode Iommu}. */
export class Domain {
  /** As it was made. */
  readonly id: DomainId;
  /** `bypass`: IOVA = GPA, every access allowed, no mappings (virtio 1.3, 5.13.6.3.2). */
  readonly kind: DomainKind;
  /** Its mappings; empty for ever when the kind is `bypass`. */
  readonly space: AddressSpace;
  /** Who is attached. */
  readonly members: Set<DmaContext> = new Set();

  /** Makes an empty domain. @param seed of the page cache's hash */
  constructor(id: DomainId, kind: DomainKind, seed: number) {
    this.id = id;
    this.kind = kind;
    this.space = new AddressSpace(`domain ${id}`, seed);
  }
}
