/**
 * What the servers of one process share: one IOMMU, one memory of mapped files, one clock.
 * @module
 */

import type { DomainId } from "../../../core/iommu/domain.ts";
import { Iommu } from "../../../core/iommu/iommu.ts";
import type { Clock } from "../../../core/observe/clock.ts";
import type { TraceRing } from "../../../core/observe/trace.ts";
import type { Reactor } from "../../linux/reactor.ts";
import { FileWindows } from "./file_windows.ts";
import { ServerMemory } from "./server_memory.ts";

/** Told what clients map, each after it has taken effect. Must not throw: it stands in a client's command. */
export interface MappingObserver {
  /** `length` bytes at `iova` of a domain lead to `gpa` of the machine's memory. */
  mapped(domain: DomainId, iova: number, gpa: number, length: number, access: number): void;
  /** Of the range, `bytes` bytes were mapped, and are not any more; at least 1. */
  unmapped(domain: DomainId, iova: number, length: number, bytes: number): void;
}

/** How a machine is made. */
export interface ServerMachineOptions {
  /** Owns the sockets of all servers, and times how long clients are waited for. */
  readonly reactor: Reactor;
  /** The devices' time, which may stand still; the reactor's clock unless told. */
  readonly clock?: Clock;
  /** Of the IOMMU's hashes; random unless told, so that a client cannot pick pages that collide. */
  readonly seed?: number;
  /** Where DMA and mappings are traced; nowhere unless told. */
  readonly trace?: TraceRing;
  /** Who looks on. */
  readonly mappings?: MappingObserver;
}

/** Made once for all servers of a thread. */
export class ServerMachine {
  /** The one loop of all servers. */
  readonly reactor: Reactor;
  /** The devices' time. What is between a server and its client goes by the reactor's. */
  readonly clock: Clock;
  /** A domain and an endpoint for each server. */
  readonly iommu: Iommu;
  /** What the domains map to. */
  readonly memory: ServerMemory;
  /** The clients' files in it. */
  readonly files: FileWindows;
  /** Told of each mapping, when set. */
  readonly mappings: MappingObserver | null;
  #nextEndpoint = 1;

  /** Makes one without servers. */
  constructor(options: ServerMachineOptions) {
    const { reactor } = options;
    this.reactor = reactor;
    this.clock = options.clock ?? reactor.clock;
    this.memory = new ServerMemory({ post: (task) => reactor.post(task) });
    this.files = new FileWindows(this.memory);
    this.mappings = options.mappings ?? null;
    this.iommu = new Iommu(this.memory, {
      clock: this.clock,
      seed: options.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]!,
      ...(options.trace === undefined ? {} : { trace: options.trace }),
    });
  }

  /** A number that no endpoint and no domain has yet: they go in pairs here. */
  nextEndpoint(): number {
    while (this.iommu.hasDomain(this.#nextEndpoint)) this.#nextEndpoint++;
    return this.#nextEndpoint++;
  }
}
