/**
 * A vfio-user server: one PCI function behind one socket, for one client after the other.
 *
 * The device lives as long as the server. A client's mappings, eventfds and descriptors live as long
 * as the client; a second one waits in the socket's queue until the first has gone, since a client
 * that was killed and started again may connect before the end of the old connection is seen.
 *
 * @module
 */

import type { Completion } from "../../../core/iommu/completion.ts";
import type { Timer } from "../../../core/observe/clock.ts";
import type { DeviceError } from "../../../devices/pci/device_error.ts";
import type { PciDevice } from "../../../devices/pci/pci_device.ts";
import { PciFunction } from "../../../devices/pci/pci_function.ts";
import { Errno, errnoName } from "../../linux/errno.ts";
import { POLLIN } from "../../linux/libc.ts";
import type { Registration } from "../../linux/reactor.ts";
import { UnixListener } from "../../linux/unix_socket.ts";
import { type Capabilities, OUR_CAPABILITIES } from "../capabilities.ts";
import { type FrameObserver, RECEIVE_AHEAD } from "../connection.ts";
import { messageLimit } from "../messages/header.ts";
import { DmaRegions } from "./dma_regions.ts";
import { Features } from "./features.ts";
import { Irqs } from "./irqs.ts";
import { ServerMetrics } from "./metrics.ts";
import { Migration } from "./migration.ts";
import { Patience } from "./patience.ts";
import { Regions } from "./regions.ts";
import type { ServerMachine } from "./server_machine.ts";
import { MAX_BITMAP, type ServerParts } from "./server_parts.ts";
import { Session } from "./session.ts";
import { SharedBars } from "./shared_bars.ts";

/** What a server announces unless told otherwise: all that it has. */
export const SERVER_CAPABILITIES: Capabilities = {
  ...OUR_CAPABILITIES,
  migration: { pgsize: 4096, max_bitmap_size: MAX_BITMAP },
};

/** Milliseconds after which a server that could not accept a client tries again. */
const ACCEPT_AGAIN_MS = 100;

/** How a server is made. */
export interface VfioUserServerOptions {
  /** Where it listens: a path of at most 107 bytes, in a directory that is there. */
  readonly path: string;
  /** The model, attached to nothing yet. */
  readonly device: PciDevice;
  /** Endpoint and domain of the function in the machine's IOMMU; a free number unless told. */
  readonly endpoint?: number;
  /** What it says of itself. */
  readonly capabilities?: Capabilities;
  /**
   * Milliseconds that an access to memory without a descriptor may take; 2000 unless told. QEMU gives
   * a reply up after 5 s (spec/09 rule 6). A client that is slow again and again is given less.
   */
  readonly remoteTimeoutMs?: number;
  /**
   * Milliseconds that a client may leave replies unread, or its version unsaid, before it is hung up
   * on; 30 000 unless told.
   */
  readonly stallTimeoutMs?: number;
  /** Told of every message. */
  readonly observer?: FrameObserver;
  /** Told of clients, for people. */
  readonly log?: (line: string) => void;
  /** Told of each bug of the model. */
  readonly onError?: (error: DeviceError) => void;
  /** Called when a client has gone and nothing of it is left: resets the device, if that is wanted. */
  readonly onDisconnect?: (hosted: PciFunction) => void;
}

/** See the module. All of it happens on the machine's reactor. */
export class VfioUserServer implements Disposable {
  /** Where it listens. */
  readonly path: string;
  /** The device with what is around it. */
  readonly hosted: PciFunction;
  /** What it counts, over all of its clients. */
  readonly metrics: ServerMetrics = new ServerMetrics();
  /** Its number in the machine's IOMMU, as endpoint and as domain. */
  readonly endpoint: number;
  readonly #machine: ServerMachine;
  readonly #options: VfioUserServerOptions;
  readonly #listener: UnixListener;
  readonly #registration: Registration;
  readonly #shared = new SharedBars();
  readonly #parts: ServerParts;
  #session: Session | null = null;
  /** A client has gone, and DMA to its memory is still in flight. */
  #clearing = false;
  /** Until when nobody is accepted, since that has just failed. */
  #pause: Timer | null = null;
  /** Accepting fails, and that has been said. */
  #refusing = false;
  #disposed = false;

