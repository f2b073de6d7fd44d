/**
 * Memory of a client that no mapping reaches: files that may shrink, and ranges that came without a
 * descriptor.
 * @module
 */

import { Fault, type Status } from "../../../core/address.ts";
import type { Descriptor } from "../../linux/descriptor.ts";
import { readFile, writeFile } from "../../linux/mapping.ts";

/** What a window of {@linkcode ServerMemory} shows. Offsets are bytes from the window's start. */
export interface Backing {
  /** Bytes of the window. */
  readonly length: number;
  /** Whether it may be read only to see what is there: what a device may not read is not asked for. */
  readonly readable: boolean;
  /** Fills `into`, all of it, or a fault. On a fault {@linkcode transferred} bytes have been filled. */
  read(offset: number, into: Uint8Array): Status;
  /** Stores `from`, all of it, or a fault, as {@linkcode read}. */
  write(offset: number, from: Uint8Array): Status;
  /** Bytes moved by the last access. */
  readonly transferred: number;
}

/** A file that may become shorter at any time: reached by pread(2) and pwrite(2), never mapped. */
export class CopiedFile implements Backing {
  readonly length: number;
  readonly readable = true;
  transferred = 0;
  readonly #descriptor: Descriptor;

  /** Takes over `descriptor`. */
  constructor(descriptor: Descriptor, length: number) {
    this.#descriptor = descriptor;
    this.length = length;
  }

  read(offset: number, into: Uint8Array): Status {
    return this.#moved(readFile(this.#descriptor.fd, offset, into), into.length);
  }

  write(offset: number, from: Uint8Array): Status {
    return this.#moved(writeFile(this.#descriptor.fd, offset, from), from.length);
  }

  /** Closes the file. */
  close(): void {
    this.#descriptor.close();
  }

  /** How much of a failed copy moved is not known: it counts as none. */
  #moved(result: number, length: number): Status {
    this.transferred = result === 0 ? length : 0;
    return result === 0 ? 0 : Fault.NO_MEMORY;
  }
}

/** Who moves bytes of a client's memory by messages. */
export interface RemoteAccess {
  /** VFIO_USER_DMA_READ, in as many messages as it takes. */
  dmaRead(iova: number, into: Uint8Array): Status;
  /** VFIO_USER_DMA_WRITE, in as many messages as it takes. */
  dmaWrite(iova: number, from: Uint8Array): Status;
  /** Bytes moved by the last access. */
  readonly transferred: number;
}

/** A range of IOVAs that came without a descriptor. */
export class RemoteRange implements Backing {
  readonly length: number;
  readonly readable: boolean;
  readonly #iova: number;
  readonly #access: RemoteAccess;

  constructor(access: RemoteAccess, iova: number, length: number, readable: boolean) {
    this.#access = access;
    this.#iova = iova;
    this.length = length;
    this.readable = readable;
  }

  get transferred(): number {
    return this.#access.transferred;
  }

  read(offset: number, into: Uint8Array): Status {
    return this.#access.dmaRead(this.#iova + offset, into);
  }

  write(offset: number, from: Uint8Array): Status {
    return this.#access.dmaWrite(this.#iova + offset, from);
  }
}
