/**
 * Commands and replies over the one or two sockets of a connection, from the
 * client's side: any number of commands may be out, replies are matched by ID, and
 * what the server asks of us is answered whenever we poll.
 *
 * Everything is a plain call. {@linkcode MessageEngine.send} puts a command on its
 * way, {@linkcode MessageEngine.poll} takes in what has arrived, and
 * {@linkcode MessageEngine.wait} does the latter until an answer is there.
 *
 * @module
 */

import { CALM_MS } from "../../linux/calm_buffer.ts";
import { closeAll, type Descriptor } from "../../linux/descriptor.ts";
import { Errno, errnoName, LinuxError } from "../../linux/errno.ts";
import { POLLIN, POLLOUT } from "../../linux/libc.ts";
import { FIRST_BUFFER, type UnixStream } from "../../linux/unix_stream.ts";
import { Connection, type FrameObserver, Front } from "../connection.ts";
import { commandName } from "../message_fields.ts";
import type { Frame } from "../message_log.ts";
import type { MessageCodec } from "../messages/codec.ts";
import { checkHeader, HEADER_SIZE, isReply, replyResult, wantsReply } from "../messages/header.ts";
import { VfioUserFlags } from "../spec.ts";
import { badReply, beyondLimit, refused, VfioUserError } from "./client_error.ts";
import { type Pollable, PollGroup, type ReadyFd } from "./poll_group.ts";
import { Ticket } from "./ticket.ts";

/** A reply as it arrived. Valid until the function that got it returns. */
export interface Reply {
  /** The receive buffer. */
  readonly view: DataView;
  /** The same bytes. */
  readonly bytes: Uint8Array;
  /** Where the body starts, in both. */
  readonly at: number;
  /** Bytes of the body. */
  readonly length: number;
  /** How many descriptors came with it. */
  readonly descriptorCount: number;
  /** The descriptors: the caller's from now on. Those that nobody takes are closed. */
  takeDescriptors(): readonly Descriptor[];
}

/** A command that the server sent. Valid until the handler returns. */
export interface ServerCommand {
  readonly command: number;
  /** The receive buffer. */
  readonly view: DataView;
  /** The same bytes. */
  readonly bytes: Uint8Array;
  /** Where the body starts, in both. */
  readonly at: number;
  /** Bytes of the body. */
  readonly length: number;
  /** Where the fixed part of the reply's body goes, from {@linkcode replyAt} on: the last thing a handler does. */
  readonly reply: DataView;
  readonly replyAt: number;
  /** Data that follows the fixed part; null for none. */
  data: Uint8Array | null;
}

/**
 * Does a server's command. @returns bytes of the reply's fixed part, or the negative errno that
 * the reply carries. It may send commands, but not wait.
 */
export type ServerCommandHandler = (command: ServerCommand) => number;

/** What an engine is made with. */
export interface MessageEngineOptions {
  /** Bytes of the longest message we take. */
  readonly messageLimit: number;
  /** Descriptors that we take in one message. */
  readonly maxReceiveFds: number;
  /** Milliseconds that a wait lasts unless told; 10 000 unless told. */
  readonly timeoutMs?: number;
  /** Served while we wait; one of our own unless told. */
  readonly group?: PollGroup;
  /** By command number. */
  readonly handlers?: ReadonlyMap<number, ServerCommandHandler>;
  /** Gets every frame, in order. */
  readonly tap?: ((frame: Frame) => void) | undefined;
}

/** How a command is sent. */
export interface SendOptions {
  /** Follows the fixed part. */
  readonly data?: Uint8Array;
  /** Stay the caller's. */
  readonly fds?: readonly number[];
}

const NO_FDS: readonly number[] = [];
const NO_DESCRIPTORS: readonly Descriptor[] = [];
/** Commands that can be out at one time: IDs have 16 bits. */
const MAX_OUT = 0x1_0000;
/** Bytes that may wait for a server that does not read before we stop to wait for it. */
const HIGH_WATER = 0x8000;
/** Commands with descriptors that may be out: a user's descriptors in flight are limited (unix(7)). */
const MAX_OUT_WITH_FDS = 256;

