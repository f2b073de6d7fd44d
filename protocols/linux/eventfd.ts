/**
 * Counters that wake a poll: interrupts of vfio-user, ioeventfds, and wake-ups
 * between threads (eventfd(2)).
 *
 * An eventfd that a peer holds too is in its hands: it may fill or drain the
 * counter and switch `O_NONBLOCK` off at any time. What is here never waits on one
 * that it finds full or empty. What a peer fills between that look and the write, a
 * fraction of a microsecond later, it could wait for: Linux has no write to an eventfd
 * that never does.
 *
 * @module
 */

import { Descriptor } from "./descriptor.ts";
import { Errno, LinuxError } from "./errno.ts";
import {
  addressOf,
  EFD_CLOEXEC,
  EFD_NONBLOCK,
  eventfd,
  F_GETFL,
  F_SETFL,
  fcntl,
  O_NONBLOCK,
  pointerOf,
  POLLOUT,
  ppoll,
  readNoWait,
  stable,
  write,
} from "./libc.ts";

// One set for the whole thread: no call leaves it in use.
const one = new BigUint64Array(stable(8)).fill(1n);
const onePointer = pointerOf(one);
const count = new Uint32Array(stable(8));
const iovec = new BigUint64Array(stable(16));
iovec[0] = BigInt(addressOf(pointerOf(count)));
iovec[1] = 8n;
const iovecPointer = pointerOf(iovec);
const pollfd = new Int32Array(stable(8));
const pollfdPointer = pointerOf(pollfd);
const noTime = new BigInt64Array(stable(16));
const noTimePointer = pointerOf(noTime);

/**
 * Adds 1 to an eventfd in non-blocking mode that no stranger holds, in this thread
 * or another's: 0, or `-errno`. One call of the system.
 */
export function signalEvent(fd: number): number {
  const result = write(fd, onePointer, 8);
  return result < 0 ? result : 0;
}

/** An eventfd that we own, alone or with a peer. */
export class EventFd implements Disposable {
  readonly #descriptor: Descriptor;

  private constructor(descriptor: Descriptor) {
    this.#descriptor = descriptor;
  }

  /** A fresh one: counter 0, non-blocking, closed on exec. @throws {LinuxError} `EMFILE` */
  static create(): EventFd {
    return new EventFd(new Descriptor(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)));
  }

  /**
   * Takes over a descriptor that a peer sent. `-EINVAL` when it is no eventfd (a pipe
   * or a terminal would block whoever signals it); it is closed then.
   * @throws {Error} when `/proc` is not there, or not allowed to be read
   */
  static adopt(descriptor: Descriptor): EventFd | number {
    let target = "";
    try {
      target = Deno.readLinkSync(`/proc/self/fd/${descriptor.fd}`);
    } catch (error) {
      descriptor.close();
      // What has a name that is no text, or longer than a page, is a file.
      if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotCapable) {
        throw error;
      }
      return -Errno.EINVAL;
    }
    if (target !== "anon_inode:[eventfd]") {
      descriptor.close();
      return -Errno.EINVAL;
    }
    const flags = fcntl(descriptor.fd, F_GETFL, 0);
    const set = flags < 0 ? flags : fcntl(descriptor.fd, F_SETFL, flags | O_NONBLOCK);
    if (set < 0) {
      descriptor.close();
      throw new LinuxError("fcntl", set, "O_NONBLOCK");
    }
    return new EventFd(descriptor);
  }

  /** The number, to poll or to pass; it stays ours. */
  get fd(): number {
    return this.#descriptor.fd;
  }

  /** True once it is closed. */
  get closed(): boolean {
    return this.#descriptor.closed;
  }

  /** Adds 1: 0, or `-errno`. A full counter answers `-EAGAIN`: it is as signalled as it can be. */
  signal(): number {
    pollfd[0] = this.#descriptor.fd;
    pollfd[1] = POLLOUT;
    const ready = ppoll(pollfdPointer, 1, noTimePointer);
    if (ready <= 0) return ready < 0 ? ready : -Errno.EAGAIN;
    return signalEvent(pollfd[0]);
  }

  /**
   * Takes the counter: what was added since the last time, 0 when nothing was, or
   * `-errno`. Counts from 2^53 on are rounded.
   */
  drain(): number {
    const result = readNoWait(this.#descriptor.fd, iovecPointer, 1);
    if (result < 0) return result === -Errno.EAGAIN ? 0 : result;
    return (count[1] as number) * 2 ** 32 + (count[0] as number);
  }

  /** Idempotent. */
  close(): void {
    this.#descriptor.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
