/**
 * An IOMMU's control path as it was, with what is done to it noted.
 * @module
 */

import type { Iommu } from "../../core/iommu/iommu.ts";
import type { MachineIommu } from "../scenario.ts";
import type { Board } from "./board.ts";
import type { MappingNotes } from "./mapping_notes.ts";
import { TIMELINE } from "./observation.ts";

/** Who is told what is done. */
export interface ControlWatcher {
  /** Scenario time. */
  nowNs(): number;
  /** Called beside every call, before it is waited for. */
  breathe(): void;
  /** Called before mappings or endpoints go: faults until now met them. */
  beforeChange(): void;
  /** Domains came or went. */
  domainsChanged(): void;
  /** The domain maps more, or less. */
  domainSized(domain: number): void;
}

/** The control path; what goes through it ends up on the board's timeline, and in the notes. */
export function watchedControl(
  control: MachineIommu,
  iommu: Iommu,
  board: Board,
  notes: MappingNotes,
  watcher: ControlWatcher,
): MachineIommu {
  // The promise that the scenario gets is the very one it would get without a watcher.
  const noted = <T>(done: Promise<T>, note: (value: T) => void): Promise<T> => {
    done.then(note, () => {});
    watcher.breathe();
    return done;
  };
  const event = (
    kind: number,
    endpoint: number,
    domain: number,
    iova = 0,
    length = 0,
    result = 0,
    access = 0,
  ) => board.event(watcher.nowNs(), kind, endpoint, domain, -1, iova, length, result, access);
  const domainOf = (endpoint: number): number | null => {
    for (const { id, domain } of iommu.endpoints) if (id === endpoint) return domain?.id ?? null;
    return null;
  };
  return {
    createDomain: () => noted(control.createDomain(), () => watcher.domainsChanged()),
    destroyDomain: (domain) => {
      watcher.beforeChange();
      return noted(control.destroyDomain(domain), () => {
        notes.forget(domain);
        watcher.domainsChanged();
      });
    },
    attach: (endpoint, domain) => {
      watcher.beforeChange();
      return noted(
        control.attach(endpoint, domain),
        () => event(TIMELINE.attach, endpoint, domain),
      );
    },
    detach: (endpoint) => {
      watcher.beforeChange();
      const domain = domainOf(endpoint);
      return noted(control.detach(endpoint), () => {
        if (domain !== null) event(TIMELINE.detach, endpoint, domain);
      });
    },
    map: (domain, iova, gpa, length, access) =>
      noted(control.map(domain, iova, gpa, length, access), () => {
        event(TIMELINE.map, -1, domain, iova, length, gpa, access);
        notes.mapped(domain, iova, watcher.nowNs());
        watcher.domainSized(domain);
      }),
    unmap: (domain, iova, length) => {
      watcher.beforeChange();
      return noted(control.unmap(domain, iova, length), (bytes) => {
        event(TIMELINE.unmap, -1, domain, iova, length, bytes);
        watcher.domainSized(domain);
      });
    },
    startDirtyTracking: (domain, iova, length) => control.startDirtyTracking(domain, iova, length),
    takeDirtyPages: (domain) => control.takeDirtyPages(domain),
  };
}