/** Receives on the main socket that go before what has come on the twin, however much there is. */
const MAIN_TURNS = 64;

interface Pending {
  readonly ticket: Ticket<unknown>;
  readonly command: number;
  readonly receive: (reply: Reply) => unknown;
  readonly withFds: boolean;
}

const NOTHING: readonly ReadyFd[] = [];

/** See the module. */
export class MessageEngine implements Pollable, Disposable {
  /** What is served while we wait. */
  readonly group: PollGroup;
  /** Milliseconds that a wait lasts unless told. */
  readonly timeoutMs: number;
  readonly #ownGroup: boolean;
  readonly #maxReceiveFds: number;
  readonly #handlers: ReadonlyMap<number, ServerCommandHandler>;

  readonly #main: Connection;
  #twin: Connection | null = null;
  readonly #fds: { fd: number; events: number }[];
  readonly #pending = new Map<number, Pending>();
  #outWithFds = 0;
  #nextId = 1;
  #failure: VfioUserError | null = null;
  /** When to see whether a large buffer can be given back, in milliseconds of `performance.now()`. */
  #shrinkMs = 0;
  /** A handler runs: the receive buffer is in use, and nothing more may be taken in. */
  #inHandler = false;
  #descriptors: readonly Descriptor[] = NO_DESCRIPTORS;
  readonly #reply: { -readonly [K in keyof Reply]: Reply[K] };