  /**
   * Listens from now on.
   * @throws {LinuxError} `EADDRINUSE` and the like
   * @throws {RangeError} when the device describes itself in a way that PCI does not allow
   */
  constructor(machine: ServerMachine, options: VfioUserServerOptions) {
    const { reactor, iommu } = machine;
    this.#machine = machine;
    this.#options = options;
    this.path = options.path;
    this.endpoint = options.endpoint ?? machine.nextEndpoint();
    const endpoint = iommu.addEndpoint(this.endpoint);
    const domain = iommu.createDomain(this.endpoint);
    iommu.attach(this.endpoint, this.endpoint);

    const irqs = new Irqs(options.device.interrupts, reactor, () => machine.memory.settleViews());
    try {
      this.hosted = new PciFunction(options.device, {
        memory: endpoint.memory,
        clock: machine.clock,
        sink: irqs,
        messages: irqs,
        sharedMemory: (bar) => this.#shared.create(bar),
        ...(options.onError === undefined ? {} : { onError: options.onError }),
      });
      irqs.own(this.hosted);
      this.#listener = UnixListener.listen(options.path);
    } catch (error) {
      this.#leaveMachine();
      throw error;
    }
    const settle = (): Completion => domain.space.inFlight.drainEndpoint(this.endpoint);
    const dma = new DmaRegions(machine, this.endpoint);
    const migration = new Migration(this.hosted, settle);
    this.#parts = {
      machine,
      hosted: this.hosted,
      regions: new Regions(this.hosted, this.#shared),
      irqs,
      dma,
      migration,
      features: new Features(migration, domain.space, dma),
      metrics: this.metrics,
      capabilities: options.capabilities ?? SERVER_CAPABILITIES,
      patience: new Patience(reactor.clock, options.remoteTimeoutMs ?? 2000),
      stallTimeoutMs: options.stallTimeoutMs ?? 30_000,
      observer: options.observer ?? null,
      settle,
    };
    this.#registration = reactor.add(this.#listener.fd, POLLIN, () => this.#accept());
  }

  /** Whether a client is connected. */
  get connected(): boolean {
    return this.#session !== null;
  }

  /** DMA regions of the client. */
  get regions(): number {
    return this.#parts.dma.count;
  }

  /** A value of `VfioDeviceMigState`. */
  get migrationState(): number {
    return this.#parts.migration.state;
  }

  /** Hangs up on the client, if there is one. */
  disconnect(reason: string): void {
    this.#session?.close(reason);
  }

  /** Plain JSON of all of it. */
  inspect(): Record<string, unknown> {
    return {
      path: this.path,
      endpoint: this.endpoint,
      session: this.#session?.inspect() ?? null,
      regions: this.regions,
      irqs: this.#parts.irqs.inspect(),
      migrationState: this.migrationState,
      migrationFailure: this.#parts.migration.lastFailure,
      metrics: this.metrics.snapshot(),
      function: this.hosted.inspect(),
    };
  }

  /** Hangs up, stops listening, and takes the device out of the machine. Idempotent. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#pause?.cancel();
    this.#registration.remove();
    this.#listener.close();
    this.disconnect("the server is shut down");
    // A model that holds on to memory beyond its client lets go of it now.
    this.hosted.reset();
    this.#leaveMachine();
  }

  #leaveMachine(): void {
    const { iommu } = this.#machine;
    iommu.removeEndpoint(this.endpoint).whenDone(() => iommu.destroyDomain(this.endpoint));
    this.#shared[Symbol.dispose]();
  }

  #accept(): void {
    if (this.#session !== null || this.#clearing) return;
    const limit = messageLimit(this.#parts.capabilities.max_data_xfer_size);
    const stream = this.#listener.accept({ receiveLimit: limit + RECEIVE_AHEAD });
    if (typeof stream === "number") {
      if (stream !== -Errno.EAGAIN) this.#waitToAccept(stream);
      return;
    }
    this.#refusing = false;
    this.metrics.clients++;
    this.#registration.watch(0);
    this.#log("A client has connected");
    this.#session = new Session(this.#parts, stream, (reason) => this.#gone(reason));
  }

  /** What stands in the way, such as too many open files, may pass: a client that waits must not wake every poll until then. */
  #waitToAccept(failure: number): void {
    if (!this.#refusing) {
      this.#log(
        `Cannot accept a client: ${errnoName(failure)}; tried again every ${ACCEPT_AGAIN_MS} ms`,
      );
    }
    this.#refusing = true;
    this.#registration.watch(0);
    this.#pause = this.#machine.reactor.clock.defer(ACCEPT_AGAIN_MS, () => {
      this.#pause = null;
      this.#registration.watch(POLLIN);
    });
  }

  /** The client is gone: its memory and its interrupts go, the device's state stays (rule 25). */
  #gone(reason: string): void {
    this.#log(`The client is gone: ${reason}`);
    this.#session = null;
    const { irqs, dma, migration, features } = this.#parts;
    irqs.disconnect();
    migration.restart();
    features.disconnect();
    this.#clearing = true;
    dma.unmapAll().whenDone(() => {
      this.#clearing = false;
      if (this.#disposed) return;
      this.#options.onDisconnect?.(this.hosted);
      this.#registration.watch(POLLIN);
    });
  }

  #log(line: string): void {
    this.#options.log?.(line);
  }
}
