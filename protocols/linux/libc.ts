/**
 * The few calls of the C library that the house needs, each wrapped once.
 *
 * Two conventions. A call that may fail on a hot path for reasons one expects
 * returns its result or the negative error number, and never throws. A call that
 * sets something up returns its result or throws a {@linkcode LinuxError}.
 *
 * Importing this module opens the C library, which takes `--allow-ffi` and
 * Linux: import it only where sockets or mappings are wanted. Each Worker has an
 * instance of its own, which matters: `errno` belongs to a thread.
 *
 * @module
 */

import { Errno, LinuxError } from "./errno.ts";

// A register that is wider than its parameter has undefined upper bits (System V
// ABI, AMD64, 3.2.3), so whatever C declares as `size_t` or `long` is `usize` here
// and takes a number. A result of `ssize_t` is `i32`: lengths stay below 2^31, and
// no BigInt is made for each call.
const SYMBOLS = {
  __errno_location: { parameters: [], result: "pointer" },
  accept4: { parameters: ["i32", "pointer", "pointer", "i32"], result: "i32" },
  bind: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  clock_gettime: { parameters: ["i32", "pointer"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  connect: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  eventfd: { parameters: ["u32", "i32"], result: "i32" },
  fchmod: { parameters: ["i32", "u32"], result: "i32" },
  fcntl: { parameters: ["i32", "i32", "usize"], result: "i32" },
  flock: { parameters: ["i32", "i32"], result: "i32" },
  fstat: { parameters: ["i32", "pointer"], result: "i32" },
  fstatfs: { parameters: ["i32", "pointer"], result: "i32" },
  ftruncate: { parameters: ["i32", "i64"], result: "i32" },
  getsockopt: { parameters: ["i32", "i32", "i32", "pointer", "pointer"], result: "i32" },
  listen: { parameters: ["i32", "i32"], result: "i32" },
  memfd_create: { parameters: ["buffer", "u32"], result: "i32" },
  mmap: { parameters: ["pointer", "usize", "i32", "i32", "i32", "i64"], result: "pointer" },
  munmap: { parameters: ["pointer", "usize"], result: "i32" },
  open: { parameters: ["buffer", "i32", "usize"], result: "i32" },
  ppoll: { parameters: ["pointer", "usize", "pointer", "pointer"], result: "i32" },
  ppoll_later: {
    name: "ppoll",
    parameters: ["pointer", "usize", "pointer", "pointer"],
    result: "i32",
    nonblocking: true,
  },
  pread: { parameters: ["i32", "buffer", "usize", "i64"], result: "i32" },
  preadv2: { parameters: ["i32", "pointer", "i32", "i64", "i32"], result: "i32" },
  pwrite: { parameters: ["i32", "buffer", "usize", "i64"], result: "i32" },
  read: { parameters: ["i32", "pointer", "usize"], result: "i32" },
  recvmsg: { parameters: ["i32", "pointer", "i32"], result: "i32" },
  sched_getaffinity: { parameters: ["i32", "usize", "pointer"], result: "i32" },
  sendmsg: { parameters: ["i32", "pointer", "i32"], result: "i32" },
  setsockopt: { parameters: ["i32", "i32", "i32", "pointer", "u32"], result: "i32" },
  shutdown: { parameters: ["i32", "i32"], result: "i32" },
  socket: { parameters: ["i32", "i32", "i32"], result: "i32" },
  socketpair: { parameters: ["i32", "i32", "i32", "pointer"], result: "i32" },
  write: { parameters: ["i32", "pointer", "usize"], result: "i32" },
} as const;

// 64-bit parameters take safe integers as well as BigInts; the runtime's types name BigInts alone.
type Numbers<Parameters> = {
  [P in keyof Parameters]: Parameters[P] extends bigint ? number : Parameters[P];
};
type Calls<Symbols> = {
  [Name in keyof Symbols]: Symbols[Name] extends (...parameters: infer P) => infer Result
    ? (...parameters: Numbers<P>) => Result
    : never;
};

const library = Deno.dlopen("libc.so.6", SYMBOLS);
const c = library.symbols as unknown as Calls<typeof library.symbols>;

/** `errno` of this thread: read at once after a call, before anything else can call the system. */
const errno = new Int32Array(
  Deno.UnsafePointerView.getArrayBuffer(c.__errno_location() as Deno.PointerObject, 4),
);

/** Constants of the calls below, as `<sys/…>` spells them. Equal on x86-64 and arm64. */
export const AF_UNIX = 1;
export const SOCK_STREAM = 1;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;
export const SOL_SOCKET = 1;
export const SO_SNDBUF = 7;
const SO_PEERCRED = 17;
export const SCM_RIGHTS = 1;
export const SHUT_WR = 1;
export const MSG_CTRUNC = 0x8;
export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;
export const MSG_CMSG_CLOEXEC = 0x4000_0000;
export const O_RDONLY = 0;
export const O_RDWR = 2;
export const O_NONBLOCK = 0o4000;
export const O_CLOEXEC = 0o2000000;
export const FD_CLOEXEC = 1;
export const F_GETFD = 1;
export const F_GETFL = 3;
export const F_SETFL = 4;
export const F_DUPFD_CLOEXEC = 1030;
export const F_ADD_SEALS = 1033;
export const F_GET_SEALS = 1034;
export const F_SEAL_SEAL = 0x1;
export const F_SEAL_SHRINK = 0x2;
export const F_SEAL_GROW = 0x4;
export const F_SEAL_WRITE = 0x8;
export const MFD_CLOEXEC = 0x1;
export const MFD_ALLOW_SEALING = 0x2;
export const EFD_NONBLOCK = 0o4000;
export const EFD_CLOEXEC = 0o2000000;
export const PROT_READ = 1;
export const PROT_WRITE = 2;
export const MAP_SHARED = 1;
export const MAP_PRIVATE = 2;
export const MAP_NORESERVE = 0x4000;
export const LOCK_EX = 2;
export const POLLIN = 0x1;
export const POLLOUT = 0x4;
export const POLLERR = 0x8;
export const POLLHUP = 0x10;
export const POLLNVAL = 0x20;
const RWF_NOWAIT = 0x8;
export const CLOCK_MONOTONIC = 1;
export const S_IFMT = 0o170000;
export const S_IFREG = 0o100000;

/** A pointer that the C library may keep for the length of a call; null for `NULL`. */
export type Pointer = Deno.PointerValue;

/**
 * Zeroed bytes that never move: an array of its own, since the elements of small
 * typed arrays may lie in the heap that the collector compacts.
 */
export function stable(bytes: number): ArrayBuffer {
  return new ArrayBuffer(bytes);
}

/** The pointer to a buffer's first byte. The caller keeps the buffer alive. */
export function pointerOf(buffer: ArrayBufferLike | ArrayBufferView): Deno.PointerObject {
  const view = ArrayBuffer.isView(buffer) ? buffer : new Uint8Array(buffer);
  const pointer = Deno.UnsafePointer.of(view as Uint8Array<ArrayBuffer>);
  if (pointer === null) throw new TypeError("Cannot take the address of an empty buffer");
  return pointer;
}

/** A pointer as a number. Addresses of user space are below 2^56, and ours below 2^47. */
export function addressOf(pointer: Deno.PointerObject): number {
  return Number(Deno.UnsafePointer.value(pointer));
}

/** A NUL-terminated string. @throws {TypeError} when it holds a NUL */
export function cString(text: string): Uint8Array<ArrayBuffer> {
  if (text.includes("\0")) throw new TypeError("Cannot pass a string to C: it holds a NUL");
  return new TextEncoder().encode(text + "\0");
}

function checked(call: string, result: number, detail?: string): number {
  if (result < 0) throw new LinuxError(call, errno[0] as number, detail);
  return result;
}

// Hot calls: a result of at least 0, or the negative error number.

/** recvmsg(2): bytes received, 0 at the end of the stream, or `-errno`. */
export function recvmsg(fd: number, header: Pointer, flags: number): number {
  const result = c.recvmsg(fd, header, flags);
  return result < 0 ? -(errno[0] as number) : result;
}

/** sendmsg(2): bytes taken, or `-errno`. */
export function sendmsg(fd: number, header: Pointer, flags: number): number {
  const result = c.sendmsg(fd, header, flags);
  return result < 0 ? -(errno[0] as number) : result;
}

/** read(2): bytes read, or `-errno`. */
export function read(fd: number, into: Pointer, length: number): number {
  const result = c.read(fd, into, length);
  return result < 0 ? -(errno[0] as number) : result;
}

/** write(2): bytes written, or `-errno`. */
export function write(fd: number, from: Pointer, length: number): number {
  const result = c.write(fd, from, length);
  return result < 0 ? -(errno[0] as number) : result;
}

/** pread(2) of at most `into.length` bytes, below 2^31: bytes read, 0 at the end of the file, or `-errno`. */
export function pread(fd: number, into: Uint8Array, offset: number): number {
  const result = c.pread(fd, into as Uint8Array<ArrayBuffer>, into.length, offset);
  return result < 0 ? -(errno[0] as number) : result;
}

/**
 * preadv2(2) at the file's own position with `RWF_NOWAIT`: what can be read without
 * waiting, whatever mode the file is in, or `-errno`; `-EAGAIN` when nothing can.
 */
export function readNoWait(fd: number, iovecs: Pointer, count: number): number {
  const result = c.preadv2(fd, iovecs, count, -1, RWF_NOWAIT);
  return result < 0 ? -(errno[0] as number) : result;
}

/** pwrite(2) of `from`, below 2^31 bytes: bytes written, or `-errno`. */
export function pwrite(fd: number, from: Uint8Array, offset: number): number {
  const result = c.pwrite(fd, from as Uint8Array<ArrayBuffer>, from.length, offset);
  return result < 0 ? -(errno[0] as number) : result;
}

/** ppoll(2) with the signal mask left alone: descriptors ready, 0 at the time limit, or `-errno`. */
export function ppoll(fds: Pointer, count: number, timeout: Pointer): number {
  const result = c.ppoll(fds, count, timeout, null);
  return result < 0 ? -(errno[0] as number) : result;
}

/**
 * As {@linkcode ppoll} on a thread of the runtime's pool, so that this thread goes
 * on. Failures come back as -1: `errno` stays on that thread.
 */
export function ppollLater(fds: Pointer, count: number, timeout: Pointer): Promise<number> {
  return c.ppoll_later(fds, count, timeout, null);
}

/** accept4(2) without the peer's address: the descriptor, or `-errno`. */
export function accept4(fd: number, flags: number): number {
  const result = c.accept4(fd, null, null, flags);
  return result < 0 ? -(errno[0] as number) : result;
}

/** clock_gettime(2) of `CLOCK_MONOTONIC` into a `struct timespec`. Cannot fail. */
export function monotonic(timespec: Pointer): void {
  c.clock_gettime(CLOCK_MONOTONIC, timespec);
}

// Calls with both kinds of caller: a peer's descriptor may well be of the wrong sort.

/** fcntl(2) with a number for its argument: the result, or `-errno`. */
export function fcntl(fd: number, command: number, argument: number): number {
  const result = c.fcntl(fd, command, argument);
  return result < 0 ? -(errno[0] as number) : result;
}

/** mmap(2) at a place of the kernel's choice: the pointer, or `-errno`. */
export function mmap(
  length: number,
  protection: number,
  flags: number,
  fd: number,
  offset: number,
): Deno.PointerObject | number {
  const result = c.mmap(null, length, protection, flags, fd, offset);
  if (result === null) return -Errno.ENOMEM;
  return Deno.UnsafePointer.value(result) === 0xffff_ffff_ffff_ffffn
    ? -(errno[0] as number)
    : result;
}

/** connect(2): 0, or `-errno`. */
export function connect(fd: number, address: Uint8Array<ArrayBuffer>): number {
  const result = c.connect(fd, address, address.length);
  return result < 0 ? -(errno[0] as number) : result;
}

/** setsockopt(2) of an `int` at level `SOL_SOCKET`: 0, or `-errno`. */
export function setsockopt(fd: number, option: number, value: number): number {
  option4[0] = value;
  const result = c.setsockopt(fd, SOL_SOCKET, option, option4Pointer, 4);
  return result < 0 ? -(errno[0] as number) : result;
}
const option4 = new Int32Array(stable(16));
const option4Pointer = pointerOf(option4);

// Set-up calls: the result, or an exception.

/** close(2). The descriptor is gone whatever the outcome. @throws {LinuxError} `EBADF`: a bug of ours */
export function close(fd: number): void {
  if (c.close(fd) < 0 && errno[0] === Errno.EBADF) {
    throw new LinuxError("close", Errno.EBADF, `descriptor ${fd}`);
  }
}

/** socket(2). @throws {LinuxError} */
export function socket(domain: number, type: number, protocol: number): number {
  return checked("socket", c.socket(domain, type, protocol));
}

/** socketpair(2). @throws {LinuxError} */
export function socketpair(domain: number, type: number, protocol: number): [number, number] {
  checked("socketpair", c.socketpair(domain, type, protocol, option4Pointer));
  return [option4[0] as number, option4[1] as number];
}

/** bind(2). `detail` is the address for people. @throws {LinuxError} */
export function bind(fd: number, address: Uint8Array<ArrayBuffer>, detail: string): void {
  checked("bind", c.bind(fd, address, address.length), detail);
}

/** listen(2). @throws {LinuxError} */
export function listen(fd: number, backlog: number): void {
  checked("listen", c.listen(fd, backlog));
}

/** shutdown(2): 0, or `-errno`; `ENOTCONN` when the peer was first. */
export function shutdown(fd: number, how: number): number {
  const result = c.shutdown(fd, how);
  return result < 0 ? -(errno[0] as number) : result;
}

/** open(2). @throws {LinuxError} */
export function open(path: string, flags: number, mode = 0): number {
  return checked("open", c.open(cString(path), flags, mode), path);
}

/** memfd_create(2). @throws {LinuxError} */
export function memfdCreate(name: string, flags: number): number {
  return checked("memfd_create", c.memfd_create(cString(name), flags), name);
}

/** ftruncate(2). @throws {LinuxError} */
export function ftruncate(fd: number, length: number): void {
  checked("ftruncate", c.ftruncate(fd, length), `to ${length} bytes`);
}

/** fchmod(2). On a socket it sets the mode of the file that bind(2) makes. @throws {LinuxError} */
export function fchmod(fd: number, mode: number): void {
  checked("fchmod", c.fchmod(fd, mode));
}

/** flock(2). @throws {LinuxError} */
export function flock(fd: number, operation: number): void {
  checked("flock", c.flock(fd, operation));
}

/** eventfd(2). @throws {LinuxError} */
export function eventfd(initial: number, flags: number): number {
  return checked("eventfd", c.eventfd(initial, flags));
}

/** munmap(2). @throws {LinuxError} */
export function munmap(pointer: Deno.PointerObject, length: number): void {
  checked("munmap", c.munmap(pointer, length));
}

/** What fstat(2) tells of a file. */
export interface FileStatus {
  /** Device and inode as text: two descriptors with equal identity are of one file, while one is open. */
  readonly identity: string;
  /** Type and permission bits. */
  readonly mode: number;
  /** Bytes; a file of 2^53 bytes or more is rounded. */
  readonly size: number;
}

// struct stat: x86-64 puts st_nlink, 8 bytes, before st_mode; arm64 has a 4-byte
// st_nlink after it (arch/x86/include/uapi/asm/stat.h, asm-generic/stat.h).
const ST_DEV = 0, ST_INO = 8, ST_SIZE = 48;
const ST_MODE = Deno.build.arch === "x86_64" ? 24 : 16;
const statBytes = new DataView(stable(256));
const statPointer = pointerOf(statBytes);

function word(at: number): number {
  return statBytes.getUint32(at, true);
}

/** fstat(2). @throws {LinuxError} `EBADF`: a bug of ours */
export function fstat(fd: number): FileStatus {
  checked("fstat", c.fstat(fd, statPointer), `descriptor ${fd}`);
  return {
    // By halves: a BigInt takes longer to become text than the call of the system takes.
    identity: `${word(ST_DEV + 4)}.${word(ST_DEV)}:${word(ST_INO + 4)}.${word(ST_INO)}`,
    mode: statBytes.getUint32(ST_MODE, true),
    size: statBytes.getInt32(ST_SIZE + 4, true) * 2 ** 32 + statBytes.getUint32(ST_SIZE, true),
  };
}

/** The size of a file in bytes, or `-errno`. Makes no object. */
export function fileSize(fd: number): number {
  if (c.fstat(fd, statPointer) < 0) return -(errno[0] as number);
  return statBytes.getInt32(ST_SIZE + 4, true) * 2 ** 32 + statBytes.getUint32(ST_SIZE, true);
}

/** Magic numbers of file systems (`linux/magic.h`). */
export const TMPFS_MAGIC = 0x0102_1994;
export const HUGETLBFS_MAGIC = 0x9584_58f6;
export const EXT4_SUPER_MAGIC = 0xef53;
export const XFS_SUPER_MAGIC = 0x5846_5342;
export const BTRFS_SUPER_MAGIC = 0x9123_683e;
export const OVERLAYFS_SUPER_MAGIC = 0x794c_7630;

/** The magic number of the file system that a descriptor is on. @throws {LinuxError} */
export function fileSystemType(fd: number): number {
  checked("fstatfs", c.fstatfs(fd, statPointer), `descriptor ${fd}`);
  return statBytes.getUint32(0, true);
}

/** Who is at the other end of a socket, as it was when the socket was connected. */
export interface PeerCredentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

const credentials = new Uint32Array(stable(16));
const credentialsPointer = pointerOf(credentials);
const credentialsLength = Deno.UnsafePointer.offset(credentialsPointer, 12);

/** getsockopt(2) with `SO_PEERCRED`. @throws {LinuxError} */
export function peerCredentials(fd: number): PeerCredentials {
  credentials[3] = 12;
  checked(
    "getsockopt",
    c.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentialsPointer, credentialsLength),
    "SO_PEERCRED",
  );
  return {
    pid: credentials[0] as number,
    uid: credentials[1] as number,
    gid: credentials[2] as number,
  };
}

const affinity = new Uint32Array(stable(1024));
const affinityPointer = pointerOf(affinity);

/** How many CPUs this thread may run on; 1 when the kernel does not tell. */
export function usableCpus(): number {
  const length = c.sched_getaffinity(0, affinity.byteLength, affinityPointer);
  if (length < 0) return 1;
  let count = 0;
  for (let word of affinity) for (; word !== 0; word &= word - 1) count++;
  return Math.max(1, count);
}
