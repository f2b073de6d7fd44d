/**
 * A client's memory by messages: VFIO_USER_DMA_READ and VFIO_USER_DMA_WRITE, for regions that came
 * without a descriptor (vfio-user; spec/08 rule 21).
 *
 * A device's access is over when the call returns, so these wait for the reply, and the thread with
 * them. Commands that arrive meanwhile are put aside, in order. What goes wrong on the way is a fault
 * of the access: an error reply, a reply that does not fit, none in time, a client that has gone.
 *
 * @module
 */

import { Fault, type Status } from "../../../core/address.ts";
import type { Clock } from "../../../core/observe/clock.ts";
import type { CalmBuffer } from "../../linux/calm_buffer.ts";
import { closeAll } from "../../linux/descriptor.ts";
import { Errno } from "../../linux/errno.ts";
import { POLLIN, POLLOUT } from "../../linux/libc.ts";
import { type Connection, Front, HEAD_BODY } from "../connection.ts";
import { DMA_READ, DMA_WRITE } from "../messages/dma_access.ts";
import { HEADER_SIZE, isReply, replyResult } from "../messages/header.ts";
import type { RemoteAccess } from "./backing.ts";
import type { ServerMetrics } from "./metrics.ts";
import type { Patience } from "./patience.ts";

/** What the waiting needs of the session it belongs to. */
export interface RemoteHost {
  /** Puts the whole message at the front of the main socket aside. False when too much waits already. */
  setAside(): boolean;
  /** The client has closed its end; what it sent before is still to be executed. */
  ended(): void;
  /** The access is over, and a part of a command waits to be sent, or more than its reply has come. */
  unfinished(): void;
  /** The connection is of no more use; it is closed once the access has returned. */
  broken(reason: string): void;
}

/** How a remote memory is made. */
export interface RemoteMemoryOptions {
  /** Where commands go: the main socket, or the twin. */
  readonly connection: Connection;
  /** Whether that is the main socket, on which the client's commands arrive too. */
  readonly socket: "main" | "twin";
  readonly host: RemoteHost;
  /** Of that socket. */
  readonly calm: CalmBuffer;
  readonly clock: Clock;
  readonly metrics: ServerMetrics;
  /** Bytes of data of one message. */
  readonly maxTransfer: number;
  /** How long an access may take, by the same clock. */
  readonly patience: Patience;
}

const ACCESS_SIZE = DMA_READ.request.size;
/** Bytes of data from which on a message counts as one: the client chooses how many messages an access takes. */
const WHOLE_MESSAGE = 4096;

/** See the module. */
export class RemoteMemory implements RemoteAccess {
  transferred = 0;
  readonly #options: RemoteMemoryOptions;
  readonly #request = DMA_READ.request.create();
  readonly #reply = DMA_READ.reply.create();
  #nextId = 1;
  /** The ID of a request that was given up; while its reply is due, no other is sent. */
  #overdue = -1;
  #overdueCommand = 0;
  #waiting = false;
  /** That the access under way has sent, each of less than {@linkcode WHOLE_MESSAGE} bytes a part of one. */
  #messages = 0;
  #closed = false;

  constructor(options: RemoteMemoryOptions) {
    this.#options = options;
  }

  /** No access succeeds any more. */
  close(): void {
    this.#closed = true;
  }

  dmaRead(iova: number, into: Uint8Array): Status {
    return this.#access(DMA_READ.command, iova, into);
  }

  dmaWrite(iova: number, from: Uint8Array): Status {
    return this.#access(DMA_WRITE.command, iova, from);
  }

