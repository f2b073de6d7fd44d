/**
 * The machine of one run in a server process: devices behind vfio-user sockets, and what the
 * harness wants to know of them.
 * @module
 */

import { isFault } from "../../core/address.ts";
import { type TraceEvent, TraceKind, TraceRing } from "../../core/observe/trace.ts";
import { VirtualClock } from "../../core/observe/virtual_clock.ts";
import type { DeviceType } from "../../devices/pci/pci_device.ts";
import type { Reactor } from "../../protocols/linux/mod.ts";
import {
  SERVER_CAPABILITIES,
  ServerMachine,
  VfioUserServer,
} from "../../protocols/vfio_user/server/mod.ts";
import { advanceClock } from "../machine/advance.ts";
import { DmaLook, LOOK_CAPACITY } from "../observe/dma_look.ts";
import { type EndpointFigures, figuresOf } from "../observe/endpoint_figures.ts";
import { describeError } from "../run/describe_error.ts";
import { KeptMessages } from "./kept_messages.ts";
import {
  type ControlRequest,
  type CountersResult,
  type Happened,
  type InspectResult,
  type LookResult,
  MAX_DMA_MAPS,
  type PlugResult,
  type TraceTuple,
} from "./vfio_user_control.ts";
import { CountersTeller } from "./vfio_user_counters.ts";

/** DMA that one answer brings at most. */
const TRACE_CAPACITY = 65536;
/** Invalidations that one answer brings at most: those of a client that sends as fast as it can. */
const INVALIDATIONS_KEPT = 16384;
/** Errors of one device that one answer brings, each a stack with its causes: those of a model that fails at every access. */
const ERRORS_TOLD = 8;
/** Events that a look brings at most. With every DMA traced there are more of them than a sample wants. */
const LOOK_EVENTS = 1024;

const CAPABILITIES: typeof SERVER_CAPABILITIES = {
  ...SERVER_CAPABILITIES,
  max_dma_maps: MAX_DMA_MAPS,
};

/** What is asked for of the trace; mappings and the like are traced where they are made. */
const TAKEN: ReadonlySet<number> = new Set([
  TraceKind.DMA_READ,
  TraceKind.DMA_WRITE,
  TraceKind.PIN,
  TraceKind.UNPIN,
]);

type Begin = Extract<ControlRequest, { readonly kind: "begin" }>;
type Plug = Extract<ControlRequest, { readonly kind: "plug" }>;

/** Made for one run. */
export class VfioUserHost {
  readonly #machine: ServerMachine;
  readonly #clock = new VirtualClock();
  readonly #trace: TraceRing;
  readonly #tracing: "on" | "off";
  #traced = 0;
  /** Once somebody wants them. */
  #invalidations: TraceRing | null = null;
  #invalidationsTaken = 0;
  #look: DmaLook | null = null;
  #teller: CountersTeller | null = null;
  /** Null when nobody wants them from here. */
  readonly #messages: KeptMessages | null;
  readonly #servers = new Map<number, VfioUserServer>();
  /** By the name of the device; those since the last answer. */
  readonly #errors = new Map<string, { readonly texts: string[]; count: number }>();
  /** Of devices that went. */
  readonly #gone: EndpointFigures[] = [];

