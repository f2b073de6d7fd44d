/**
 * The parts of a region that need no messages: the server gave a file for them
 * (vfio-user, Sparse Regions). A file that can never become shorter is mapped; any
 * other is reached by calls of the system, since a server that shrinks it would
 * otherwise kill us.
 * @module
 */

import type { Descriptor } from "../../linux/descriptor.ts";
import { LinuxError } from "../../linux/errno.ts";
import { Mapping, readFile, shareable, writeFile } from "../../linux/mapping.ts";
import { fileSize } from "../../linux/libc.ts";
import type { MmapArea, RegionInfo } from "../messages/region_info.ts";
import { VfioRegionInfoFlags } from "../vfio_spec.ts";

const { VFIO_REGION_INFO_FLAG_MMAP: MMAP, VFIO_REGION_INFO_FLAG_WRITE: WRITE } =
  VfioRegionInfoFlags;
/** Scratch of a scalar access to a file. */
const scratch = new Uint8Array(8);

/** One area: mapped, or by calls. */
interface Area extends MmapArea {
  /** Where it starts in the file. */
  readonly at: number;
  readonly mapping: Mapping | null;
}

/** Owns the file of one region, and its mappings. */
export class RegionWindow implements Disposable {
  readonly #descriptor: Descriptor;
  #areas: readonly Area[];
  readonly #writable: boolean;

  private constructor(descriptor: Descriptor, areas: readonly Area[], writable: boolean) {
    this.#descriptor = descriptor;
    this.#areas = areas;
    this.#writable = writable;
  }

  /**
   * The window on a region, or null when messages are the only way: nothing can be mapped, or the
   * file is none that can be trusted. Takes the descriptor over either way.
   */
  static open(info: Readonly<RegionInfo>, descriptor: Descriptor | null): RegionWindow | null {
    if (descriptor === null) return null;
    const areas: Area[] = [];
    const writable = (info.flags & WRITE) !== 0;
    const access = writable ? "read-write" : "read";
    try {
      const kind = (info.flags & MMAP) === 0 || info.size === 0
        ? "refused"
        : shareable(descriptor.fd, access);
      if (kind !== "refused") {
        const size = fileSize(descriptor.fd);
        for (const { offset, size: length } of info.sparse ?? [{ offset: 0, size: info.size }]) {
          const at = info.offset + offset;
          // Beyond the end of the file a mapping would be fatal, and a call an error.
          if (length === 0 || at + length > size) continue;
          const mapping = kind === "sealed" ? Mapping.map(descriptor.fd, at, length, access) : null;
          areas.push({
            offset,
            size: length,
            at,
            mapping: typeof mapping === "number" ? null : mapping,
          });
        }
      }
      if (areas.length > 0) return new RegionWindow(descriptor, areas, writable);
    } catch (error) {
      for (const area of areas) area.mapping?.close();
      descriptor.close();
      // A descriptor that is nothing of the kind is the server's mistake.
      if (error instanceof LinuxError) return null;
      throw error;
    }
    descriptor.close();
    return null;
  }

  /** The areas: offsets within the region. */
  get areas(): readonly MmapArea[] {
    return this.#areas;
  }

  /** Whether the bytes are all in one area. */
  covers(offset: number, length: number): boolean {
    return this.#find(offset, length) !== null;
  }

  /** Fills `into` from the region; false, with nothing done, when a byte of it is in no one area. */
  read(offset: number, into: Uint8Array): boolean {
    const area = this.#find(offset, into.length);
    if (area === null) return false;
    const from = offset - area.offset;
    if (area.mapping !== null) {
      load(area.mapping.bytes, from, into);
      return true;
    }
    return readFile(this.#descriptor.fd, area.at + from, into) === 0;
  }

  /** Stores `from` in the region; false, with nothing done, as {@linkcode read}, and when it is read-only. */
  write(offset: number, from: Uint8Array): boolean {
    const area = this.#writable ? this.#find(offset, from.length) : null;
    if (area === null) return false;
    const to = offset - area.offset;
    if (area.mapping !== null) {
      store(area.mapping.bytes, to, from);
      return true;
    }
    return writeFile(this.#descriptor.fd, area.at + to, from) === 0;
  }

  /** Unmaps and closes: it covers nothing any more. Idempotent. */
  close(): void {
    for (const area of this.#areas) area.mapping?.close();
    this.#areas = [];
    this.#descriptor.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #find(offset: number, length: number): Area | null {
    for (const area of this.#areas) {
      if (offset >= area.offset && offset + length <= area.offset + area.size) return area;
    }
    return null;
  }
}

/** An aligned register is moved in one access, as a CPU would: the device looks on meanwhile. */
function load(bytes: Uint8Array<ArrayBuffer>, at: number, into: Uint8Array): void {
  const start = bytes.byteOffset + at;
  const { buffer } = bytes;
  const view = new DataView(scratch.buffer);
  if (into.length === 4 && start % 4 === 0) {
    view.setUint32(0, Atomics.load(new Uint32Array(buffer, start, 1), 0), true);
  } else if (into.length === 2 && start % 2 === 0) {
    view.setUint16(0, Atomics.load(new Uint16Array(buffer, start, 1), 0), true);
  } else if (into.length === 8 && start % 8 === 0) {
    view.setBigUint64(0, Atomics.load(new BigUint64Array(buffer, start, 1), 0), true);
  } else {
    into.set(bytes.subarray(at, at + into.length));
    return;
  }
  into.set(scratch.subarray(0, into.length));
}

function store(bytes: Uint8Array<ArrayBuffer>, at: number, from: Uint8Array): void {
  const start = bytes.byteOffset + at;
  const { buffer } = bytes;
  const view = new DataView(from.buffer, from.byteOffset, from.length);
  if (from.length === 4 && start % 4 === 0) {
    Atomics.store(new Uint32Array(buffer, start, 1), 0, view.getUint32(0, true));
  } else if (from.length === 2 && start % 2 === 0) {
    Atomics.store(new Uint16Array(buffer, start, 1), 0, view.getUint16(0, true));
  } else if (from.length === 8 && start % 8 === 0) {
    Atomics.store(new BigUint64Array(buffer, start, 1), 0, view.getBigUint64(0, true));
  } else {
    bytes.set(from, at);
  }
}
