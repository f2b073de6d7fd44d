/**
 * The nine regions of a PCI device: what they are, and accesses to them (vfio-user; spec/08 rules 9,
 * 10, 13 and 15).
 * @module
 */

import type { PciFunction } from "../../../devices/pci/pci_function.ts";
import type { RegionInfo } from "../messages/region_info.ts";
import { VFIO_PCI_NUM_REGIONS, VfioPciRegion, VfioRegionInfoFlags } from "../vfio_spec.ts";
import type { SharedBars } from "./shared_bars.ts";

const { VFIO_PCI_CONFIG_REGION_INDEX: CONFIG } = VfioPciRegion;
const {
  VFIO_REGION_INFO_FLAG_READ: READ,
  VFIO_REGION_INFO_FLAG_WRITE: WRITE,
  VFIO_REGION_INFO_FLAG_MMAP: MMAP,
} = VfioRegionInfoFlags;

/** The regions of one function. */
export class Regions {
  readonly #function: PciFunction;
  readonly #shared: SharedBars;
  readonly #sizes: readonly number[];

  constructor(hosted: PciFunction, shared: SharedBars) {
    this.#function = hosted;
    this.#shared = shared;
    const sizes = new Array<number>(VFIO_PCI_NUM_REGIONS).fill(0);
    for (const bar of hosted.bars) sizes[bar.index] = bar.size;
    sizes[CONFIG] = hosted.config.length;
    this.#sizes = sizes;
  }

  /** Bytes of a region; 0 when the device has none there, undefined when there is no such index. */
  size(index: number): number | undefined {
    return this.#sizes[index];
  }

  /** What GET_REGION_INFO says of a region, to a client that takes descriptors or one that does not. */
  info(index: number, by: "mappable" | "messages"): RegionInfo {
    const size = this.#sizes[index] ?? 0;
    const area = by === "mappable" ? this.#shared.area(index) : null;
    const whole = area !== null && area.offset === 0 && area.size === size;
    return {
      argsz: 0,
      flags: (size > 0 ? READ | WRITE : 0) | (area === null ? 0 : MMAP),
      index,
      size,
      offset: 0,
      sparse: area === null || whole ? null : [area],
      type: null,
      msixMappable: false,
    };
  }

  /** What a client maps, or null when a region is reached by messages alone. */
  descriptor(index: number): number | null {
    return this.#shared.descriptor(index);
  }

  /** Whether an access of `count` bytes at `offset` is one that the region has. */
  holds(index: number, offset: number, count: number): boolean {
    const size = this.#sizes[index];
    return size !== undefined && size > 0 && offset + count <= size;
  }

  /** Fills `into` from a region that {@linkcode holds} the range. */
  read(index: number, offset: number, into: Uint8Array): void {
    if (index === CONFIG) {
      this.#function.configReadBytes(offset, into);
      return;
    }
    const { length } = into;
    if (isRegister(offset, length)) {
      this.#function.barReadBytes(index, offset, into);
      return;
    }
    const direct = this.#shared.view(index, offset, length);
    if (direct !== null && this.#function.decodes(index)) {
      into.set(direct);
      return;
    }
    for (let at = 0; at < length;) {
      const size = registerSize(offset + at, length - at);
      this.#function.barReadBytes(index, offset + at, into.subarray(at, at + size));
      at += size;
    }
  }

  /** Stores `from` to a region that {@linkcode holds} the range. */
  write(index: number, offset: number, from: Uint8Array): void {
    if (index === CONFIG) {
      this.#function.configWriteBytes(offset, from);
      return;
    }
    const { length } = from;
    if (isRegister(offset, length)) {
      this.#function.barWriteBytes(index, offset, from);
      return;
    }
    const direct = this.#shared.view(index, offset, length);
    if (direct !== null && this.#function.decodes(index)) {
      direct.set(from);
      return;
    }
    for (let at = 0; at < length;) {
      const size = registerSize(offset + at, length - at);
      this.#function.barWriteBytes(index, offset + at, from.subarray(at, at + size));
      at += size;
    }
  }
}

/** Whether it is one access of a register, as a processor makes it. */
function isRegister(offset: number, length: number): boolean {
  return (length === 4 || length === 1 || length === 2 || length === 8) && offset % length === 0;
}

/** Longer accesses are made of dwords, and of what an end leaves of one. */
function registerSize(offset: number, left: number): number {
  if (offset % 4 === 0 && left >= 4) return 4;
  return offset % 2 === 0 && left >= 2 ? 2 : 1;
}
