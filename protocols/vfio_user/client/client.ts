/**
 * The client of vfio-user: connects, agrees on a version and capabilities, and offers
 * every command of the protocol.
 *
 * A command returns a {@linkcode Ticket}; {@linkcode VfioUserClient.wait} gets its
 * answer, and any number may be out meanwhile:
 *
 *     const client = VfioUserClient.connect("run/edu.sock");
 *     const id = new Uint8Array(4);
 *     client.wait(client.regions.read(0, 0, id));
 *
 * @module
 */

import type { Descriptor } from "../../linux/descriptor.ts";
import { connectUnix } from "../../linux/unix_socket.ts";
import { UnixStream, type UnixStreamOptions } from "../../linux/unix_stream.ts";
import {
  type Capabilities,
  encodeVersionData,
  isVersionFailure,
  negotiate,
  type Negotiated,
  OUR_CAPABILITIES,
  parseVersionData,
  twinSocketIndex,
} from "../capabilities.ts";
import type { Frame } from "../message_log.ts";
import { DEVICE_GET_INFO, DEVICE_RESET, type DeviceInfo } from "../messages/device.ts";
import { messageLimit } from "../messages/header.ts";
import { VERSION } from "../messages/version.ts";
import { VFIO_USER_MAJOR, VFIO_USER_MINOR } from "../spec.ts";
import { badReply, VfioUserError } from "./client_error.ts";
import { DmaCommands } from "./dma_commands.ts";
import { FeatureCommands } from "./feature_commands.ts";
import { IrqCommands } from "./irq_commands.ts";
import {
  connectFailure,
  MessageEngine,
  type Reply,
  type ServerCommandHandler,
} from "./message_engine.ts";
import { type Pollable, PollGroup, type ReadyFd } from "./poll_group.ts";
import { RegionCommands } from "./region_commands.ts";
import type { Ticket } from "./ticket.ts";

/** How a client is made. */
export interface VfioUserClientOptions {
  /** Milliseconds that a wait lasts unless told; 10 000 unless told. */
  readonly timeoutMs?: number;
  /** What we announce; all that we have unless told. */
  readonly capabilities?: Partial<Capabilities>;
  /** What is served while we wait; a group of our own unless told. */
  readonly group?: PollGroup;
  /** Does the server's commands, by number: see `dmaService()`. A command without one is refused. */
  readonly handlers?: ReadonlyMap<number, ServerCommandHandler>;
  /** Gets every frame of the connection, both sockets of it. */
  readonly tap?: (frame: Frame) => void;
}

/** What was agreed on. */
export interface Session {
  /** As the server accepted it. */
  readonly version: { readonly major: number; readonly minor: number };
  /** What the server said of itself. */
  readonly server: Capabilities;
  /** What holds between us. */
  readonly inForce: Negotiated;
}

/** Counts above this are a lie: a PCI device has 9 regions and 5 types of interrupts. */
const MAX_COUNT = 256;
/** Bytes that may wait for a server that does not read: several answers to DMA_READ. */
const SEND_LIMIT = 0x100_0000;
/** What a message may have beside its data, and a bitmap that fills a message. */
const RECEIVE_SLACK = 0x1000;

/** One connection at a time; {@linkcode VfioUserClient.reconnect} makes the next. */
export class VfioUserClient implements Pollable, Disposable {
  /** What is served while we wait. */
  readonly group: PollGroup;
  /** Where it connects to; null when it was given a stream. */
  readonly path: string | null;
  readonly #options: VfioUserClientOptions;
  readonly #capabilities: Capabilities;
  readonly #ownGroup: boolean;
  #engine: MessageEngine;
  #session: Session;
  #regions: RegionCommands;
  #dma: DmaCommands;
  #irqs: IrqCommands;
  #features: FeatureCommands;
  #closed = false;

