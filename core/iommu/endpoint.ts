/**
 * A source of DMA, and the address spaces its accesses go to.
 * @module
 */

import { EndpointCounters } from "../observe/counters.ts";
import { Histogram } from "../observe/histogram.ts";
import type { AddressSpace } from "./address_space.ts";
import type { Domain } from "./domain.ts";
import { FaultLog, type FaultSequence } from "./fault_log.ts";
import { InFlight } from "./in_flight.ts";
import type { IommuMemory } from "./iommu_memory.ts";

/** PCI requester ID: bus << 8 | device << 3 | function; any unsigned 32-bit integer is legal. */
export type EndpointId = number;

/** In place of a PASID: the access carries none. PASID 0 is another address space (PCIe 6.0, 6.20). */
export const NO_PASID: number = -1;

/** Where the accesses of one (endpoint, PASID) go. Read on every access; written by the IOMMU alone. */
export class DmaContext {
  /** Whose accesses these are. */
  readonly endpoint: Endpoint;
  /** 0..2^20-1, or {@linkcode NO_PASID}. */
  readonly pasid: number;
  /** The domain it is attached to, or null. */
  domain: Domain | null = null;
  /** The space that translates, or null: then {@linkcode bypass} decides. */
  space: AddressSpace | null = null;
  /** Without a space: accesses pass untranslated. */
  bypass = false;
  /** DMA in flight that went untranslated. */
  readonly bypassInFlight: InFlight = new InFlight();

  /** Makes a context that reaches nothing. */
  constructor(endpoint: Endpoint, pasid: number) {
    this.endpoint = endpoint;
    this.pasid = pasid;
  }
}

/** Made by {@linkcode Iommu.addEndpoint}. */
export class Endpoint {
  /** As it was added. */
  readonly id: EndpointId;
  /** What its accesses came to. */
  readonly counters: EndpointCounters = new EndpointCounters();
  /** Its accesses that were refused. */
  readonly faults: FaultLog;
  /** Durations of a sample of the translations. */
  readonly latency: Histogram = new Histogram();
  /** Of accesses without PASID. */
  readonly context: DmaContext;
  /** The DMA of this endpoint without PASID. */
  readonly memory: IommuMemory;
  /**
   * Told what the `onRevoke` of a pin of this endpoint threw. The unmap, detach or other change that
   * the device was told of is made all the same. Must not throw; an uncaught error unless set.
   */
  onDeviceError: (error: unknown) => void = (error) => reportError(error);

  /** Called by {@linkcode Iommu.addEndpoint}. */
  constructor(
    id: EndpointId,
    numbering: FaultSequence,
    makeMemory: (context: DmaContext) => IommuMemory,
  ) {
    this.id = id;
    this.faults = new FaultLog(id, numbering);
    this.context = new DmaContext(this, NO_PASID);
    this.memory = makeMemory(this.context);
  }

  /** The domain it is attached to, or null. */
  get domain(): Domain | null {
    return this.context.domain;
  }
}
