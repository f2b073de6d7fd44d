/**
 * A connected UNIX stream socket that carries descriptors (unix(7), SCM_RIGHTS).
 * It knows bytes and positions, and not what a message is: the layer above looks
 * at what has arrived, and says how much of it it has used.
 *
 * Nothing here waits, unless {@linkcode UnixStream.wait} is asked to. Everything a
 * call of the system needs lies at fixed addresses, so that a message of usual size
 * is received and answered without allocating.
 *
 * @module
 */

import { closeAll, Descriptor } from "./descriptor.ts";
import { Errno, LinuxError } from "./errno.ts";
import {
  addressOf,
  AF_UNIX,
  MSG_CMSG_CLOEXEC,
  MSG_CTRUNC,
  MSG_DONTWAIT,
  MSG_NOSIGNAL,
  type PeerCredentials,
  peerCredentials,
  type Pointer,
  pointerOf,
  ppoll,
  recvmsg,
  SCM_RIGHTS,
  sendmsg,
  setsockopt,
  SHUT_WR,
  shutdown,
  SO_SNDBUF,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_STREAM,
  socketpair,
  SOL_SOCKET,
  stable,
} from "./libc.ts";

/** The most descriptors that one message can carry: the kernel's SCM_MAX_FD. */
export const MAX_DESCRIPTORS = 253;

/** Bounds of what one connection may hold in this process. */
export interface UnixStreamOptions {
  /**
   * Bytes of the longest message, the most that is received ahead; 1 MiB + 4 KiB unless told. So much
   * memory is taken when a message is that long, and kept until {@linkcode UnixStream.shrink}.
   */
  readonly receiveLimit?: number;
  /** Bytes that may wait for a peer that does not read; 4 MiB unless told. */
  readonly sendLimit?: number;
  /** Descriptors received and not yet taken; {@linkcode MAX_DESCRIPTORS} unless told. */
  readonly descriptorLimit?: number;
}

/** Bytes of {@linkcode UnixStream.head}. */
export const HEAD_BYTES = 8192;
/** Bodies up to this length are cheaper to copy behind the head than to take the address of. */
const COPIED_BODY = 2048;
/** Messages that may wait for a peer, however small they are. */
const MAX_PENDING = 4096;
/** Bytes of a receive buffer at first, and again after {@linkcode UnixStream.shrink}. */
export const FIRST_BUFFER = 0x1_0000;

// struct msghdr, struct iovec and struct cmsghdr of 64-bit Linux, in 32-bit words.
const NAME_WORDS = 4, IOV = NAME_WORDS, IOV_COUNT = 6, CONTROL = 8, CONTROL_LENGTH = 10;
const FLAGS = 12;
const MSGHDR_WORDS = 16;
const CMSG_LENGTH = 0, CMSG_LEVEL = 2, CMSG_TYPE = 3, CMSG_DATA = 4;
/** Words of a control block for `count` descriptors: CMSG_SPACE. */
function controlWords(count: number): number {
  return CMSG_DATA + count + (count & 1);
}

/** Descriptors that came with one receive. They belong to the message that holds its last byte. */
interface Arrival {
  /** Position in the stream just past the receive's last byte. */
  readonly end: number;
  readonly descriptors: Descriptor[];
  /** Some were lost: too many, or this process has no room for more. */
  readonly incomplete: boolean;
}

/** What waits until the peer reads. */
interface Pending {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly pointer: Deno.PointerObject;
  sent: number;
  /** Duplicates, which go with the first byte. */
  readonly descriptors: Descriptor[];
}

const NO_DESCRIPTORS: readonly Descriptor[] = [];
const NO_NUMBERS: readonly number[] = [];

function putPointer(words: Uint32Array, at: number, address: number): void {
  words[at] = address % 2 ** 32;
  words[at + 1] = Math.floor(address / 2 ** 32);
}

/** One end of a connection. Owns its socket, and the descriptors that arrived and were not taken. */
export class UnixStream implements Disposable {
  readonly #descriptor: Descriptor;
  readonly #receiveLimit: number;
  readonly #sendLimit: number;
  readonly #descriptorLimit: number;

