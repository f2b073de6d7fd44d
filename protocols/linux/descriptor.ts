/**
 * A file descriptor and the duty to close it.
 * @module
 */

import { close, F_DUPFD_CLOEXEC, fcntl } from "./libc.ts";
import { LinuxError } from "./errno.ts";

let live = 0;

/** Descriptors owned in this thread now. Tests compare it before and after. */
export function liveDescriptors(): number {
  return live;
}

/**
 * Owns one file descriptor: closes it once, however often it is asked to, and
 * refuses to name it afterwards, since the number may be another file's by then.
 */
export class Descriptor implements Disposable {
  #fd: number;

  /** Takes over `fd`: from now on nobody else may close it. @throws {TypeError} unless it can be one */
  constructor(fd: number) {
    if (!Number.isInteger(fd) || fd < 0) {
      throw new TypeError(`Cannot own descriptor ${fd}: it is no integer of at least 0`);
    }
    this.#fd = fd;
    live++;
  }

  /** The number, to be used at once and not kept. @throws {Error} after close or take */
  get fd(): number {
    if (this.#fd < 0) throw new Error("Cannot use a descriptor: it is closed or was given away");
    return this.#fd;
  }

  /** True once it is closed or given away. */
  get closed(): boolean {
    return this.#fd < 0;
  }

  /** Gives the number and the duty to close it to the caller. @throws {Error} after close or take */
  take(): number {
    const fd = this.fd;
    this.#fd = -1;
    live--;
    return fd;
  }

  /** A second descriptor of the same open file, closed on exec. @throws {LinuxError} `EMFILE` */
  duplicate(): Descriptor {
    const fd = fcntl(this.fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) throw new LinuxError("fcntl", fd, "F_DUPFD_CLOEXEC");
    return new Descriptor(fd);
  }

  /** Idempotent. */
  close(): void {
    if (this.#fd < 0) return;
    close(this.take());
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Closes all of them. */
export function closeAll(descriptors: Iterable<Descriptor>): void {
  for (const descriptor of descriptors) descriptor.close();
}
