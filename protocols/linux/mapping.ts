/**
 * Memory that is shared with other processes: files without a name, and views of
 * files (memfd_create(2), mmap(2)).
 *
 * Two things kill a process that touches a view, and no handler can be had here:
 * the region is unmapped, or the file behind it became shorter (SIGBUS). The first
 * cannot happen, since {@linkcode Mapping} detaches its buffer, and with it every
 * view that anyone made, before it unmaps. Against the second only the seal
 * `F_SEAL_SHRINK` helps, so what {@linkcode shareable} does not call `sealed` is
 * reached through {@linkcode readFile} and {@linkcode writeFile}, which copy by
 * calls of the system: they cost some 0.5 us, see and make the same bytes as every
 * mapping of the file, and answer with an error number where a view would be fatal.
 *
 * @module
 */

import { hex } from "../../core/address.ts";
import { Descriptor } from "./descriptor.ts";
import { Errno, LinuxError } from "./errno.ts";
import {
  BTRFS_SUPER_MAGIC,
  EXT4_SUPER_MAGIC,
  F_ADD_SEALS,
  F_GET_SEALS,
  F_SEAL_GROW,
  F_SEAL_SEAL,
  F_SEAL_SHRINK,
  fcntl,
  fileSize,
  type FileStatus,
  fileSystemType,
  fstat,
  ftruncate,
  HUGETLBFS_MAGIC,
  MAP_NORESERVE,
  MAP_PRIVATE,
  MAP_SHARED,
  memfdCreate,
  MFD_ALLOW_SEALING,
  MFD_CLOEXEC,
  mmap,
  munmap,
  OVERLAYFS_SUPER_MAGIC,
  pread,
  PROT_READ,
  PROT_WRITE,
  pwrite,
  S_IFMT,
  S_IFREG,
  TMPFS_MAGIC,
  XFS_SUPER_MAGIC,
} from "./libc.ts";

let live = 0;

/** Mappings owned in this thread now. Tests compare it before and after. */
export function liveMappings(): number {
  return live;
}

/** What a mapping's views may do to the file. */
export type MappingAccess = "read" | "read-write";

/**
 * Owns one mapped region and the one ArrayBuffer over it. Once it is closed,
 * {@linkcode bytes} and every other view of its buffer have length 0: reads give
 * `undefined`, writes vanish, a DataView throws; memory is not touched.
 */
export class Mapping implements Disposable {
  #pointer: Deno.PointerObject | null;
  readonly #buffer: ArrayBuffer;
  /** The whole region. Length 0 once closed. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Bytes mapped, also after close. */
  readonly length: number;
  readonly access: MappingAccess;