  /** Both message headers, their vectors and control blocks, at fixed addresses. */
  readonly #words: Uint32Array<ArrayBuffer>;
  readonly #receiveHeader: Deno.PointerObject;
  readonly #sendHeader: Deno.PointerObject;
  readonly #receiveControl: number;
  readonly #sendControl: number;
  readonly #receiveControlBytes: number;
  readonly #receiveVector: number;
  readonly #sendVector: number;

  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView<ArrayBuffer>;
  #address: number;
  #start = 0;
  #end = 0;
  /** How far into the buffer has been received since {@linkcode shrink} has last looked. */
  #reach = 0;
  /** Where the next receive goes, as the vector says now. */
  #aimed = -1;
  /** Position in the stream of `#start`: safe for 2^53 bytes. */
  #consumed = 0;
  #arrivals: Arrival[] = [];
  #held = 0;

  /** A message's head is written here, then {@linkcode send} sends it. {@linkcode HEAD_BYTES} long. */
  readonly head: DataView<ArrayBuffer>;
  /** The same bytes as {@linkcode head}. */
  readonly headBytes: Uint8Array<ArrayBuffer>;
  readonly #headAddress: number;
  #pending: Pending[] = [];
  #pendingBytes = 0;
  readonly #pollfd = new Int32Array(stable(32));
  #pollfdPointer: Deno.PointerObject | null = null;

