/**
 * The machine of one run in a server process: devices behind vfio-user sockets, and what the
 * harness wants to know of them.
 * @module
 */

import { isFault } from "../../core/address.ts";
import type { EndpointMetrics } from "../../core/observe/counters.ts";
import { TraceKind, TraceRing } from "../../core/observe/trace.ts";
import { VirtualClock } from "../../core/observe/virtual_clock.ts";
import type { DeviceType } from "../../devices/pci/pci_device.ts";
import { Reactor } from "../../protocols/linux/mod.ts";
import {
  SERVER_CAPABILITIES,
  ServerMachine,
  VfioUserServer,
} from "../../protocols/vfio_user/server/mod.ts";
import { advanceClock } from "../machine/advance.ts";
import { sumMetrics } from "../run/run_report.ts";
import { describeError } from "../run/describe_error.ts";
import {
  type ControlRequest,
  type CountersResult,
  type DmaTuple,
  type Happened,
  type InspectResult,
  MAX_DMA_MAPS,
  type PlugResult,
} from "./vfio_user_control.ts";

/** DMA that one answer brings at most. */
const TRACE_CAPACITY = 65536;

const CAPABILITIES: typeof SERVER_CAPABILITIES = {
  ...SERVER_CAPABILITIES,
  max_dma_maps: MAX_DMA_MAPS,
};

/** A reactor on which devices live in scenario time. */
export class ScenarioReactor extends Reactor {
  /** Of the machine that is there now. */
  override clock: VirtualClock = new VirtualClock();
}

type Plug = Extract<ControlRequest, { readonly kind: "plug" }>;

/** Made for one run. */
export class VfioUserHost {
  readonly #machine: ServerMachine;
  readonly #clock = new VirtualClock();
  readonly #trace: TraceRing;
  #traced = 0;
  readonly #servers = new Map<number, VfioUserServer>();
  readonly #errors: (readonly [string, string])[] = [];
  /** Of devices that went. */
  #metrics: EndpointMetrics[] = [];
  readonly #latencies = new Map<number, number>();

  constructor(
    reactor: ScenarioReactor,
    options: { readonly seed: number; readonly nowNs: number; readonly trace: "on" | "off" },
  ) {
    this.#clock.advance(options.nowNs / 1e6);
    reactor.clock = this.#clock;
    this.#trace = new TraceRing(options.trace === "on" ? TRACE_CAPACITY : 1, options.trace);
    this.#machine = new ServerMachine({ reactor, seed: options.seed, trace: this.#trace });
  }

  /** Records an error of a model. */
  deviceError(name: string, error: unknown): void {
    this.#errors.push([name, describeError(error)]);
  }

  /** Makes a device that listens from now on. @throws what the model or its description throws */
  plug({ options, name, path }: Plug, type: DeviceType<unknown, unknown>): PlugResult {
    const server = new VfioUserServer(this.#machine, {
      path,
      capabilities: CAPABILITIES,
      device: type.create(options),
      onError: (error) => this.deviceError(name, error),
    });
    this.#servers.set(server.endpoint, server);
    return { endpoint: server.endpoint };
  }

  unplug(endpoint: number): void {
    const server = this.#server(endpoint);
    const { counters, latency } = this.#machine.iommu.endpoint(endpoint);
    this.#metrics.push(counters.snapshot());
    for (const { belowNs, count } of latency.snapshot()) this.#count(belowNs, count);
    this.#servers.delete(endpoint);
    server[Symbol.dispose]();
  }

  advance(ms: number): void {
    advanceClock(this.#clock, ms, (error) => this.deviceError("a device's timer", error));
    // What DMA in flight has written is seen, as it is where memory is mapped.
    this.#machine.memory.writeBack();
  }

  inspect(endpoint: number): InspectResult {
    return { state: this.#server(endpoint).hosted.device.inspect() };
  }

  counters(): CountersResult {
    const endpoints = [...this.#machine.iommu.endpoints];
    const gone = new Map(this.#latencies);
    for (const { latency } of endpoints) {
      for (const { belowNs, count } of latency.snapshot()) {
        gone.set(belowNs, (gone.get(belowNs) ?? 0) + count);
      }
    }
    const all = [...this.#metrics, ...endpoints.map(({ counters }) => counters.snapshot())];
    return {
      metrics: sumMetrics(all.map((metrics) => ({ metrics }))),
      latencies: [...gone].map(([belowNs, count]) => ({ belowNs, count })),
    };
  }

  /** What has happened since the last call. */
  happened(): Happened {
    const dma: DmaTuple[] = [];
    let dropped = 0;
    if (this.#trace.on) {
      dropped = Math.max(0, this.#trace.dropped - this.#traced);
      for (const event of this.#trace.events(this.#traced)) {
        // Mappings and the like are traced where they are made.
        if (event.kind !== TraceKind.DMA_READ && event.kind !== TraceKind.DMA_WRITE) continue;
        const { timeNs, kind, endpoint, pasid, iova, length, result } = event;
        dma.push([timeNs, kind, endpoint, pasid, iova, length, isFault(result) ? result : 0]);
      }
      this.#traced = this.#trace.recorded;
    }
    const faults = this.#machine.iommu.drainFaults().map((fault) =>
      [fault.endpoint, fault.pasid, fault.iova, fault.access, fault.reason, fault.timeNs] as const
    );
    return { faults, errors: this.#errors.splice(0), dma, dropped };
  }

  /** Takes all devices away. */
  end(): void {
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

  #server(endpoint: number): VfioUserServer {
    const server = this.#servers.get(endpoint);
    if (server === undefined) throw new Error(`There is no device at endpoint ${endpoint}`);
    return server;
  }

  #count(belowNs: number, count: number): void {
    this.#latencies.set(belowNs, (this.#latencies.get(belowNs) ?? 0) + count);
  }
}
