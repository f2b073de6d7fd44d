/**
 * The DMA regions of one client: DMA_MAP and DMA_UNMAP as an IOMMU domain (vfio-user; spec/08 rules
 * 16 to 20).
 * @module
 */

import {
  Access,
  type Gpa,
  type Iova,
  MAX_ADDRESS,
  PAGE_SIZE,
  pageOffset,
} from "../../../core/address.ts";
import { Completion } from "../../../core/iommu/completion.ts";
import type { DomainId } from "../../../core/iommu/domain.ts";
import type { Descriptor } from "../../linux/descriptor.ts";
import { Errno } from "../../linux/errno.ts";
import { fstat } from "../../linux/libc.ts";
import { sealsOf } from "../../linux/mapping.ts";
import type { DmaMap } from "../messages/dma_map.ts";
import { type AddressRange, RangeKind } from "../wide.ts";
import { type RemoteAccess, RemoteRange } from "./backing.ts";
import type { FilePart } from "./file_windows.ts";
import type { ServerMachine } from "./server_machine.ts";

/** Bytes that one client may map without descriptors: a share of the windows that all have. */
const MAX_REMOTE_BYTES = 2 ** 47;

/** One live region. */
interface DmaRegion {
  readonly length: number;
  readonly access: number;
  /** Of its file, or "" when it came without a descriptor. */
  readonly identity: string;
  readonly offset: number;
  readonly part: FilePart;
}

/** See the module. Answers 0 or a negative errno; what a client sends never throws. */
export class DmaRegions {
  readonly #machine: ServerMachine;
  readonly #domain: DomainId;
  /** By first IOVA. */
  readonly #regions = new Map<number, DmaRegion>();
  #remoteBytes = 0;

  /** Keeps the mappings of `domain`, which nobody else changes. */
  constructor(machine: ServerMachine, domain: DomainId) {
    this.#machine = machine;
    this.#domain = domain;
  }

  /** Regions that are mapped. */
  get count(): number {
    return this.#regions.size;
  }

  /** Whether a region has a byte in `[start, last]`. */
  meets(start: number, last: number): boolean {
    return this.#ranges.overlaps(start, last);
  }

  /**
   * Maps a region: `descriptor` is its memory, or null for memory that `remote` reaches. Takes the
   * descriptor over. An exact repeat of a live region changes nothing and succeeds; any other overlap
   * is EEXIST (rule 17).
   */
  map(
    request: Readonly<DmaMap>,
    descriptor: Descriptor | null,
    remote: RemoteAccess,
    limit: number,
  ): number {
    const { address, size, offset, flags } = request;
    const seals = descriptor === null ? 0 : sealsOf(descriptor.fd);
    const status = descriptor === null ? null : fstat(descriptor.fd);
    const identity = status === null ? "" : status.identity;
    const last = address + size - 1;
    let result = 0;
    if (status !== null && (offset % PAGE_SIZE !== 0 || size % PAGE_SIZE !== 0)) {
      result = -Errno.EINVAL;
    } else if (this.meets(address, last)) {
      const there = this.#regions.get(address);
      const same = there !== undefined && there.length === size && there.access === flags &&
        there.identity === identity && there.offset === offset;
      if (!same) result = -Errno.EEXIST;
      else {
        descriptor?.close();
        return 0;
      }
    } else if (this.#regions.size >= limit) {
      result = -Errno.ENOSPC;
    }
    if (result !== 0) {
      descriptor?.close();
      return result;
    }
    const part = descriptor === null || status === null
      ? this.#showRemote(request, remote)
      : this.#machine.files.acquire(
        descriptor,
        seals,
        status,
        offset,
        size,
        (flags & Access.WRITE) !== 0 ? "read-write" : "read",
      );
    if (typeof part === "number") return part;
    const { iommu, mappings } = this.#machine;
    iommu.map(this.#domain, address as Iova, part.gpa as Gpa, size, flags);
    mappings?.mapped(this.#domain, address, part.gpa, size, flags);
    this.#regions.set(address, { length: size, access: flags, identity, offset, part });
    return 0;
  }

  /**
   * Removes every region that lies in the range, as a client may sweep over ranges that it never
   * mapped (spec/09 rule 10). A range that cuts a region, or has no bytes, is ENOENT, and nothing
   * happens (rule 19). The completion is reached when no access to the regions is in flight, and
   * nothing of them is mapped any more (rule 20).
   */
  unmap(range: Readonly<AddressRange>): Completion | number {
    if (range.kind === RangeKind.EMPTY) return -Errno.ENOENT;
    if (range.kind === RangeKind.BEYOND) return new Completion();
    if (this.cuts(range.start, range.last)) return -Errno.ENOENT;
    return this.#remove(range.start, range.last);
  }

  /** As {@linkcode unmap}, for every region there is. */
  unmapAll(): Completion {
    return this.#remove(0, MAX_ADDRESS);
  }

  /** Whether the range holds a part of a region, but not all of it. */
  cuts(start: number, last: number): boolean {
    const ranges = this.#ranges;
    const first = ranges.find(start);
    if (first >= 0 && (ranges.startOf(first) < start || ranges.lastOf(first) > last)) return true;
    const end = ranges.find(last);
    return end >= 0 && (ranges.lastOf(end) > last || ranges.startOf(end) < start);
  }

  get #ranges() {
    return this.#machine.iommu.domain(this.#domain).space.table.ranges;
  }

  #remove(start: number, last: number): Completion {
    const removed: FilePart[] = [];
    const ranges = this.#ranges;
    for (let slot = ranges.from(start); slot >= 0; slot = ranges.next(slot)) {
      const iova = ranges.startOf(slot);
      if (iova > last) break;
      const region = this.#regions.get(iova);
      if (region === undefined) continue;
      this.#regions.delete(iova);
      if (region.identity === "") this.#remoteBytes -= region.length;
      removed.push(region.part);
    }
    // An address space that ends at 2^52 - 1 has 2^52 bytes, which is a legal length.
    const { iommu, mappings } = this.#machine;
    const completion = iommu.unmap(this.#domain, start as Iova, last - start + 1);
    if (completion.bytes > 0) {
      mappings?.unmapped(this.#domain, start, last - start + 1, completion.bytes);
    }
    completion.whenDone(() => {
      for (const part of removed) part.release();
    });
    return completion;
  }

  #showRemote(request: Readonly<DmaMap>, remote: RemoteAccess): FilePart | number {
    const { address, size, flags } = request;
    if (this.#remoteBytes + size > MAX_REMOTE_BYTES) return -Errno.ENOMEM;
    const { memory } = this.#machine;
    const readable = (flags & Access.READ) !== 0;
    // Windows start at a page; with the same offset into it, addresses keep their alignment.
    const skew = pageOffset(address);
    const range = new RemoteRange(remote, address - skew, size + skew, readable);
    const start = memory.showFar(range);
    if (start < 0) return -Errno.ENOMEM;
    this.#remoteBytes += size;
    return { gpa: start + skew, release: () => memory.hideFar(start) };
  }
}
