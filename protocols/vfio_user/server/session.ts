/**
 * One client's connection: takes its commands in order, has each carried out, and answers it once
 * (vfio-user; spec/08).
 *
 * A command that has to wait, for DMA in flight to end or for the device to stop, keeps those behind
 * it waiting: nothing more is read until it has been answered. Nor while the client does not read its
 * replies. So what one connection holds is bounded whatever the client sends.
 *
 * @module
 */

import type { Clock, Timer } from "../../../core/observe/clock.ts";
import { CalmBuffer } from "../../linux/calm_buffer.ts";
import { closeAll, type Descriptor } from "../../linux/descriptor.ts";
import { Errno, errnoName, LinuxError } from "../../linux/errno.ts";
import { POLLERR, POLLHUP, POLLIN, POLLOUT } from "../../linux/libc.ts";
import type { Registration } from "../../linux/reactor.ts";
import { UnixStream } from "../../linux/unix_stream.ts";
import {
  encodeVersionData,
  isVersionFailure,
  negotiate,
  type Negotiated,
  parseVersionData,
  replyCapabilities,
} from "../capabilities.ts";
import { Connection, Front } from "../connection.ts";
import { commandName } from "../message_fields.ts";
import {
  decodeHeader,
  type Header,
  header as emptyHeader,
  HEADER_SIZE,
  isCommand,
  isReply,
  messageLimit,
  wantsReply,
} from "../messages/header.ts";
import { VERSION } from "../messages/version.ts";
import { VFIO_USER_MAJOR, VFIO_USER_MINOR, VfioUserCommand as Command } from "../spec.ts";
import { type CommandBody, Commands, REGISTER, type Responder } from "./commands.ts";
import { Doorbells } from "./doorbells.ts";
import { FrameQueue } from "./frame_queue.ts";
import { type RemoteHost, RemoteMemory } from "./remote_memory.ts";
import type { ServerParts } from "./server_parts.ts";

/** Commands that are carried out in one go; then it is the others' turn. */
const BUDGET = 64;

/** Receives in one go that no poll has asked for: more of them would save little, and delay others. */
const UNASKED = 4;

/** Longest message of a register access: its bytes are read before anything else can arrive. */
const REGISTER_MESSAGE = HEADER_SIZE + 16 + REGISTER;

/** What passes while the device is stopped (rule 23). */
const WHILE_STOPPED: readonly number[] = [
  Command.VFIO_USER_DEVICE_FEATURE,
  Command.VFIO_USER_MIG_DATA_READ,
  Command.VFIO_USER_MIG_DATA_WRITE,
];

const NO_DESCRIPTORS: readonly Descriptor[] = [];

/** The socket for our commands. */
interface Twin {
  readonly connection: Connection;
  readonly registration: Registration;
  readonly calm: CalmBuffer;
  /** Whether it is watched for room for what waits to be sent. */
  waits: boolean;
}

/** Owns the connection from its acceptance to its end. */
export class Session implements Responder, RemoteHost {
  readonly #parts: ServerParts;
  readonly #connection: Connection;
  readonly #registration: Registration;
  readonly #closed: (reason: string) => void;
  /** Real time: devices' may stand still, and clients do not wait for it. */
  readonly #clock: Clock;
  readonly #queue = new FrameQueue();
  readonly #doorbells: Doorbells;
  /** Of the command that is being carried out. */
  readonly #header = emptyHeader();
  #beganNs = 0;
  /** A command has not been answered yet. */
  #busy = false;
  #pumping = false;
  #posted = false;
  /** The client sends no more. */
  #ended = false;
  /** More may be there than the last receive has brought. */
  #receiveAgain = false;
  /** The socket is hung up and not polled any more; what it holds is still read. */
  #detached = false;
  /** The client goes: what the socket holds now is still read, and nothing that comes after. */
  #leaving = false;
  #watched: number = POLLIN;
  #hungUp: string | null = null;
  #isClosed = false;
  #stall: Timer | null = null;
  readonly #greeting: Timer;
  #commands: Commands | null = null;
  #remote: RemoteMemory | null = null;
  #twin: Twin | null = null;
  readonly #calm: CalmBuffer;

