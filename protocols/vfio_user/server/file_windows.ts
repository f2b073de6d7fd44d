/**
 * The files of clients as windows of the server's memory: each mapped or opened once, however many
 * regions of however many clients lie in it.
 * @module
 */

import { Descriptor } from "../../linux/descriptor.ts";
import { Errno } from "../../linux/errno.ts";
import { F_GETFL, fcntl, type FileStatus } from "../../linux/libc.ts";
import { type MappedFile, MappedFiles } from "../../linux/mapped_file.ts";
import { keepsLength, type MappingAccess, shareable } from "../../linux/mapping.ts";
import { CopiedFile } from "./backing.ts";
import type { ServerMemory } from "./server_memory.ts";

/** Files that may be open at one time: each mapping costs an entry of the kernel's 65 530. */
const MAX_FILES = 8192;
/** Of them, those that stay open: descriptors are scarcer. */
const MAX_OPEN_FILES = 256;

// fcntl.h, which libc.ts has no other use for.
const O_ACCMODE = 3, O_WRONLY = 1, O_RDWR = 2, O_APPEND = 0o2000, O_PATH = 0o10_000_000;
const F_SEAL_WRITE = 0x8, F_SEAL_FUTURE_WRITE = 0x10;

/** A part of a file that can be reached. */
export interface FilePart {
  /** Where its first byte is in the server's memory. */
  readonly gpa: number;
  /** Gives it back: nothing may use the addresses any more. To be called once. */
  release(): void;
}

/** One window with the number of its users. */
interface Shown {
  readonly start: number;
  readonly identity: string;
  readonly access: MappingAccess;
  users: number;
}

interface Copied extends Shown {
  readonly file: CopiedFile;
}

/**
 * Shared by the servers of one process. What one client may do with a file is no right of another:
 * each shows by the mode of its own descriptor what it may do.
 */
export class FileWindows {
  readonly #memory: ServerMemory;
  readonly #files = new MappedFiles();
  /** By the buffer of the mapping, which all parts of one mapping share. */
  readonly #mapped = new Map<ArrayBufferLike, Shown>();
  /** By access and identity. */
  readonly #copied = byAccess<Copied>();
  /** Files, by access and identity, that are mapped and so cannot shrink: how many mappings they have. */
  readonly #sealed = byAccess<number>();
  #count = 0;
  #open = 0;

  constructor(memory: ServerMemory) {
    this.#memory = memory;
  }

  /** Files that are mapped or open. */
  get count(): number {
    return this.#count;
  }

  /**
   * `length` bytes from `offset` on: the part, or `-errno`. `-EACCES` for what is no plain file or
   * was not opened for that access, `-EINVAL` when the file ends before, otherwise what mmap(2)
   * answers. Takes over `descriptor`, and closes it when it is not needed any longer. `seals` were
   * asked for before `status`: a file that could not become shorter then has that size still.
   */
  acquire(
    descriptor: Descriptor,
    seals: number,
    status: FileStatus,
    offset: number,
    length: number,
    access: MappingAccess,
  ): FilePart | number {
    try {
      if (!isOpenFor(descriptor.fd, seals, access)) return -Errno.EACCES;
      // Seals stay, so a file that is mapped need not be judged again, nor asked for its size.
      const known = this.#sealed[access].has(status.identity);
      const kind = known ? "sealed" : shareable(descriptor.fd, access, status, seals);
      const fixed = known || keepsLength(seals);
      if (kind === "refused") return -Errno.EACCES;
      if (offset + length > status.size) return -Errno.EINVAL;
      return kind === "sealed"
        ? this.#map(descriptor, offset, length, access, fixed ? status : undefined)
        : this.#copy(descriptor, status, offset, length, access);
    } finally {
      descriptor.close();
    }
  }

