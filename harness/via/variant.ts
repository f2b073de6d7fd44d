/**
 * Variants: other ways to use the protocol of one via, each of which has to come to the
 * same. A fixed share of the scenarios runs in them as well.
 * @module
 */

import type { Mode, Via } from "../scenario.ts";

/**
 * Of `vfio-user`:
 *
 * - `messages`: memory is mapped without descriptors, so that every access of a device
 *   goes by VFIO_USER_DMA_READ and VFIO_USER_DMA_WRITE, on the one socket. The only
 *   descriptors that pass are eventfds, since the protocol has no other interrupts.
 * - `twin-socket`: the same, with those commands on a socket of their own.
 *
 * Of `qemu`, where there is an IOMMU:
 *
 * - `virtio-iommu`: QEMU's own one of that kind is in front of the devices, and no intel-iommu.
 */
export type Variant = "messages" | "twin-socket" | "virtio-iommu";

const OF_VIA: Readonly<Record<Via, readonly Variant[]>> = {
  direct: [],
  "vfio-user": ["messages", "twin-socket"],
  qemu: ["virtio-iommu"],
};

/** All there are, in the order of reports. */
export const VARIANTS: readonly Variant[] = Object.values(OF_VIA).flat();

/** The variants of a via. */
export function variantsOf(via: Via): readonly Variant[] {
  return OF_VIA[via];
}

/** Whether the variant is any other than the via by itself in this mode. */
export function differsIn(mode: Mode, variant: Variant): boolean {
  return variant !== "virtio-iommu" || mode !== "identity";
}

/**
 * The variant that a scenario also runs in when none is asked for, or null: as many names fall
 * to each as to none. By name alone, so that what is added changes nothing for the others.
 */
export function usualVariantOf(via: Via, scenario: string): Variant | null {
  // FNV-1a.
  let hash = 0x811c_9dc5;
  for (let at = 0; at < scenario.length; at++) {
    hash = Math.imul(hash ^ scenario.charCodeAt(at), 0x0100_0193) >>> 0;
  }
  // The low bits of this hash are the weak ones.
  const variants = variantsOf(via);
  return variants[(hash >>> 8) % (variants.length + 1)] ?? null;
}

/** How reports call a via with a variant: `vfio-user`, `vfio-user (messages)`. */
export function viaLabel(via: Via, variant: Variant | undefined): string {
  return variant === undefined ? via : `${via} (${variant})`;
}