  /** Takes over a connected stream socket. */
  constructor(descriptor: Descriptor, options: UnixStreamOptions = {}) {
    this.#descriptor = descriptor;
    this.#receiveLimit = options.receiveLimit ?? 0x10_1000;
    this.#sendLimit = options.sendLimit ?? 0x40_0000;
    this.#descriptorLimit = Math.min(options.descriptorLimit ?? MAX_DESCRIPTORS, MAX_DESCRIPTORS);

    const control = controlWords(MAX_DESCRIPTORS);
    this.#receiveVector = 2 * MSGHDR_WORDS;
    this.#sendVector = this.#receiveVector + 4;
    this.#receiveControl = this.#sendVector + 8;
    this.#sendControl = this.#receiveControl + control;
    const words = new Uint32Array(stable((this.#sendControl + control) * 4));
    this.#words = words;
    const pointer = pointerOf(words);
    const base = addressOf(pointer);
    this.#receiveHeader = pointer;
    this.#sendHeader = Deno.UnsafePointer.offset(pointer, MSGHDR_WORDS * 4) as Deno.PointerObject;
    putPointer(words, IOV, base + this.#receiveVector * 4);
    words[IOV_COUNT] = 1;
    putPointer(words, CONTROL, base + this.#receiveControl * 4);
    this.#receiveControlBytes = controlWords(this.#descriptorLimit) * 4;
    putPointer(words, MSGHDR_WORDS + IOV, base + this.#sendVector * 4);
    putPointer(words, MSGHDR_WORDS + CONTROL, base + this.#sendControl * 4);
    words[this.#sendControl + CMSG_LEVEL] = SOL_SOCKET;
    words[this.#sendControl + CMSG_TYPE] = SCM_RIGHTS;

    this.#bytes = new Uint8Array(stable(Math.min(FIRST_BUFFER, this.#receiveLimit)));
    this.#view = new DataView(this.#bytes.buffer);
    this.#address = addressOf(pointerOf(this.#bytes));

    const head = stable(HEAD_BYTES + COPIED_BODY);
    this.head = new DataView(head, 0, HEAD_BYTES);
    this.headBytes = new Uint8Array(head);
    this.#headAddress = addressOf(pointerOf(head));
    putPointer(words, this.#sendVector, this.#headAddress);
    // More in flight is fewer wake-ups for large bodies. The kernel caps it; any size works.
    setsockopt(descriptor.fd, SO_SNDBUF, 0x40_0000);
  }

  /** Two ends of one connection, in this process. @throws {LinuxError} `EMFILE` */
  static pair(options: UnixStreamOptions = {}): [UnixStream, UnixStream] {
    const [a, b] = socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const [first, second] = [new Descriptor(a), new Descriptor(b)];
    return [new UnixStream(first, options), new UnixStream(second, options)];
  }

  /** The socket, to poll. @throws {Error} once closed */
  get fd(): number {
    return this.#descriptor.fd;
  }

  /** True once {@linkcode close} was called. */
  get closed(): boolean {
    return this.#descriptor.closed;
  }

  /** Who connected, or listened. @throws {LinuxError} */
  get peer(): PeerCredentials {
    return peerCredentials(this.fd);
  }

  // What has arrived.

  /** The receive buffer. What has arrived and is not consumed: `length` bytes from `start` on. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes;
  }

  /** The same bytes as {@linkcode bytes}. Both change when a receive needs a larger buffer. */
  get view(): DataView<ArrayBuffer> {
    return this.#view;
  }

  /** Where in {@linkcode bytes} the first byte that is not consumed stands. */
  get start(): number {
    return this.#start;
  }

  /** How many bytes have arrived and are not consumed. */
  get length(): number {
    return this.#end - this.#start;
  }

  /**
   * Receives what is there, with its descriptors, in one call of the system: the number
   * of bytes; 0 at the end of the stream; or `-errno`: `-EAGAIN` when nothing is there,
   * `-ENOBUFS` when the buffer is full up to its limit, `-ECONNRESET` and the like when
   * the peer is gone.
   */
  receive(): number {
    const words = this.#words;
    if (this.#end === this.#bytes.length && !this.#makeRoom(1)) return -Errno.ENOBUFS;
    if (this.#aimed !== this.#end) {
      this.#aimed = this.#end;
      putPointer(words, this.#receiveVector, this.#address + this.#end);
      words[this.#receiveVector + 2] = this.#bytes.length - this.#end;
    }
    for (;;) {
      words[CONTROL_LENGTH] = this.#receiveControlBytes;
      const result = recvmsg(this.fd, this.#receiveHeader, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
      if (result > 0) {
        this.#end += result;
        if (this.#end > this.#reach) this.#reach = this.#end;
        if (words[CONTROL_LENGTH] !== 0 || ((words[FLAGS] as number) & MSG_CTRUNC) !== 0) {
          this.#keepDescriptors();
        }
      } else if (result === -Errno.EINTR) continue;
      return result;
    }
  }

  /** Makes sure that a message of `length` bytes fits behind `start`. False when it is beyond the limit. */
  reserve(length: number): boolean {
    return this.#start + length <= this.#bytes.length || this.#makeRoom(length - this.length);
  }

  /**
   * The descriptors of the message that is the first `length` bytes of what has arrived,
   * in order; null when some were lost on the way, all of which are closed. They are the
   * caller's from now on.
   */
  takeDescriptors(length: number): readonly Descriptor[] | null {
    if (this.#arrivals.length === 0) return NO_DESCRIPTORS;
    const end = this.#consumed + length;
    let taken: readonly Descriptor[] = NO_DESCRIPTORS;
    let incomplete = false;
    while (this.#arrivals.length > 0 && (this.#arrivals[0] as Arrival).end <= end) {
      const arrival = this.#arrivals.shift() as Arrival;
      this.#held -= arrival.descriptors.length;
      incomplete ||= arrival.incomplete;
      taken = taken.length === 0 ? arrival.descriptors : [...taken, ...arrival.descriptors];
    }
    if (!incomplete) return taken;
    closeAll(taken);
    return null;
  }

  /** Forgets the first `length` bytes, and closes those of their descriptors that nobody took. */
  consume(length: number): void {
    if (!(length >= 0 && length <= this.length)) {
      throw new RangeError(`Cannot consume ${length} bytes: ${this.length} have arrived`);
    }
    if (this.#arrivals.length > 0) closeAll(this.takeDescriptors(length) ?? NO_DESCRIPTORS);
    this.#consumed += length;
    this.#start += length;
    if (this.#start === this.#end) this.#start = this.#end = 0;
  }

  /** Bytes of the receive buffer: {@linkcode FIRST_BUFFER}, or more once a long message has come. */
  get capacity(): number {
    return this.#bytes.length;
  }

  /**
   * Gives an enlarged receive buffer back when nothing since the last call has needed it. False when
   * it is still larger than at first: call again once some time has passed. {@linkcode bytes} and
   * {@linkcode view} change.
   */
  shrink(): boolean {
    if (this.#bytes.length <= FIRST_BUFFER) return true;
    const needed = Math.max(this.#reach, this.#end);
    this.#reach = 0;
    if (needed > FIRST_BUFFER) return false;
    this.#moveTo(FIRST_BUFFER);
    return true;
  }

  /** Moves or enlarges the buffer until `more` bytes fit behind the end. */
  #makeRoom(more: number): boolean {
    const needed = this.length + more;
    if (needed > this.#receiveLimit) return false;
    const size = this.#bytes.length;
    // What is made room for is needed, even if it has not come yet.
    this.#reach = Math.max(this.#reach, needed);
    this.#moveTo(
      needed > size ? Math.min(this.#receiveLimit, Math.max(needed, 2 * size)) : size,
    );
    return true;
  }

  /** Brings what has arrived to the start of a buffer of `size` bytes. */
  #moveTo(size: number): void {
    const old = this.#bytes;
    const { length } = this;
    if (size === old.length) {
      old.copyWithin(0, this.#start, this.#end);
    } else {
      this.#bytes = new Uint8Array(stable(size));
      this.#view = new DataView(this.#bytes.buffer);
      this.#address = addressOf(pointerOf(this.#bytes));
      this.#bytes.set(old.subarray(this.#start, this.#end));
    }
    this.#start = 0;
    this.#end = length;
    this.#aimed = -1;
  }

  #keepDescriptors(): void {
    const words = this.#words;
    const descriptors: Descriptor[] = [];
    let incomplete = ((words[FLAGS] as number) & MSG_CTRUNC) !== 0;
    const end = this.#receiveControl + ((words[CONTROL_LENGTH] as number) >>> 2);
    for (let at = this.#receiveControl; at + CMSG_DATA <= end;) {
      const length = (words[at + CMSG_LENGTH] as number) >>> 2;
      if (length < CMSG_DATA) break;
      if (words[at + CMSG_LEVEL] === SOL_SOCKET && words[at + CMSG_TYPE] === SCM_RIGHTS) {
        for (let word = at + CMSG_DATA; word < at + length && word < end; word++) {
          descriptors.push(new Descriptor(words[word] as number));
        }
      }
      at += length + (length & 1);
    }
    if (this.#held + descriptors.length > this.#descriptorLimit) incomplete = true;
    if (incomplete) {
      closeAll(descriptors);
      descriptors.length = 0;
    }
    const position = this.#consumed + this.length;
    const last = this.#arrivals[this.#arrivals.length - 1];
    // A peer that loses descriptors with every byte must not make this list long.
    if (incomplete && last?.incomplete === true) this.#arrivals.pop();
    this.#arrivals.push({ end: position, descriptors, incomplete });
    this.#held += descriptors.length;
  }

  // What leaves.

  /** Bytes that wait for the peer to read. Stop taking requests while it is not 0, and poll for POLLOUT. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /**
   * Sends the first `length` bytes of {@linkcode head}, then `body`, and `descriptors`
   * with them, in one call of the system. What the socket does not take is copied, and
   * goes with {@linkcode flush}; the descriptors stay the caller's either way.
   *
   * 0, or `-errno`: `-EPIPE` or `-ECONNRESET` when the peer is gone, `-ENOBUFS` when too
   * much would wait, `-EMFILE` when descriptors would, and there are none left. The connection is of no more use then, since part of the message
   * may have left.
   */
  send(
    length: number,
    body: Uint8Array | null = null,
    descriptors: readonly number[] = NO_NUMBERS,
  ): number {
    if (!(length > 0 && length <= HEAD_BYTES)) {
      throw new RangeError(`Cannot send a head of ${length} bytes: 1 to ${HEAD_BYTES} fit`);
    }
    const words = this.#words;
    const vector = this.#sendVector;
    let first = length;
    let rest: Uint8Array | null = null;
    if (body !== null && body.length > 0) {
      if (body.length <= COPIED_BODY) {
        this.headBytes.set(body, length);
        first += body.length;
      } else {
        rest = body;
      }
    }
    const total = rest === null ? first : first + rest.length;
    if (this.#pendingBytes > 0) return this.#keep(first, rest, 0, descriptors);
    words[vector + 2] = first;
    if (rest === null) {
      words[MSGHDR_WORDS + IOV_COUNT] = 1;
    } else {
      putPointer(words, vector + 4, addressOf(pointerOf(rest)));
      words[vector + 6] = rest.length;
      words[MSGHDR_WORDS + IOV_COUNT] = 2;
    }
    const sent = this.#sendmsg(descriptors);
    if (sent === total) return 0;
    if (sent >= 0) return this.#keep(first, rest, sent, NO_NUMBERS);
    return sent === -Errno.EAGAIN ? this.#keep(first, rest, 0, descriptors) : sent;
  }

  /** Sends what waits: the bytes that still do, or `-errno`. */
  flush(): number {
    const words = this.#words;
    while (this.#pending.length > 0) {
      const next = this.#pending[0] as Pending;
      const left = next.bytes.length - next.sent;
      putPointer(words, this.#sendVector, addressOf(next.pointer) + next.sent);
      words[this.#sendVector + 2] = left;
      words[MSGHDR_WORDS + IOV_COUNT] = 1;
      const sent = this.#sendmsg(
        next.sent === 0 ? next.descriptors.map((descriptor) => descriptor.fd) : NO_NUMBERS,
      );
      putPointer(words, this.#sendVector, this.#headAddress);
      if (sent < 0) return sent === -Errno.EAGAIN ? this.#pendingBytes : sent;
      closeAll(next.descriptors);
      this.#pendingBytes -= sent;
      next.sent += sent;
      if (sent < left) return this.#pendingBytes;
      this.#pending.shift();
    }
    return 0;
  }

  #sendmsg(descriptors: readonly number[]): number {
    const words = this.#words;
    const count = descriptors.length;
    if (count === 0) {
      words[MSGHDR_WORDS + CONTROL_LENGTH] = 0;
    } else {
      if (count > MAX_DESCRIPTORS) return -Errno.EINVAL;
      const control = this.#sendControl;
      words[control + CMSG_LENGTH] = (CMSG_DATA + count) * 4;
      for (let i = 0; i < count; i++) words[control + CMSG_DATA + i] = descriptors[i] as number;
      words[MSGHDR_WORDS + CONTROL_LENGTH] = controlWords(count) * 4;
    }
    for (;;) {
      const result = sendmsg(this.fd, this.#sendHeader, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (result !== -Errno.EINTR) return result;
    }
  }

  /** Copies what follows the first `sent` bytes of head and rest, to be sent later. */
  #keep(
    first: number,
    rest: Uint8Array | null,
    sent: number,
    descriptors: readonly number[],
  ): number {
    const total = first + (rest?.length ?? 0);
    if (
      this.#pendingBytes + total - sent > this.#sendLimit || this.#pending.length >= MAX_PENDING
    ) return -Errno.ENOBUFS;
    const bytes = new Uint8Array(stable(total - sent));
    if (sent < first) bytes.set(this.headBytes.subarray(sent, first));
    if (rest !== null) {
      bytes.set(rest.subarray(Math.max(0, sent - first)), Math.max(0, first - sent));
    }
    const duplicates: Descriptor[] = [];
    try {
      for (const fd of descriptors) {
        const borrowed = new Descriptor(fd);
        try {
          duplicates.push(borrowed.duplicate());
        } finally {
          borrowed.take();
        }
      }
    } catch (error) {
      closeAll(duplicates);
      if (error instanceof LinuxError) return -error.errno;
      throw error;
    }
    this.#pending.push({ bytes, pointer: pointerOf(bytes), sent: 0, descriptors: duplicates });
    this.#pendingBytes += bytes.length;
    return 0;
  }

  /**
   * Waits for `events` (POLLIN, POLLOUT) for at most `timeoutMs`, for ever when that is
   * negative, and blocks this thread: for callers without a reactor. The events that are
   * there, POLLHUP and POLLERR among them, 0 at the time limit, or `-errno`.
   */
  wait(events: number, timeoutMs: number): number {
    const words = this.#pollfd;
    this.#pollfdPointer ??= pointerOf(words);
    words[0] = this.fd;
    words[1] = events;
    let timeout: Pointer = null;
    if (timeoutMs >= 0) {
      // struct timespec of two 64-bit fields, at byte 8.
      words[2] = Math.floor(timeoutMs / 1000);
      words[4] = Math.floor((timeoutMs % 1000) * 1e6);
      timeout = Deno.UnsafePointer.offset(this.#pollfdPointer, 8);
    }
    const result = ppoll(this.#pollfdPointer, 1, timeout);
    return result <= 0 ? result : (words[1] as number) >>> 16;
  }

  /** No more is sent; the peer sees the end of the stream. What it still sends can be received. */
  endSending(): void {
    shutdown(this.fd, SHUT_WR);
  }

  /** Closes the socket, and every descriptor that arrived or waits. Idempotent. */
  close(): void {
    this.#descriptor.close();
    for (const arrival of this.#arrivals) closeAll(arrival.descriptors);
    for (const pending of this.#pending) closeAll(pending.descriptors);
    this.#arrivals = [];
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#held = 0;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