  /** Takes over a connected stream. */
  constructor(stream: UnixStream, options: MessageEngineOptions) {
    this.#main = new Connection(stream, "<");
    this.#main.limit = options.messageLimit;
    const { tap } = options;
    if (tap !== undefined) this.#main.observer = observe(tap);
    this.#ownGroup = options.group === undefined;
    this.group = options.group ?? new PollGroup();
    this.timeoutMs = options.timeoutMs ?? 10_000;
    this.#maxReceiveFds = options.maxReceiveFds;
    this.#handlers = options.handlers ?? new Map();
    this.#fds = [{ fd: stream.fd, events: POLLIN }];
    this.#reply = {
      view: stream.view,
      bytes: stream.bytes,
      at: 0,
      length: 0,
      descriptorCount: 0,
      takeDescriptors: () => {
        const taken = this.#descriptors;
        this.#descriptors = NO_DESCRIPTORS;
        return taken;
      },
    };
    this.group.add(this);
  }

  /** Why the connection is over; null while it is not. */
  get failure(): VfioUserError | null {
    return this.#failure;
  }

  /** Commands that have no answer yet. */
  get outstanding(): number {
    return this.#pending.size;
  }

  /** Takes over the socket on which the server sends its commands. */
  useTwin(stream: UnixStream): void {
    this.#twin = new Connection(stream, "<");
    this.#twin.limit = this.#main.limit;
    this.#twin.observer = this.#main.observer;
    this.#fds.push({ fd: stream.fd, events: POLLIN });
  }

  /** Whether the server has a socket of its own for commands. */
  get hasTwin(): boolean {
    return this.#twin !== null;
  }

  // Sending.

  /**
   * Sends a command. `receive` makes the answer from the reply's body; what it throws
   * fails the ticket. Waits only when too much is on its way already.
   * @throws {VfioUserError} when the connection is over
   */
  send<Request, T>(
    codec: MessageCodec<Request, unknown>,
    request: Readonly<Request>,
    receive: (reply: Reply) => T,
    options: SendOptions = {},
  ): Ticket<T> {
    const { command } = codec;
    const fds = options.fds ?? NO_FDS;
    this.#makeRoom(command, fds.length > 0);
    const id = this.#takeId();
    this.#transmit(codec, request, id, 0, options.data ?? null, fds);
    const ticket = new Ticket<T>(command);
    const withFds = fds.length > 0;
    this.#pending.set(id, { ticket, command, receive, withFds });
    if (withFds) this.#outWithFds++;
    return ticket;
  }

  /** Sends a command that wants no reply (vfio-user, Header: No_reply). @throws {VfioUserError} as {@linkcode send} */
  post<Request>(
    codec: MessageCodec<Request, unknown>,
    request: Readonly<Request>,
    data: Uint8Array | null = null,
  ): void {
    this.#makeRoom(codec.command, false);
    this.#transmit(codec, request, this.#takeId(), VfioUserFlags.NO_REPLY, data, NO_FDS);
  }

  #transmit<Request>(
    codec: MessageCodec<Request, unknown>,
    request: Readonly<Request>,
    id: number,
    flags: number,
    data: Uint8Array | null,
    fds: readonly number[],
  ): void {
    const main = this.#main;
    const body = codec.request.encode(main.head, HEADER_SIZE, request);
    if (HEADER_SIZE + body > 0xffff_ffff) {
      throw beyondLimit(codec.command, `it would have ${body} bytes`);
    }
    const fixed = body - (data?.length ?? 0);
    const result = main.command(id, codec.command, flags, fixed, data, fds);
    if (result < 0) {
      this.#hangUp(codec.command, result);
      throw this.#over(codec.command);
    }
  }

  /** Waits while the server does not keep up. A handler goes ahead: it must not wait. */
  #makeRoom(command: number, withFds: boolean): void {
    if (this.#failure !== null) throw this.#over(command);
    if (this.#inHandler) {
      if (this.#pending.size < MAX_OUT - 1) return;
      throw beyondLimit(command, `${this.#pending.size} commands have no reply, and no ID is left`);
    }
    if (
      this.#main.stream.pendingBytes <= (withFds ? 0 : HIGH_WATER) &&
      this.#pending.size < MAX_OUT - 1 &&
      (!withFds || this.#outWithFds < MAX_OUT_WITH_FDS)
    ) return;
    const roomy = {
      engine: this,
      get done(): boolean {
        const { engine } = this;
        return engine.#failure !== null ||
          engine.#main.stream.pendingBytes === 0 && engine.#pending.size < MAX_OUT - 1 &&
            (!withFds || engine.#outWithFds < MAX_OUT_WITH_FDS);
      },
    };
    if (!this.group.wait(roomy, this.timeoutMs)) {
      throw new VfioUserError(
        "timeout",
        `Cannot send ${commandName(command)}: the server has not taken what was sent before ` +
          `for ${this.timeoutMs} ms (${this.#pending.size} commands have no reply)`,
        { command },
      );
    }
    if (this.#failure !== null) throw this.#over(command);
  }

  #takeId(): number {
    let id = this.#nextId;
    while (this.#pending.has(id)) id = (id + 1) & 0xffff;
    this.#nextId = (id + 1) & 0xffff;
    return id;
  }

  // Waiting.

  /**
   * Waits for an answer, and serves the whole group meanwhile. On a timeout the answer is
   * given up: it is ignored when it comes after all.
   * @throws {VfioUserError} what made it fail; `timeout`
   */
  wait<T>(ticket: Ticket<T>, timeoutMs: number = this.timeoutMs): T {
    if (!ticket.done) {
      if (this.#inHandler) {
        throw new Error("Cannot wait for an answer within a handler: the server waits for us");
      }
      if (!this.group.wait(ticket, timeoutMs)) {
        ticket.abandon();
        const { command } = ticket;
        throw new VfioUserError(
          "timeout",
          `Cannot finish ${command === 0 ? "the request" : commandName(command)}: ` +
            `the server has not answered for ${timeoutMs} ms`,
          { command },
        );
      }
    }
    return ticket.value;
  }

  /** The answer as a promise; the group is served in the background meanwhile. */
  settled<T>(ticket: Ticket<T>): Promise<T> {
    return this.group.settled(ticket);
  }

  // Receiving.

  readyFds(): readonly ReadyFd[] {
    if (this.#failure !== null || this.#inHandler) return NOTHING;
    const [main, twin] = this.#fds;
    if (main !== undefined) {
      main.events = this.#main.stream.pendingBytes > 0 ? POLLIN | POLLOUT : POLLIN;
    }
    if (twin !== undefined) {
      twin.events = (this.#twin?.stream.pendingBytes ?? 0) > 0 ? POLLIN | POLLOUT : POLLIN;
    }
    return this.#fds;
  }

  poll(): boolean {
    if (this.#failure !== null || this.#inHandler) return false;
    const any = this.#pollMain();
    if (this.#twin === null || this.#failure !== null) return any;
    return this.#pollTwin(this.#twin) || any;
  }

  #pollMain(): boolean {
    const got = this.#receive(this.#main);
    if (got) this.#takeMessages(this.#main);
    return got;
  }

  #pollTwin(twin: Connection): boolean {
    if (!this.#receive(twin)) return false;
    // A reply that the server sent before a command, to a DMA_UNMAP above all, is there as well by now.
    for (let turns = MAIN_TURNS; turns > 0 && this.#pending.size > 0 && this.#pollMain();) turns--;
    this.#takeMessages(twin);
    return true;
  }

  /** Sends what waits, and receives once. Whether anything has happened. */
  #receive({ stream }: Connection): boolean {
    if (stream.pendingBytes > 0) {
      const left = stream.flush();
      if (left < 0) {
        this.#hangUp(0, left);
        return true;
      }
    }
    const got = stream.receive();
    if (got === -Errno.EAGAIN) return false;
    if (got <= 0) this.#hangUp(0, got);
    return true;
  }

  /** As the server does, but for want of timers only when something has come. */
  #shrink(stream: UnixStream): void {
    const now = performance.now();
    if (now < this.#shrinkMs) return;
    this.#shrinkMs = now + CALM_MS;
    stream.shrink();
  }

  #takeMessages(connection: Connection): void {
    const { header } = connection;
    while (this.#failure === null) {
      const front = connection.front();
      if (front === Front.PARTIAL) {
        if (connection.stream.capacity > FIRST_BUFFER) this.#shrink(connection.stream);
        return;
      }
      if (front === Front.LOST || checkHeader(header, connection.limit) !== 0) {
        connection.showLost();
        this.#breakOff(
          `the header of ${commandName(header.command)} has size ${header.size} and flags ` +
            `0x${header.flags.toString(16)}; a size is 16 to ${connection.limit}, a type 0 or 1`,
        );
        return;
      }
      const arrived = connection.takeDescriptors();
      if (isReply(header)) this.#takeReply(connection, arrived);
      else this.#takeCommand(connection, arrived);
    }
  }

  #takeReply(connection: Connection, arrived: readonly Descriptor[] | null): void {
    const { header, stream } = connection;
    const { id, command, size } = header;
    const pending = this.#pending.get(id);
    if (connection !== this.#main || pending === undefined || pending.command !== command) {
      closeAll(arrived ?? []);
      const name = commandName(command);
      this.#breakOff(
        connection !== this.#main
          ? `a reply to ${name} came on the socket for the server's own commands`
          : pending === undefined
          ? `a reply to ${name} came with ID ${id}, which no command of ours has`
          : `the reply with ID ${id} is to ${name}, and we sent ${commandName(pending.command)}`,
      );
      return;
    }
    const { ticket } = pending;
    const result = replyResult(header);
    let value: unknown;
    let error: unknown = null;
    this.#descriptors = arrived ?? [];
    if (result < 0) error = refused(command, result);
    else if (arrived === null || arrived.length > this.#maxReceiveFds) {
      const count = arrived === null ? "more descriptors than arrive" : `${arrived.length}`;
      error = badReply(command, `it has ${count}, and we take ${this.#maxReceiveFds} descriptors`);
    } else if (ticket.abandoned) {
      error = new VfioUserError("timeout", "The answer came after nobody wanted it", { command });
    } else {
      const reply = this.#reply;
      reply.view = stream.view;
      reply.bytes = stream.bytes;
      reply.at = stream.start + HEADER_SIZE;
      reply.length = size - HEADER_SIZE;
      reply.descriptorCount = arrived.length;
      try {
        value = pending.receive(reply);
      } catch (caught) {
        error = caught;
      }
    }
    closeAll(this.#descriptors);
    this.#descriptors = NO_DESCRIPTORS;
    this.#pending.delete(id);
    if (pending.withFds) this.#outWithFds--;
    connection.drop();
    if (error !== null) ticket.fail(error);
    else ticket.settle(value);
  }

  #takeCommand(connection: Connection, arrived: readonly Descriptor[] | null): void {
    const { header, stream } = connection;
    const { command, size } = header;
    closeAll(arrived ?? []);
    const handler = this.#handlers.get(command);
    const request: ServerCommand = {
      command,
      view: stream.view,
      bytes: stream.bytes,
      at: stream.start + HEADER_SIZE,
      length: size - HEADER_SIZE,
      reply: stream.head,
      replyAt: HEADER_SIZE,
      data: null,
    };
    let result: number = -Errno.EINVAL;
    let failure: { readonly error: unknown } | null = null;
    this.#inHandler = true;
    try {
      if (handler !== undefined) result = handler(request);
    } catch (error) {
      failure = { error };
      result = -Errno.EIO;
    }
    this.#inHandler = false;
    // The handler may have closed us.
    if (this.#failure === null && wantsReply(header)) {
      const sent = result < 0
        ? connection.replyError(header, result)
        : connection.reply(header, result, request.data);
      if (sent < 0) this.#hangUp(command, sent);
    }
    if (this.#failure === null) connection.drop();
    if (failure !== null) throw failure.error;
  }

  // The end.

  /** Closes the sockets. What has no answer yet fails. Idempotent. */
  close(): void {
    this.#end(new VfioUserError("closed", "The connection to the server is over: we closed it"));
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #hangUp(command: number, result: number): void {
    const how = result === 0 ? "the server ended it" : errnoName(result);
    const { size } = this.#pending;
    const at = size > 0 ? ` with ${size} ${size === 1 ? "command" : "commands"} unanswered` : "";
    this.#end(
      new VfioUserError("closed", `The connection to the server is over${at}: ${how}`, { command }),
    );
  }

  #breakOff(found: string): void {
    this.#end(
      new VfioUserError(
        "protocol",
        `Cannot go on with the server, the connection is over: ${found}`,
      ),
    );
  }

  #over(command: number): VfioUserError {
    const failure = this.#failure as VfioUserError;
    return new VfioUserError(
      failure.code,
      `Cannot send ${commandName(command)}: ${failure.message}`,
      { command, cause: failure },
    );
  }

  #end(failure: VfioUserError): void {
    if (this.#failure !== null) return;
    this.#failure = failure;
    this.#main.close();
    this.#twin?.close();
    this.group.remove(this);
    if (this.#ownGroup) this.group.close();
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    this.#outWithFds = 0;
    let broken: { readonly error: unknown } | null = null;
    for (const { ticket } of pending) {
      try {
        ticket.fail(failure);
      } catch (error) {
        // A callback is broken: whoever waits for the other answers is told all the same.
        broken ??= { error };
      }
    }
    if (broken !== null) throw broken.error;
  }
}

/** Dates each frame, from now on. */
function observe(tap: (frame: Frame) => void): FrameObserver {
  const startedMs = performance.now();
  return {
    frame(direction, bytes, descriptors): void {
      const timeNs = Math.round((performance.now() - startedMs) * 1e6);
      tap({ timeNs, direction, bytes, descriptors });
    },
  };
}

/** What the commonest errors of connect(2) mean, by name. */
const CONNECT_FAILURES: Readonly<Record<string, string>> = {
  ENOENT: "nothing is there",
  ECONNREFUSED: "nobody listens there",
  EAGAIN: "too many clients wait there already",
};

/** Turns a failed connect into our error. */
export function connectFailure(path: string, error: unknown): unknown {
  if (!(error instanceof LinuxError)) return error;
  const wrong = CONNECT_FAILURES[error.code] ?? error.code;
  const right = error.code === "EAGAIN"
    ? "try again when they have gone"
    : "give the path of a socket that a vfio-user server listens on";
  return new VfioUserError(
    "closed",
    `Cannot connect to ${path}: ${wrong}; ${right}`,
    { errno: error.errno, cause: error },
  );
}
