/**
 * Dirty pages of a machine whose devices write from other processes. Their writes are logged
 * by the servers (vfio-user, DEVICE_FEATURE, DMA_LOGGING) by IOVA, and taken over into the
 * machine's own books: of the domain by IOVA, and of guest RAM by GPA. What comes by
 * DMA_WRITE is in the latter already, since it goes through guest RAM here.
 * @module
 */

import { Access, type Gpa, PAGE_SIZE } from "../../core/address.ts";
import type { Mapping } from "../../core/iommu/address_space.ts";
import type { Iommu } from "../../core/iommu/iommu.ts";
import type { GuestRam } from "../../core/memory/guest_ram.ts";
import { Errno } from "../../protocols/linux/mod.ts";
import { VfioUserError } from "../../protocols/vfio_user/client/mod.ts";
import type { VfioUserDevice } from "./vfio_user_device.ts";

/** Ranges are reported on together when less than this is between them. */
const GAP = 2 ** 30;

type Range = Pick<Mapping, "iova" | "gpa" | "length">;

/** See the module. */
export class VfioUserDirty {
  readonly #iommu: Iommu;
  readonly #ram: GuestRam;
  readonly #descriptors: "pass" | "withhold";
  /** Mappings that devices had when their logs were last asked for, and have no more. */
  readonly #unmapped = new Map<VfioUserDevice, Range[]>();

  constructor(iommu: Iommu, ram: GuestRam, descriptors: "pass" | "withhold") {
    this.#iommu = iommu;
    this.#ram = ram;
    this.#descriptors = descriptors;
  }

  /** Whether anybody wants to know what the device writes. */
  wanted(device: VfioUserDevice): boolean {
    const { domain } = this.#iommu.endpoint(device.endpoint);
    return this.#ram.dirtyLog === "on" || (domain !== null && domain.space.dirty !== null);
  }

  /** The device's writes are logged from now on. */
  log(device: VfioUserDevice): void {
    if (device.logging === "on" || !this.wanted(device)) return;
    const { client } = device.home;
    client.wait(client.features.startLogging(PAGE_SIZE));
    device.logging = "on";
  }

  /** The device has lost these mappings, and may have written through them. */
  unmapped(device: VfioUserDevice, ranges: readonly Range[]): void {
    const before = this.#unmapped.get(device);
    if (before === undefined) this.#unmapped.set(device, [...ranges]);
    else before.push(...ranges);
  }

  /** Takes over what the device has written until now. */
  collect(device: VfioUserDevice): void {
    if (device.logging === "off") return;
    const { domain } = this.#iommu.endpoint(device.endpoint);
    const gone = this.#unmapped.get(device) ?? [];
    this.#unmapped.delete(device);
    const mappings = [...this.#mappings(device), ...gone].sort((a, b) => a.iova - b.iova);
    const { client } = device.home;
    let next = 0;
    while (next < mappings.length) {
      const first = next;
      const start = pageDown(mappings[first]!.iova);
      let end = start;
      while (next < mappings.length && mappings[next]!.iova < end + GAP) {
        const { iova, length } = mappings[next]!;
        end = Math.max(end, pageDown(iova + length - 1) + PAGE_SIZE);
        next++;
      }
      const report = client.features.dirtyPages(start, end - start, PAGE_SIZE);
      let bitmap: Uint8Array;
      try {
        bitmap = client.wait(report);
      } catch (error) {
        // The last of its regions is gone, and the log of it with it.
        if (error instanceof VfioUserError && error.errno === Errno.ENOENT) continue;
        throw error;
      }
      for (const iova of dirtyIn(bitmap, start)) {
        domain?.space.dirty?.mark(iova, PAGE_SIZE);
        if (this.#descriptors === "pass") this.#markRam(mappings, first, next, iova);
      }
    }
  }

  /** What the device reaches: of a domain its mappings, otherwise all of RAM or nothing. */
  *#mappings(device: VfioUserDevice): Generator<Range> {
    const { domain, context } = this.#iommu.endpoint(device.endpoint);
    if (domain !== null) yield* domain.space.mappings();
    else if (context.bypass) {
      for (const { start, length } of this.#ram.regions) {
        yield { iova: start as number as Mapping["iova"], gpa: start, length };
      }
    }
  }

  /** Marks the RAM behind the page at `iova`, where a server has it mapped: whole pages of it. */
  #markRam(mappings: readonly Range[], from: number, to: number, iova: number): void {
    if (this.#ram.dirtyLog === "off") return;
    for (let at = from; at < to; at++) {
      const mapping = mappings[at]!;
      if (mapping.iova > iova) break;
      if (iova >= mapping.iova + mapping.length || !isWhole(mapping)) continue;
      const gpa = mapping.gpa + (iova - mapping.iova) as Gpa;
      if (this.#ram.check(gpa, PAGE_SIZE, Access.WRITE) === 0) this.#ram.markDirty(gpa, PAGE_SIZE);
    }
  }
}

function pageDown(address: number): number {
  return Math.floor(address / PAGE_SIZE) * PAGE_SIZE;
}

/** Whether a mapping can be handed over with its file. Others go without, and their writes come by message. */
export function isWhole({ iova, gpa, length }: Range): boolean {
  return iova % PAGE_SIZE === 0 && gpa % PAGE_SIZE === 0 && length % PAGE_SIZE === 0;
}

function* dirtyIn(bitmap: Uint8Array, start: number): Generator<number> {
  for (const [at, byte] of bitmap.entries()) {
    for (let bit = 0; byte >>> bit !== 0; bit++) {
      if ((byte >>> bit & 1) !== 0) yield start + (at * 8 + bit) * PAGE_SIZE;
    }
  }
}