  /** @param closed called once, when the connection is over and nothing of it is open any more */
  constructor(parts: ServerParts, stream: UnixStream, closed: (reason: string) => void) {
    this.#parts = parts;
    this.#closed = closed;
    this.#clock = parts.machine.reactor.clock;
    this.#connection = new Connection(stream, ">");
    this.#connection.observer = parts.observer;
    this.#connection.limit = messageLimit(parts.capabilities.max_data_xfer_size);
    this.#calm = new CalmBuffer(this.#clock, stream);
    this.#doorbells = new Doorbells(parts.hosted, parts.migration, parts.machine.reactor);
    this.#registration = parts.machine.reactor.add(
      stream.fd,
      POLLIN,
      (events) => this.#ready(events),
    );
    // One that says nothing would keep all others waiting.
    this.#greeting = this.#clock.defer(parts.stallTimeoutMs, () => {
      if (this.negotiated) return;
      parts.metrics.hungUp++;
      this.close("it has not said its version");
    });
  }

  /** Whether commands and replies have been agreed on. */
  get negotiated(): boolean {
    return this.#commands !== null;
  }

  /** Whether the client has a socket of its own for our commands. */
  get twinSocket(): boolean {
    return this.#twin !== null;
  }

  // For commands.

  get head(): DataView {
    return this.#connection.head;
  }

  done(bodySize: number, rest: Uint8Array | null = null, descriptors?: readonly number[]): void {
    if (!this.#begunAnswer(0) || !wantsReply(this.#header)) return;
    this.#sent(this.#connection.reply(this.#header, bodySize, rest, descriptors));
  }

  fail(errno: number): void {
    if (!this.#begunAnswer(-Math.abs(errno)) || !wantsReply(this.#header)) return;
    this.#sent(this.#connection.replyError(this.#header, errno));
  }

  /** Counts the command, and lets the next one come. False when nobody is there to be answered. */
  #begunAnswer(errno: number): boolean {
    if (this.#isClosed || !this.#busy) return false;
    this.#busy = false;
    const ns = this.#clock.nowNs - this.#beganNs;
    this.#parts.metrics.executed(this.#header.command, errno, ns);
    if (!this.#pumping) this.#pumpLater();
    return true;
  }

  #sent(result: number): void {
    // A client that has gone may have sent more before: the end of the stream is what ends it.
    if (result < 0 && result !== -Errno.EPIPE && result !== -Errno.ECONNRESET) {
      this.broken(`it cannot be answered: ${errnoName(result)}`);
    }
  }

  // For accesses to the client's memory by messages.

  setAside(): boolean {
    const { header, stream } = this.#connection;
    if (!this.#queue.hasRoom(header.size)) return false;
    const { bytes, start } = stream;
    const copy = bytes.slice(start, start + header.size);
    const descriptors = this.#connection.takeDescriptors();
    this.#connection.drop();
    this.#queue.push({ bytes: copy, descriptors });
    if (!this.#pumping) this.#pumpLater();
    return true;
  }

  ended(): void {
    // When it is the twin that has ended, the main socket may hold commands still.
    if (this.#twin === null) this.#ended = true;
    else this.#leaving = true;
    if (!this.#pumping) this.#pumpLater();
  }

  unfinished(): void {
    if (!this.#pumping) this.#pumpLater();
  }

  broken(reason: string): void {
    this.#hungUp ??= reason;
    if (!this.#pumping) this.#pumpLater();
  }

  /** Ends the connection: everything of it is closed, and the server told. Idempotent. */
  close(reason: string): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#registration.remove();
    this.#stall?.cancel();
    this.#greeting.cancel();
    this.#calm.cancel();
    this.#twin?.calm.cancel();
    this.#remote?.close();
    this.#queue.clear();
    this.#doorbells.close();
    this.#twin?.registration.remove();
    this.#twin?.connection.close();
    this.#connection.close();
    this.#closed(reason);
  }

  #pumpLater(): void {
    if (this.#posted) return;
    this.#posted = true;
    this.#parts.machine.reactor.post(() => {
      this.#posted = false;
      this.#pump();
    });
  }

  #ready(events: number): void {
    const { stream } = this.#connection;
    if (stream.pendingBytes > 0 && (events & (POLLOUT | POLLERR | POLLHUP)) !== 0) {
      const left = stream.flush();
      if (left < 0) {
        this.close(`it does not take our messages: ${errnoName(left)}`);
        return;
      }
    }
    const takes = !this.#busy && !this.#ended && stream.pendingBytes === 0;
    if (takes && this.#queue.length === 0 && (events & (POLLIN | POLLHUP | POLLERR)) !== 0) {
      this.#receive();
    } else if (!takes && (events & (POLLHUP | POLLERR)) !== 0) {
      // It would be reported for ever. What is under way ends first, then the socket is read out.
      this.#registration.remove();
      this.#detached = true;
      if (stream.pendingBytes > 0) {
        this.close("it has closed the connection without reading our replies");
        return;
      }
    }
    this.#pump();
  }

  #receive(): void {
    const received = this.#connection.stream.receive();
    if (received > 0 || received === -Errno.ENOBUFS) return;
    // Reset or closed: what came before is carried out all the same.
    if (received !== -Errno.EAGAIN || this.#leaving) this.#ended = true;
  }

  /** Carries out what is there, as long as nothing has to wait. */
  #pump(): void {
    if (this.#isClosed || this.#pumping) return;
    this.#pumping = true;
    const { stream } = this.#connection;
    let left = BUDGET;
    let asks = UNASKED;
    let carriedOut = false;
    let more = true;
    try {
      while (more && !this.#busy && this.#hungUp === null && stream.pendingBytes === 0) {
        if (left-- === 0) {
          this.#pumpLater();
          break;
        }
        more = this.#next();
        if (more) {
          carriedOut = true;
          continue;
        }
        if (this.#ended || this.#isClosed) break;
        // A receive ends behind each message with descriptors. And a client on this very CPU has
        // run while it was answered, and has sent its next command: asking is cheaper than a turn.
        if (
          this.#receiveAgain || this.#detached || this.#leaving ||
          (carriedOut && asks-- > 0 && this.#mayGoOn())
        ) {
          this.#receiveAgain = carriedOut = false;
          this.#receive();
          more = true;
        }
      }
    } catch (error) {
      // A bug of ours. The reactor tells of it; this connection cannot go on, and others can.
      this.close("the server has failed at its command");
      throw error;
    } finally {
      this.#pumping = false;
    }
    if (this.#isClosed) return;
    if (this.#hungUp !== null) {
      this.#parts.metrics.hungUp++;
      this.close(this.#hungUp);
    } else if (!more && this.#ended && !this.#busy) {
      this.close("it has closed the connection");
    } else {
      this.#watch();
    }
  }

  /**
   * Whether the next command may come before the turn ends: not before what the last one has left for
   * the turn's end, nor before a doorbell that the client has rung in between.
   */
  #mayGoOn(): boolean {
    return !this.#parts.machine.reactor.hasTasks && this.#doorbells.count === 0;
  }

  /** Listens for what can be dealt with now. */
  #watch(): void {
    this.#calm.watch();
    const pending = this.#connection.stream.pendingBytes > 0;
    const reads = !this.#busy && !this.#ended && !pending && this.#queue.length === 0;
    const events = (reads ? POLLIN : 0) | (pending ? POLLOUT : 0);
    if (events !== this.#watched) {
      this.#watched = events;
      this.#registration.watch(events);
    }
    const unread = this.#twin !== null && watchTwin(this.#twin) || pending;
    if (unread && this.#stall === null) {
      this.#stall = this.#clock.defer(this.#parts.stallTimeoutMs, () => {
        this.#parts.metrics.hungUp++;
        this.close("it does not read what we send");
      });
    } else if (!unread && this.#stall !== null) {
      this.#stall.cancel();
      this.#stall = null;
    }
  }

  /** Begins the oldest command. False when there is none. */
  #next(): boolean {
    const queued = this.#queue.shift();
    if (queued !== undefined) {
      const view = new DataView(queued.bytes.buffer);
      decodeHeader(view, 0, this.#header);
      this.#execute(view, HEADER_SIZE, queued.descriptors);
      return true;
    }
    const connection = this.#connection;
    const front = connection.front();
    if (front === Front.PARTIAL) return false;
    copyHeader(connection.header, this.#header);
    if (front === Front.LOST) {
      // Where the next message begins cannot be known (rule 2).
      connection.showLost();
      this.#begin();
      this.fail(Errno.EINVAL);
      this.#hungUp ??= `a header has the size ${connection.header.size}`;
      return true;
    }
    const { size, command } = connection.header;
    const { stream } = connection;
    const descriptors = connection.takeDescriptors();
    const { view, start, bytes } = stream;
    if (
      size <= REGISTER_MESSAGE && descriptors !== null && descriptors.length === 0 &&
      this.#isRegisterAccess(command)
    ) {
      // In place: the bytes stay until something is received, and are read before that.
      connection.drop();
      this.#begin();
      const length = size - HEADER_SIZE;
      const commands = this.#commands as Commands;
      if (command === Command.VFIO_USER_REGION_READ) {
        commands.regionRead(view, start + HEADER_SIZE, length);
      } else {
        commands.regionWrite(view, start + HEADER_SIZE, length);
      }
      return true;
    }
    if (isMapping(command)) {
      // In place as well: it is decoded, as a whole, before anything can be received.
      connection.drop();
      this.#execute(view, start + HEADER_SIZE, descriptors);
      return true;
    }
    const copy = bytes.slice(start, start + size);
    connection.drop();
    this.#execute(new DataView(copy.buffer), HEADER_SIZE, descriptors);
    return true;
  }

  #isRegisterAccess(command: number): boolean {
    return (command === Command.VFIO_USER_REGION_READ ||
      command === Command.VFIO_USER_REGION_WRITE) &&
      isCommand(this.#header) &&
      this.#commands !== null && !this.#parts.migration.stopped;
  }

  #begin(): void {
    this.#busy = true;
    this.#beganNs = this.#clock.nowNs;
  }

  /** One whole message, whose bytes are ours. */
  #execute(view: DataView, at: number, descriptors: readonly Descriptor[] | null): void {
    const header = this.#header;
    if (isReply(header) && this.#remote?.takesLate(header.id, header.command) === true) {
      closeAll(descriptors ?? NO_DESCRIPTORS);
      return;
    }
    this.#begin();
    if (descriptors !== null && descriptors.length > 0) this.#receiveAgain = true;
    const body: CommandBody = {
      view,
      at,
      length: header.size - HEADER_SIZE,
      descriptors: descriptors ?? NO_DESCRIPTORS,
    };
    const refused = this.#refusal(descriptors);
    if (refused !== 0) {
      closeAll(body.descriptors);
      this.fail(refused);
      if (this.#commands === null) {
        this.#hungUp ??= `its first message is no VFIO_USER_VERSION that we accept`;
      }
      return;
    }
    try {
      if (this.#commands === null) this.#version(body);
      else this.#commands.execute(header.command, body);
    } catch (error) {
      // Descriptors or memory of this process have run out.
      if (!(error instanceof LinuxError)) throw error;
      closeAll(body.descriptors);
      if (this.#busy) this.fail(error.errno);
    }
  }

  /** What every command is subject to: 0, or the errno that it is refused with. */
  #refusal(descriptors: readonly Descriptor[] | null): number {
    const { command } = this.#header;
    const { capabilities, migration } = this.#parts;
    if (!isCommand(this.#header)) return Errno.EINVAL;
    if (descriptors === null || descriptors.length > capabilities.max_msg_fds) return Errno.EINVAL;
    // The first message, and no other (rule 7).
    if ((command === Command.VFIO_USER_VERSION) !== (this.#commands === null)) return Errno.EINVAL;
    return migration.stopped && !WHILE_STOPPED.includes(command) && this.#commands !== null
      ? Errno.EINVAL
      : 0;
  }

  /** Agrees with the client on what is in force (rules 7 and 8). */
  #version({ view, at, length, descriptors }: CommandBody): void {
    closeAll(descriptors);
    const request = VERSION.request.create();
    let result = VERSION.request.decode(view, at, length, request);
    if (result === 0 && request.major !== VFIO_USER_MAJOR) result = -Errno.EINVAL;
    if (result !== 0) return this.#refuse(result, "its version is not ours");
    const theirs = parseVersionData(
      new Uint8Array(view.buffer, view.byteOffset + request.dataAt, request.dataLength),
    );
    if (isVersionFailure(theirs)) return this.#refuse(theirs.errno, theirs.reason);
    const inForce = negotiate(this.#parts.capabilities, theirs);
    if (isVersionFailure(inForce)) return this.#refuse(inForce.errno, inForce.reason);

    const theirEnd = inForce.twinSocket && inForce.maxSendFds > 0 ? this.#makeTwin() : null;
    try {
      this.#open(inForce);
      const json = encodeVersionData(replyCapabilities(inForce, theirEnd === null ? null : 0));
      const bytes = new Uint8Array(json.length + 1);
      bytes.set(json);
      const { head } = this.#connection;
      const fixed = VERSION.reply.encode(head, HEADER_SIZE, {
        major: VFIO_USER_MAJOR,
        minor: Math.min(VFIO_USER_MINOR, request.minor),
        dataAt: 0,
        dataLength: 0,
      });
      this.done(fixed, bytes, theirEnd === null ? undefined : [theirEnd.fd]);
    } finally {
      theirEnd?.close();
    }
  }

  #refuse(errno: number, reason: string): void {
    this.fail(errno);
    this.#hungUp ??= reason;
  }

  /** The socket for our commands. @returns the client's end */
  #makeTwin(): UnixStream {
    const [ours, theirs] = UnixStream.pair({ receiveLimit: this.#connection.limit });
    const connection = new Connection(ours, ">");
    connection.observer = this.#parts.observer;
    connection.limit = this.#connection.limit;
    const registration = this.#parts.machine.reactor.add(
      ours.fd,
      POLLIN,
      (events) => this.#twinReady(ours, events),
    );
    const calm = new CalmBuffer(this.#clock, ours);
    this.#twin = { connection, registration, calm, waits: false };
    return theirs;
  }

  #twinReady(stream: UnixStream, events: number): void {
    if ((events & POLLOUT) !== 0) {
      const left = stream.flush();
      if (left < 0) return this.#twinEnded();
      if (left === 0) this.#watch();
    }
    const received = stream.receive();
    if (received > 0) this.#remote?.readTwin();
    else if (received !== -Errno.EAGAIN) this.#twinEnded();
  }

  /** Without it the device cannot work: the connection ends once what has been sent is carried out. */
  #twinEnded(): void {
    this.#twin?.registration.remove();
    this.#remote?.close();
    this.#leaving = true;
    this.#pump();
  }

  #open(inForce: Negotiated): void {
    const parts = this.#parts;
    const remote = new RemoteMemory({
      connection: this.#twin?.connection ?? this.#connection,
      socket: this.#twin === null ? "main" : "twin",
      host: this,
      calm: this.#twin?.calm ?? this.#calm,
      clock: this.#clock,
      metrics: parts.metrics,
      maxTransfer: inForce.maxDataXferSize,
      patience: parts.patience,
    });
    this.#greeting.cancel();
    this.#remote = remote;
    this.#commands = new Commands(parts, this, inForce, remote, this.#doorbells);
  }

  /** For the log: what is going on. */
  inspect(): Record<string, unknown> {
    return {
      negotiated: this.negotiated,
      twinSocket: this.twinSocket,
      busyWith: this.#busy ? commandName(this.#header.command) : null,
      queued: this.#queue.length,
      pendingBytes: this.#isClosed ? 0 : this.#connection.stream.pendingBytes,
      receiveBufferBytes: this.#connection.stream.capacity,
    };
  }
}

/** Listens for room when part of a command waits for it. @returns whether one does */
function watchTwin(twin: Twin): boolean {
  const waits = twin.connection.stream.pendingBytes > 0;
  if (waits !== twin.waits) {
    twin.waits = waits;
    twin.registration.watch(POLLIN | (waits ? POLLOUT : 0));
  }
  return waits;
}

/** Whether the command's body is nothing but numbers, which are decoded first of all. */
function isMapping(command: number): boolean {
  return command === Command.VFIO_USER_DMA_MAP || command === Command.VFIO_USER_DMA_UNMAP;
}

function copyHeader(from: Readonly<Header>, to: Header): void {
  to.id = from.id;
  to.command = from.command;
  to.size = from.size;
  to.flags = from.flags;
  to.error = from.error;
}
