/**
 * Each file mapped once, however many regions lie in it: a virtual machine passes
 * the same memfd with every DMA region, up to 64 k times.
 * @module
 */

import { Errno } from "./errno.ts";
import { type FileStatus, fstat } from "./libc.ts";
import { Mapping, type MappingAccess } from "./mapping.ts";

/** Files up to this many bytes are mapped whole: 1 TiB of the 128 TiB of address space. */
export const MAX_WHOLE_FILE = 2 ** 40;

/** One mapping with the number of its users. */
interface Shared {
  readonly mapping: Mapping;
  /** Where others find it; null for one that is not shared. */
  readonly files: Map<string, Shared> | null;
  readonly identity: string;
  /** Offset in the file of the mapping's first byte. */
  readonly offset: number;
  users: number;
}

/** A part of a mapped file in use. The mapping lives as long as one of its parts does. */
export class MappedFile implements Disposable {
  #shared: Shared | null;
  readonly #release: (shared: Shared) => void;
  /** The part asked for. Length 0 at the latest when the file's last part is released. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Device and inode, as text: parts with equal identity are of one file. */
  readonly identity: string;
  /** Offset in the file of the first byte. */
  readonly offset: number;

  /** For {@linkcode MappedFiles} alone. */
  constructor(
    shared: Shared,
    offset: number,
    length: number,
    release: (shared: Shared) => void,
  ) {
    this.#shared = shared;
    this.#release = release;
    this.identity = shared.identity;
    this.offset = offset;
    const start = offset - shared.offset;
    this.bytes = shared.mapping.bytes.subarray(start, start + length);
  }

  /** Gives the part back; its views must not be used any more. Idempotent. */
  release(): void {
    const shared = this.#shared;
    if (shared === null) return;
    this.#shared = null;
    this.#release(shared);
  }

  [Symbol.dispose](): void {
    this.release();
  }
}

/**
 * The mappings of one owner. Owners that do not trust each other keep one each:
 * parts of a file share the mapping, so what one may do, all may.
 */
export class MappedFiles {
  /** By identity. */
  readonly #files: Readonly<Record<MappingAccess, Map<string, Shared>>> = {
    "read": new Map(),
    "read-write": new Map(),
  };

  /** Mappings that the next part may share. */
  get size(): number {
    return this.#files.read.size + this.#files["read-write"].size;
  }

  /**
   * `length` bytes from `offset` on, of a file that `shareable()` called sealed: the part,
   * or `-errno`. `-EINVAL` when the range is empty or not within the file, otherwise
   * what {@linkcode Mapping.map} answers. The descriptor is free to be closed afterwards.
   * Who has asked for its `status` since it was sealed passes that on: a call of the system
   * less. An earlier one will not do, since the file may have become shorter in between.
   *
   * A file that has grown is mapped anew; parts of the former mapping keep it.
   */
  acquire(
    fd: number,
    offset: number,
    length: number,
    access: MappingAccess,
    status: FileStatus = fstat(fd),
  ): MappedFile | number {
    if (
      !Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 ||
      length < 1 || offset + length > status.size
    ) return -Errno.EINVAL;
    const { identity } = status;
    const files = this.#files[access];
    const found = files.get(identity);
    if (found !== undefined && offset + length <= found.mapping.length) {
      found.users++;
      return new MappedFile(found, offset, length, this.#release);
    }
    const whole = status.size <= MAX_WHOLE_FILE
      ? Mapping.map(fd, 0, status.size, access)
      : -Errno.ENOMEM;
    if (typeof whole !== "number") {
      const shared = { mapping: whole, files, identity, offset: 0, users: 1 };
      files.set(identity, shared);
      return new MappedFile(shared, offset, length, this.#release);
    }
    if (whole !== -Errno.ENOMEM) return whole;
    // Too large as a whole: this part alone, shared with nobody.
    const part = Mapping.map(fd, offset, length, access);
    if (typeof part === "number") return part;
    const shared = { mapping: part, files: null, identity, offset, users: 1 };
    return new MappedFile(shared, offset, length, this.#release);
  }

  readonly #release = (shared: Shared): void => {
    if (--shared.users > 0) return;
    const { files, identity } = shared;
    if (files?.get(identity) === shared) files.delete(identity);
    shared.mapping.close();
  };
}
