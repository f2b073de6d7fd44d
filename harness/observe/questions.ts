/**
 * Answers what a watcher asks of a run that goes on.
 * @module
 */

import type { Iommu } from "../../core/iommu/iommu.ts";
import type { PciTarget } from "../../devices/pci/pci_driver.ts";
import { type DeviceShape, readDetail } from "./device_detail.ts";
import type { MappingNotes } from "./mapping_notes.ts";
import { aroundOf, lookAround, mappingsFrom } from "./mapping_query.ts";
import type { Answer, Ask } from "./observation.ts";

/** A device that is plugged in, as a run knows it. */
export interface PluggedIn {
  /** Its type. */
  readonly type: string;
  readonly target: PciTarget;
  /** Null when its model lives elsewhere. */
  readonly shape: DeviceShape | null;
}

/** What there is to be asked about. */
export interface Subject {
  readonly iommu: Iommu;
  readonly notes: MappingNotes;
  /** Whether the devices use the caches of this IOMMU, or have their own in another process. */
  readonly caches: "here" | "elsewhere";
  /** By endpoint. */
  readonly plugged: ReadonlyMap<number, PluggedIn>;
}

/**
 * Gives `say` the answer: null when what is asked for is not there. At once, but for a device's
 * detail, which is read by its driver's way.
 */
export function answerAsk(ask: Ask, subject: Subject, say: (answer: Answer | null) => void): void {
  const { iommu, notes, plugged, caches } = subject;
  if (ask.kind === "detail") {
    const device = plugged.get(ask.endpoint);
    if (device === undefined) return say(null);
    readDetail(device.target, device.shape).then(
      (detail) => say({ kind: "detail", detail }),
      () => say(null),
    );
    return;
  }
  if (!iommu.hasDomain(ask.domain)) return say(null);
  const domain = iommu.domain(ask.domain);
  if (ask.kind === "around") {
    const look = caches === "here" ? lookAround : aroundOf;
    return say({ kind: "around", around: look(domain, ask.iova, notes) });
  }
  say({ kind: "mappings", mappings: mappingsFrom(domain, ask.from, ask.limit, notes) });
}