  private constructor(path: string | null, stream: UnixStream, options: VfioUserClientOptions) {
    this.path = path;
    this.#options = options;
    this.#capabilities = { ...OUR_CAPABILITIES, ...options.capabilities };
    this.#ownGroup = options.group === undefined;
    this.group = options.group ?? new PollGroup();
    this.#engine = this.#makeEngine(stream);
    try {
      this.#session = this.#negotiate();
    } catch (error) {
      this.#engine.close();
      if (this.#ownGroup) this.group.close();
      throw error;
    }
    const { inForce } = this.#session;
    this.#regions = new RegionCommands(this.#engine, inForce);
    this.#dma = new DmaCommands(this.#engine, inForce);
    this.#irqs = new IrqCommands(this.#engine, inForce);
    this.#features = new FeatureCommands(this.#engine, inForce);
  }

  /**
   * Connects to the socket at `path` and negotiates.
   * @throws {VfioUserError} when nobody listens, or there is nothing to agree on
   */
  static connect(path: string, options: VfioUserClientOptions = {}): VfioUserClient {
    return new VfioUserClient(path, open(path, options), options);
  }

  /** Negotiates on a connected stream, which it takes over. @throws {VfioUserError} as {@linkcode connect} */
  static over(stream: UnixStream, options: VfioUserClientOptions = {}): VfioUserClient {
    return new VfioUserClient(null, stream, options);
  }

  /** What was agreed on. */
  get session(): Session {
    return this.#session;
  }

  /** Commands about regions, and access to them. */
  get regions(): RegionCommands {
    return this.#regions;
  }

  /** Commands that map and unmap memory for the device. */
  get dma(): DmaCommands {
    return this.#dma;
  }

  /** Commands about interrupts. */
  get irqs(): IrqCommands {
    return this.#irqs;
  }

  /** Migration and dirty-page logging. */
  get features(): FeatureCommands {
    return this.#features;
  }

  /** Why the connection is over; null while it is not. */
  get failure(): VfioUserError | null {
    return this.#engine.failure;
  }

  /** Commands that have no answer yet. */
  get outstanding(): number {
    return this.#engine.outstanding;
  }

  /** Whether the server's commands come on a socket of their own. */
  get hasTwinSocket(): boolean {
    return this.#engine.hasTwin;
  }

  /** VFIO_USER_DEVICE_GET_INFO. */
  deviceInfo(): Ticket<Readonly<DeviceInfo>> {
    const { command } = DEVICE_GET_INFO;
    const request = { argsz: DEVICE_GET_INFO.request.size, flags: 0, num_regions: 0, num_irqs: 0 };
    return this.#engine.send(DEVICE_GET_INFO, request, (reply) => {
      const info = DEVICE_GET_INFO.reply.create();
      const result = DEVICE_GET_INFO.reply.decode(reply.view, reply.at, reply.length, info);
      if (result !== 0) throw badReply(command, `its ${reply.length} bytes are no device`);
      if (info.num_regions > MAX_COUNT || info.num_irqs > MAX_COUNT) {
        throw badReply(
          command,
          `it has ${info.num_regions} regions and ${info.num_irqs} types of interrupts; ` +
            `${MAX_COUNT} are believed`,
        );
      }
      return info;
    });
  }

  /** VFIO_USER_DEVICE_RESET. */
  reset(): Ticket<void> {
    return this.#engine.send(DEVICE_RESET, {}, () => {});
  }

  /**
   * Waits for an answer; the whole group is served meanwhile. After a timeout the answer is
   * given up, and ignored when it comes after all.
   * @throws {VfioUserError} what made it fail; `timeout`
   */
  wait<T>(ticket: Ticket<T>, timeoutMs?: number): T {
    return this.#engine.wait(ticket, timeoutMs);
  }

  /** The answer as a promise; the group is served in the background meanwhile. It has no time limit. */
  settled<T>(ticket: Ticket<T>): Promise<T> {
    return this.#engine.settled(ticket);
  }

  /** For loops of one's own: what to wait for. */
  readyFds(): readonly ReadyFd[] {
    return this.#engine.readyFds();
  }

  /** Takes in what has arrived, answers the server's commands, and never waits. */
  poll(): boolean {
    return this.#engine.poll();
  }

  /**
   * Ends the connection, if there is one, makes a new one to the same path and negotiates. The
   * server has forgotten memory and interrupts: `ClientIommu.replay()` and
   * `RemoteFunction.replay()` bring them back.
   * @throws {VfioUserError} as {@linkcode connect}; `closed` without a path
   */
  reconnect(): void {
    if (this.path === null) {
      throw new VfioUserError("closed", "Cannot reconnect: the client was given a stream, no path");
    }
    if (this.#closed) throw new VfioUserError("closed", "Cannot reconnect: the client is closed");
    this.#engine.close();
    this.#engine = this.#makeEngine(open(this.path, this.#options));
    try {
      this.#session = this.#negotiate();
    } catch (error) {
      this.#engine.close();
      throw error;
    }
    const { inForce } = this.#session;
    this.#regions = new RegionCommands(this.#engine, inForce);
    this.#dma = new DmaCommands(this.#engine, inForce);
    this.#irqs = new IrqCommands(this.#engine, inForce);
    this.#features = new FeatureCommands(this.#engine, inForce);
  }

  /** Ends the connection. What has no answer yet fails. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#engine.close();
    if (this.#ownGroup) this.group.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #makeEngine(stream: UnixStream): MessageEngine {
    const { max_data_xfer_size, max_msg_fds } = this.#capabilities;
    const { timeoutMs, handlers, tap } = this.#options;
    return new MessageEngine(stream, {
      messageLimit: messageLimit(max_data_xfer_size) + RECEIVE_SLACK / 2,
      maxReceiveFds: max_msg_fds,
      group: this.group,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(handlers === undefined ? {} : { handlers }),
      ...(tap === undefined ? {} : { tap }),
    });
  }

  #negotiate(): Session {
    const ours = this.#capabilities;
    const json = encodeVersionData(ours);
    const data = new Uint8Array(json.length + 1);
    data.set(json);
    const proposal = {
      major: VFIO_USER_MAJOR,
      minor: VFIO_USER_MINOR,
      dataAt: 0,
      dataLength: json.length,
    };
    const engine = this.#engine;
    try {
      return engine.wait(
        engine.send(VERSION, proposal, (reply) => this.#accept(reply, ours), { data }),
      );
    } catch (error) {
      if (!(error instanceof VfioUserError) || error.code !== "timeout") throw error;
      throw new VfioUserError("timeout", `${error.message}; it may be serving another client`, {
        command: VERSION.command,
        cause: error,
      });
    }
  }

  #accept(reply: Reply, ours: Capabilities): Session {
    const { command } = VERSION;
    const version = VERSION.reply.create();
    if (VERSION.reply.decode(reply.view, reply.at, reply.length, version) !== 0) {
      throw badReply(command, `its ${reply.length} bytes are no version and JSON that ends in NUL`);
    }
    const { major, minor, dataAt, dataLength } = version;
    if (major !== VFIO_USER_MAJOR || minor > VFIO_USER_MINOR) {
      throw badReply(
        command,
        `it is version ${major}.${minor}, and we proposed ${VFIO_USER_MAJOR}.${VFIO_USER_MINOR}`,
      );
    }
    const server = parseVersionData(reply.bytes.subarray(dataAt, dataAt + dataLength));
    if (isVersionFailure(server)) throw badReply(command, server.reason);
    const inForce = negotiate(ours, server);
    if (isVersionFailure(inForce)) throw badReply(command, inForce.reason);
    const twin = twinSocketIndex(server, reply.descriptorCount);
    if (twin !== null && typeof twin === "object") throw badReply(command, twin.reason);
    if (twin !== null && !ours.twin_socket.supported) {
      throw badReply(command, "it has a twin socket, which we did not propose");
    }
    if (twin !== null) {
      const descriptors = reply.takeDescriptors();
      descriptors.forEach((descriptor, index) => {
        if (index !== twin) descriptor.close();
      });
      this.#engine.useTwin(
        new UnixStream(descriptors[twin] as Descriptor, streamOptions(this.#options)),
      );
    }
    return { version: { major, minor }, server, inForce };
  }
}

function streamOptions(options: VfioUserClientOptions): UnixStreamOptions {
  const limit = options.capabilities?.max_data_xfer_size ?? OUR_CAPABILITIES.max_data_xfer_size;
  return { receiveLimit: messageLimit(limit) + RECEIVE_SLACK, sendLimit: SEND_LIMIT };
}

function open(path: string, options: VfioUserClientOptions): UnixStream {
  try {
    return connectUnix(path, streamOptions(options));
  } catch (error) {
    throw connectFailure(path, error);
  }
}