  private constructor(pointer: Deno.PointerObject, length: number, access: MappingAccess) {
    this.#pointer = pointer;
    this.#buffer = Deno.UnsafePointerView.getArrayBuffer(pointer, length);
    this.bytes = new Uint8Array(this.#buffer);
    this.length = length;
    this.access = access;
    live++;
  }

  /**
   * Maps `length` bytes of a file from `offset` on, a multiple of the page size; both
   * within the file. Answers `-errno` when the kernel refuses: `-EACCES` or `-EPERM`
   * for a file that may not be accessed so, `-ENOMEM` when there is no room.
   *
   * With access `read`, stray writes of ours end in private copies of the pages: the
   * file never sees them, and the process lives.
   */
  static map(
    fd: number,
    offset: number,
    length: number,
    access: MappingAccess,
  ): Mapping | number {
    if (
      !Number.isSafeInteger(offset) || !Number.isSafeInteger(length) || offset < 0 || length < 1
    ) {
      return -Errno.EINVAL;
    }
    const flags = access === "read" ? MAP_PRIVATE | MAP_NORESERVE : MAP_SHARED;
    const pointer = mmap(length, PROT_READ | PROT_WRITE, flags, fd, offset);
    if (typeof pointer === "number") return pointer;
    try {
      return new Mapping(pointer, length, access);
    } catch (error) {
      munmap(pointer, length);
      if (error instanceof RangeError) return -Errno.ENOMEM;
      throw error;
    }
  }

  /** True once it is unmapped. */
  get closed(): boolean {
    return this.#pointer === null;
  }

  /** The address of the first byte, for calls that gather. @throws {Error} once closed */
  get pointer(): Deno.PointerObject {
    if (this.#pointer === null) throw new Error("Cannot use a mapping: it is closed");
    return this.#pointer;
  }

  /** Detaches every view, then unmaps. Idempotent. */
  close(): void {
    const pointer = this.#pointer;
    if (pointer === null) return;
    this.#pointer = null;
    live--;
    // A transfer to length 0 detaches and moves nothing, in constant time. A buffer
    // that a view's owner has transferred away would be mapped memory out of our
    // sight: that is a bug of ours, and unmapping it a crash, so it stays mapped.
    if (this.#buffer.detached) {
      throw new Error(
        `Cannot unmap ${hex(this.length)} bytes: their buffer was transferred elsewhere`,
      );
    }
    this.#buffer.transfer(0);
    munmap(pointer, this.length);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/**
 * How a file may be used as memory that others share:
 *
 * - `sealed`: it can never become shorter; map it.
 * - `copied`: it may; use {@linkcode readFile} and {@linkcode writeFile} alone.
 * - `refused`: no plain file on a file system that answers by itself. A device, a
 *   pipe, or a file whose server may let a reader wait for ever.
 */
export type Shareable = "sealed" | "copied" | "refused";

/** Whether these seals, as {@linkcode sealsOf} answers them, keep a file from becoming shorter. */
export function keepsLength(seals: number): boolean {
  return seals >= 0 && (seals & F_SEAL_SHRINK) !== 0;
}

/** The seals of a file, or `-errno` of one that can have none. */
export function sealsOf(fd: number): number {
  return fcntl(fd, F_GET_SEALS, 0);
}

/**
 * Judges a peer's descriptor. A memfd that allows it and is not sealed yet is
 * sealed against shrinking, which no user of guest memory misses. Its `status` and its
 * `seals`, for who has asked already, save calls of the system.
 */
export function shareable(
  fd: number,
  access: MappingAccess,
  status: FileStatus = fstat(fd),
  seals: number = sealsOf(fd),
): Shareable {
  if ((status.mode & S_IFMT) !== S_IFREG) return "refused";
  // Only files in memory have seals, and only reading of huge pages needs a second look.
  if (keepsLength(seals) && access === "read-write") return "sealed";
  switch (fileSystemType(fd)) {
    case TMPFS_MAGIC:
      return sealAgainstShrinking(fd) ? "sealed" : "copied";
    case HUGETLBFS_MAGIC:
      // A private mapping of huge pages takes its own page for a hole and never sees
      // what the peer puts there, so that reading alone must not map.
      return sealAgainstShrinking(fd) && access === "read-write" ? "sealed" : "copied";
    case EXT4_SUPER_MAGIC:
    case XFS_SUPER_MAGIC:
    case BTRFS_SUPER_MAGIC:
    case OVERLAYFS_SUPER_MAGIC:
      return "copied";
    default:
      return "refused";
  }
}

/** Adds `F_SEAL_SHRINK` where that is possible. True when the file can not become shorter from now on. */
function sealAgainstShrinking(fd: number): boolean {
  const seals = fcntl(fd, F_GET_SEALS, 0);
  if (seals < 0) return false;
  return (seals & F_SEAL_SHRINK) !== 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) === 0;
}

/** Bytes moved by one call of the system: results are 32 bits wide. */
const MAX_COPY = 0x4000_0000;

/**
 * Fills `into` from `offset` of a file of any kind without touching a mapping: 0, or
 * `-errno` with part of `into` filled; `-EFAULT` when the file ends before.
 */
export function readFile(fd: number, offset: number, into: Uint8Array): number {
  for (let done = 0; done < into.length;) {
    const whole = done === 0 && into.length <= MAX_COPY;
    const result = pread(fd, whole ? into : into.subarray(done, done + MAX_COPY), offset + done);
    if (result > 0) done += result;
    else if (result === 0) return -Errno.EFAULT;
    else if (result !== -Errno.EINTR) return result;
  }
  return 0;
}

/**
 * Stores `from` at `offset` of a file of any kind: 0, or `-errno` with part of it
 * stored; `-EFAULT` when the file ends before: it never grows by our doing, short of a
 * peer that shrinks it at this very moment.
 */
export function writeFile(fd: number, offset: number, from: Uint8Array): number {
  const size = fileSize(fd);
  if (size < 0) return size;
  if (offset + from.length > size) return -Errno.EFAULT;
  for (let done = 0; done < from.length;) {
    const whole = done === 0 && from.length <= MAX_COPY;
    const result = pwrite(fd, whole ? from : from.subarray(done, done + MAX_COPY), offset + done);
    if (result > 0) done += result;
    else if (result === 0) return -Errno.EIO;
    else if (result !== -Errno.EINTR) return result;
  }
  return 0;
}

/**
 * Memory to share: a memfd of `length` zero bytes, sealed against shrinking and
 * growing. `name` is for `/proc` alone. @throws {LinuxError}
 */
export function createSharedMemory(name: string, length: number): Descriptor {
  const descriptor = new Descriptor(memfdCreate(name, MFD_CLOEXEC | MFD_ALLOW_SEALING));
  try {
    ftruncate(descriptor.fd, length);
    const seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
    const result = fcntl(descriptor.fd, F_ADD_SEALS, seals);
    if (result < 0) throw new LinuxError("fcntl", result, "F_ADD_SEALS");
    return descriptor;
  } catch (error) {
    descriptor.close();
    throw error;
  }
}