  /**
   * Whether the reply at the front is one that came too late for the access it belongs to. It is then
   * the caller's to drop.
   */
  takesLate(id: number, command: number): boolean {
    if (id !== this.#overdue || command !== this.#overdueCommand) return false;
    this.#overdue = -1;
    return true;
  }

  #access(command: number, iova: number, bytes: Uint8Array): Status {
    const { calm, clock, connection, host, patience } = this.#options;
    this.transferred = 0;
    if (!this.#usable()) return this.#fault(Fault.NO_MEMORY);
    const startNs = clock.nowNs;
    this.#messages = 0;
    this.#waiting = true;
    try {
      const status = this.#exchangeAll(command, iova, bytes, startNs);
      return status === 0 ? 0 : this.#fault(status);
    } finally {
      this.#waiting = false;
      patience.spend(this.#messages, clock.nowNs - startNs);
      calm.watch();
      // What has been received already, no poll tells of.
      const { pendingBytes, length } = connection.stream;
      if (pendingBytes > 0 || length > 0) host.unfinished();
    }
  }

  #exchangeAll(command: number, iova: number, bytes: Uint8Array, startNs: number): Status {
    const { maxTransfer, patience } = this.#options;
    for (let done = 0; done < bytes.length;) {
      const count = Math.min(bytes.length - done, maxTransfer);
      const part = bytes.subarray(done, done + count);
      this.#messages += Math.min(1, count / WHOLE_MESSAGE);
      const deadlineNs = patience.deadlineNs(startNs, this.#messages);
      const status = this.#exchange(command, iova + done, part, deadlineNs);
      if (status !== 0) return status;
      done += count;
      this.transferred = done;
    }
    return 0;
  }

  /** A client that owes a reply is not asked again: each access would wait as long. */
  #usable(): boolean {
    if (this.#closed || this.#waiting) return false;
    if (this.#overdue >= 0) this.#collectLate();
    return this.#overdue < 0;
  }

  #fault(status: Status): Status {
    this.#options.metrics.remoteFaults++;
    return status;
  }

  #exchange(command: number, address: number, part: Uint8Array, deadlineNs: number): Status {
    const { connection, host } = this.#options;
    const request = this.#request;
    request.address = address;
    request.count = part.length;
    const id = this.#nextId;
    this.#nextId = (id + 1) & 0xffff;
    DMA_READ.request.encode(connection.head, HEADER_SIZE, request);
    let bodySize = ACCESS_SIZE;
    let rest: Uint8Array | null = null;
    if (command === DMA_WRITE.command) {
      if (part.length <= HEAD_BODY - ACCESS_SIZE) {
        connection.stream.headBytes.set(part, HEADER_SIZE + ACCESS_SIZE);
        bodySize += part.length;
      } else {
        rest = part;
      }
    }
    this.#options.metrics.requested(command);
    const sent = connection.command(id, command, 0, bodySize, rest);
    if (sent < 0) {
      // One that has gone may have sent commands before, which are still to be carried out.
      if (isGone(sent)) this.#closed = true;
      else this.#break("it does not take our commands");
      return Fault.NO_MEMORY;
    }
    for (;;) {
      const found = this.#look(id, command, part);
      if (found !== PENDING) return found;
      if (!this.#wait(deadlineNs)) {
        if (this.#closed) return Fault.NO_MEMORY;
        this.#options.metrics.remoteTimeouts++;
        this.#overdue = id;
        this.#overdueCommand = command;
        return Fault.NO_MEMORY;
      }
      const received = connection.stream.receive();
      // Reset is how a client goes that has not read our command; what it sent before has come by then.
      if (received === 0 || isGone(received)) {
        this.#closed = true;
        host.ended();
        return Fault.NO_MEMORY;
      }
      if (received < 0 && received !== -Errno.EAGAIN) {
        this.#break("its socket fails");
        return Fault.NO_MEMORY;
      }
    }
  }

  /** Looks through what has arrived for the reply. @returns its outcome, or that it is not there yet */
  #look(id: number, command: number, part: Uint8Array): Status | typeof PENDING {
    const { connection, socket, host } = this.#options;
    for (;;) {
      const front = connection.front();
      if (front === Front.PARTIAL) return PENDING;
      const { header, stream } = connection;
      if (front === Front.LOST) {
        this.#break("a header has a size that cannot be");
        return Fault.NO_MEMORY;
      }
      if (isReply(header) && header.id === id && header.command === command) {
        closeAll(connection.takeDescriptors() ?? []);
        const status = this.#finish(stream.view, stream.start + HEADER_SIZE, part);
        connection.drop();
        return status;
      }
      if (socket === "twin") {
        this.#break("its second socket carries what is no reply of ours");
        return Fault.NO_MEMORY;
      }
      if (!host.setAside()) {
        this.#break("it sends too many commands while it owes a reply");
        return Fault.NO_MEMORY;
      }
    }
  }

  #finish(view: DataView, at: number, part: Uint8Array): Status {
    const { header } = this.#options.connection;
    const result = replyResult(header);
    if (result !== 0) return faultOf(-result);
    const codec = header.command === DMA_READ.command ? DMA_READ : DMA_WRITE;
    const reply = this.#reply;
    const length = header.size - HEADER_SIZE;
    if (
      codec.reply.decode(view, at, length, reply) !== 0 ||
      reply.address !== this.#request.address || reply.count !== part.length
    ) return Fault.NO_MEMORY;
    if (codec === DMA_READ) {
      part.set(new Uint8Array(view.buffer, view.byteOffset + reply.dataAt, part.length));
    }
    return 0;
  }

  /** Waits until the socket can be read. False when the time is over, or the connection is. */
  #wait(deadlineNs: number): boolean {
    const { connection, clock } = this.#options;
    const { stream } = connection;
    for (;;) {
      const leftMs = (deadlineNs - clock.nowNs) / 1e6;
      if (leftMs <= 0) return false;
      const events = stream.wait(
        POLLIN | (stream.pendingBytes > 0 ? POLLOUT : 0),
        leftMs,
      );
      if (events < 0 && events !== -Errno.EINTR) {
        this.#break("its socket cannot be waited for");
        return false;
      }
      if (events > 0 && (events & POLLOUT) !== 0) {
        const left = stream.flush();
        if (left < 0) {
          if (isGone(left)) this.#closed = true;
          else this.#break("it does not take our messages");
          return false;
        }
      }
      if (events > 0 && (events & ~POLLOUT) !== 0) return true;
    }
  }

  /** On the twin socket late replies are taken here; on the main one the session meets them. */
  #collectLate(): void {
    const { connection, socket } = this.#options;
    if (socket === "main") return;
    connection.stream.receive();
    this.readTwin();
  }

  /** Takes what has arrived on the twin socket outside an access: late replies, and nothing else. */
  readTwin(): void {
    const { connection, calm } = this.#options;
    calm.watch();
    for (;;) {
      const front = connection.front();
      if (front === Front.PARTIAL) return;
      const { header } = connection;
      if (front === Front.LOST || !isReply(header) || !this.takesLate(header.id, header.command)) {
        this.#break("its second socket carries what is no reply of ours");
        return;
      }
      closeAll(connection.takeDescriptors() ?? []);
      connection.drop();
    }
  }

  #break(reason: string): void {
    this.#closed = true;
    this.#options.host.broken(reason);
  }
}

const PENDING = 1;

/** Why an access failed, by the client's errno: ENODEV while bus mastering is off (spec/09 rule 14). */
function faultOf(errno: number): Fault {
  switch (errno) {
    case Errno.EACCES:
    case Errno.EPERM:
      return Fault.PERMISSION;
    case Errno.ENODEV:
      return Fault.BUS_MASTER_OFF;
    default:
      return Fault.NO_MEMORY;
  }
}

/** Whether a call of the system says that the client has closed its end. */
function isGone(result: number): boolean {
  return result === -Errno.EPIPE || result === -Errno.ECONNRESET;
}
