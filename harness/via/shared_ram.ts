/**
 * Guest RAM in memory files, so that a server process maps the very bytes that the guest's
 * CPUs see.
 * @module
 */

import type { RamRegionSpec } from "../../core/memory/ram_region.ts";
import {
  createSharedMemory,
  type Descriptor,
  LinuxError,
  Mapping,
} from "../../protocols/linux/mod.ts";
import type { SharedRegion } from "../../protocols/vfio_user/client/mod.ts";

/** Owns the files and our mappings of them. */
export class SharedRam implements Disposable {
  /** For whoever hands them to servers. */
  readonly regions: readonly SharedRegion[];
  /** The regions with their bytes. */
  readonly specs: readonly RamRegionSpec[];
  readonly #descriptors: Descriptor[] = [];
  readonly #mappings: Mapping[] = [];

  /** Makes the bytes of `specs`, all zero. @throws {LinuxError} when there is no room for them */
  constructor(specs: readonly RamRegionSpec[]) {
    try {
      const shared: SharedRegion[] = [];
      const backed: RamRegionSpec[] = [];
      for (const spec of specs) {
        const { name, start, length, readOnly = false } = spec;
        const descriptor = createSharedMemory(name, length);
        this.#descriptors.push(descriptor);
        const mapping = Mapping.map(descriptor.fd, 0, length, "read-write");
        if (typeof mapping === "number") throw new LinuxError("mmap", mapping, `region ${name}`);
        this.#mappings.push(mapping);
        shared.push({ start, length, descriptor, offset: 0, readOnly });
        backed.push({ ...spec, bytes: mapping.bytes });
      }
      this.regions = shared;
      this.specs = backed;
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Unmaps and closes. Views of the bytes have length 0 from now on. Idempotent. */
  [Symbol.dispose](): void {
    for (const mapping of this.#mappings) mapping.close();
    for (const descriptor of this.#descriptors) descriptor.close();
  }
}