  constructor(
    reactor: Reactor,
    options: Omit<Begin, "kind">,
  ) {
    this.#clock.advance(options.nowNs / 1e6);
    this.#tracing = options.trace;
    this.#messages = options.messages === "on" ? new KeptMessages() : null;
    this.#trace = new TraceRing(
      options.trace === "on" ? TRACE_CAPACITY : LOOK_CAPACITY,
      options.trace,
    );
    this.#machine = new ServerMachine({
      reactor,
      clock: this.#clock,
      seed: options.seed,
      trace: this.#trace,
    });
    if (options.trace === "on") this.#takeInvalidations();
  }

  /** Records an error of a model. */
  deviceError(name: string, error: unknown): void {
    let errors = this.#errors.get(name);
    if (errors === undefined) this.#errors.set(name, errors = { texts: [], count: 0 });
    errors.count++;
    if (errors.texts.length < ERRORS_TOLD) errors.texts.push(describeError(error));
  }

  /** Makes a device that listens from now on. @throws what the model or its description throws */
  plug({ options, name, path }: Plug, type: DeviceType<unknown, unknown>): PlugResult {
    const observer = this.#messages?.observer(() => server.endpoint);
    const server: VfioUserServer = new VfioUserServer(this.#machine, {
      path,
      capabilities: CAPABILITIES,
      device: type.create(options),
      onError: (error) => this.deviceError(name, error),
      ...(observer === undefined ? {} : { observer }),
    });
    this.#servers.set(server.endpoint, server);
    this.#tellOf(server.endpoint);
    return { endpoint: server.endpoint };
  }

  unplug(endpoint: number): void {
    const server = this.#server(endpoint);
    const owner = this.#machine.iommu.endpoint(endpoint);
    this.#gone.push(figuresOf(owner));
    const { values } = owner.counters;
    const done = values.slice();
    this.#servers.delete(endpoint);
    const invalidations = this.#invalidations;
    if (invalidations !== null) invalidations.on = false;
    server[Symbol.dispose]();
    // That its mappings go with it is none of its doing, and another thread may go on reading.
    values.set(done);
    if (invalidations !== null) invalidations.on = true;
  }

  advance(ms: number): void {
    advanceClock(this.#clock, ms, (error) => this.deviceError("a device's timer", error));
  }

  inspect(endpoint: number): InspectResult {
    return { state: this.#server(endpoint).hosted.inspectDevice() ?? {} };
  }

  counters(): CountersResult {
    return { endpoints: [...this.#gone, ...[...this.#machine.iommu.endpoints].map(figuresOf)] };
  }

  look(): LookResult {
    this.#look ??= new DmaLook(this.#trace, this.#tracing);
    this.#look.end();
    const events = [...this.#look.events(LOOK_EVENTS)].map(tupleOf);
    this.#look.begin();
    return { ...this.counters(), events };
  }

  /** Tells the counters at `path`, until the end. */
  tell(path: string): void {
    this.#teller?.close();
    this.#teller = new CountersTeller(path);
    this.#takeInvalidations();
    for (const endpoint of this.#servers.keys()) this.#tellOf(endpoint);
  }

  /** What has happened since the last call. */
  happened(): Happened {
    const dma: TraceTuple[] = [];
    let dropped = 0;
    let invalidations: TraceTuple[] = [];
    if (this.#invalidations !== null) {
      const ring = this.#invalidations;
      dropped = Math.max(0, ring.dropped - this.#invalidationsTaken);
      invalidations = [...ring.events(this.#invalidationsTaken)].map(tupleOf);
      this.#invalidationsTaken = ring.recorded;
    }
    if (this.#tracing === "on") {
      dropped += Math.max(0, this.#trace.dropped - this.#traced);
      for (const event of this.#trace.events(this.#traced)) {
        if (TAKEN.has(event.kind)) dma.push(tupleOf(event));
      }
      this.#traced = this.#trace.recorded;
    }
    const faults = this.#machine.iommu.drainFaults().map((fault) =>
      [fault.endpoint, fault.pasid, fault.iova, fault.access, fault.reason, fault.timeNs] as const
    );
    const messages = this.#messages?.take() ?? { messages: [], messagesLost: 0 };
    const errors = [...this.#errors].flatMap(([name, { texts, count }]) =>
      texts.map((text, at) => {
        const isLast = at === texts.length - 1;
        return [name, text, isLast ? count - at : 1] as const;
      })
    );
    this.#errors.clear();
    return { faults, errors, dma, invalidations, dropped, ...messages };
  }

  /** Takes all devices away. */
  end(): void {
    this.#teller?.close();
    this.#teller = null;
    for (const endpoint of [...this.#servers.keys()]) this.unplug(endpoint);
  }

  /** What is left of the machine, one text each. */
  left(): string[] {
    const left: string[] = [];
    const { memory, files } = this.#machine;
    const say = (count: number, what: string): void => {
      if (count > 0) left.push(`${count} ${what}`);
    };
    say(files.count, "files of the client");
    say(memory.windows, "windows of memory");
    say(memory.bounces, "copies of memory");
    return left;
  }

  #takeInvalidations(): void {
    const ring = this.#invalidations ??= new TraceRing(INVALIDATIONS_KEPT, "on");
    this.#machine.iommu.traceInvalidations = "off";
    this.#machine.iommu.onInvalidation = (timeNs, endpoint, pasid, iova, length) => {
      if (ring.on) ring.record(timeNs, TraceKind.INVALIDATE, endpoint, pasid, iova, length, 0);
    };
  }

  #server(endpoint: number): VfioUserServer {
    const server = this.#servers.get(endpoint);
    if (server === undefined) throw new Error(`There is no device at endpoint ${endpoint}`);
    return server;
  }

  #tellOf(endpoint: number): void {
    this.#teller?.add(endpoint, this.#machine.iommu.endpoint(endpoint).counters.values);
  }
}

function tupleOf({ timeNs, kind, endpoint, pasid, iova, length, result }: TraceEvent): TraceTuple {
  // Where it led to, the machine knows better.
  const told = kind === TraceKind.PIN || kind === TraceKind.UNPIN || isFault(result) ? result : 0;
  return [timeNs, kind, endpoint, pasid, iova, length, told];
}