  #map(
    descriptor: Descriptor,
    offset: number,
    length: number,
    access: MappingAccess,
    status: FileStatus | undefined,
  ): FilePart | number {
    const part = this.#files.acquire(descriptor.fd, offset, length, access, status);
    if (typeof part === "number") return part;
    const { buffer } = part.bytes;
    let shown = this.#mapped.get(buffer);
    if (shown === undefined) {
      const start = this.#count < MAX_FILES
        ? this.#memory.showMapped(part.identity, new Uint8Array(buffer))
        : -1;
      if (start < 0) {
        part.release();
        return -Errno.ENOMEM;
      }
      const { identity } = part;
      shown = { start, users: 0, identity, access };
      this.#mapped.set(buffer, shown);
      const sealed = this.#sealed[access];
      sealed.set(identity, (sealed.get(identity) ?? 0) + 1);
      this.#count++;
    }
    shown.users++;
    return new MappedPart(
      shown.start + part.bytes.byteOffset,
      part,
      () => this.#unmap(buffer),
    );
  }

  /** Before the last part of a mapping goes, so does its window. */
  #unmap(buffer: ArrayBufferLike): void {
    const shown = this.#mapped.get(buffer);
    if (shown === undefined || --shown.users > 0) return;
    this.#mapped.delete(buffer);
    const sealed = this.#sealed[shown.access];
    const left = (sealed.get(shown.identity) ?? 1) - 1;
    if (left === 0) sealed.delete(shown.identity);
    else sealed.set(shown.identity, left);
    this.#memory.hideMapped(shown.start);
    this.#count--;
  }

  #copy(
    descriptor: Descriptor,
    status: FileStatus,
    offset: number,
    length: number,
    access: MappingAccess,
  ): FilePart | number {
    // pwrite(2) of such a file stores at its end, whatever offset it is given.
    if (access === "read-write" && (fcntl(descriptor.fd, F_GETFL, 0) & O_APPEND) !== 0) {
      return -Errno.EACCES;
    }
    const { identity } = status;
    let copied = this.#copied[access].get(identity);
    // A file that has grown gets another window; regions in the former one keep it.
    if (copied === undefined || offset + length > copied.file.length) {
      if (this.#open >= MAX_OPEN_FILES || this.#count >= MAX_FILES) return -Errno.ENOMEM;
      const file = new CopiedFile(new Descriptor(descriptor.take()), status.size);
      const start = this.#memory.showFar(file);
      if (start < 0) {
        file.close();
        return -Errno.ENOMEM;
      }
      copied = { start, users: 0, file, identity, access };
      this.#copied[access].set(identity, copied);
      this.#count++;
      this.#open++;
    }
    copied.users++;
    const used = copied;
    return { gpa: used.start + offset, release: () => this.#closeCopied(used) };
  }

  #closeCopied(copied: Copied): void {
    if (--copied.users > 0) return;
    const { identity, access } = copied;
    if (this.#copied[access].get(identity) === copied) this.#copied[access].delete(identity);
    this.#memory.hideFar(copied.start);
    copied.file.close();
    this.#count--;
    this.#open--;
  }
}

function byAccess<T>(): Readonly<Record<MappingAccess, Map<string, T>>> {
  return { "read": new Map(), "read-write": new Map() };
}

class MappedPart implements FilePart {
  readonly gpa: number;
  readonly #part: MappedFile;
  readonly #hide: () => void;

  constructor(gpa: number, part: MappedFile, hide: () => void) {
    this.gpa = gpa;
    this.#part = part;
    this.#hide = hide;
  }

  release(): void {
    this.#hide();
    this.#part.release();
  }
}

/**
 * Whether whoever opened the file may do this. A mapping that is shared would not ask again, so this
 * does: mmap(2) wants a descriptor that can be read, and for a shared writable mapping also written.
 */
function isOpenFor(fd: number, seals: number, access: MappingAccess): boolean {
  const flags = fcntl(fd, F_GETFL, 0);
  if (flags < 0 || (flags & O_PATH) !== 0) return false;
  const mode = flags & O_ACCMODE;
  if (access === "read") return mode !== O_WRONLY;
  if (mode !== O_RDWR) return false;
  return seals < 0 || (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) === 0;
}
