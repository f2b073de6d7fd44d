/**
 * Parts of BARs that a client maps: memory that device and client share without a message.
 * @module
 */

import type { BarIndex, BarLayout } from "../../../devices/pci/pci_device.ts";
import type { Descriptor } from "../../linux/descriptor.ts";
import { LinuxError } from "../../linux/errno.ts";
import { createSharedMemory, Mapping } from "../../linux/mapping.ts";
import type { MmapArea } from "../messages/region_info.ts";

interface SharedBar {
  readonly area: MmapArea;
  readonly descriptor: Descriptor;
  readonly mapping: Mapping;
  readonly bytes: Uint8Array;
}

/** Owns the memory of the shared areas of one function. */
export class SharedBars implements Disposable {
  readonly #bars = new Map<number, SharedBar>();

  /** Makes the memory of a BAR's shared area. @throws {LinuxError} when there is none to be had */
  create(bar: BarLayout): Uint8Array {
    const { offset, length } = bar.shared!;
    // The file is as long as the BAR up to the area's end, so that offsets in one are those in the
    // other; what is before the area is a hole.
    const descriptor = createSharedMemory(`bar${bar.index}`, offset + length);
    const mapping = Mapping.map(descriptor.fd, 0, offset + length, "read-write");
    if (typeof mapping === "number") {
      descriptor.close();
      throw new LinuxError("mmap", mapping, `the shared area of BAR ${bar.index}`);
    }
    const bytes = mapping.bytes.subarray(offset, offset + length);
    this.#bars.set(bar.index, { area: { offset, size: length }, descriptor, mapping, bytes });
    return bytes;
  }

  /** The part of a region that can be mapped, or null. */
  area(index: number): MmapArea | null {
    return this.#bars.get(index)?.area ?? null;
  }

  /** The file behind a region, or null. It stays ours. */
  descriptor(index: number): number | null {
    return this.#bars.get(index)?.descriptor.fd ?? null;
  }

  /** The bytes of a range that is wholly within the shared area, or null. */
  view(index: number, offset: number, length: number): Uint8Array | null {
    const bar = this.#bars.get(index as BarIndex);
    if (bar === undefined) return null;
    const at = offset - bar.area.offset;
    return at >= 0 && at + length <= bar.bytes.length ? bar.bytes.subarray(at, at + length) : null;
  }

  [Symbol.dispose](): void {
    for (const { descriptor, mapping } of this.#bars.values()) {
      mapping.close();
      descriptor.close();
    }
    this.#bars.clear();
  }
}
