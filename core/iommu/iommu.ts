/**
 * The IOMMU: which endpoint's DMA goes through which domain, and what the
 * domains map. Programmed by a guest's IOMMU device, a remote client or a
 * scenario; every DMA goes through the {@linkcode IommuMemory} of its endpoint.
 * @module
 */

import { type Gpa, type Iova, MAX_ADDRESS, PAGE_SIZE } from "../address.ts";
import type { GuestMemory } from "../memory/guest_memory.ts";
import type { Clock } from "../observe/clock.ts";
import { Counter } from "../observe/counters.ts";
import { TraceKind, TraceRing } from "../observe/trace.ts";
import type { AddressSpace } from "./address_space.ts";
import { Completion } from "./completion.ts";
import { Domain, type DomainId, type DomainKind } from "./domain.ts";
import { type DmaContext, Endpoint, type EndpointId } from "./endpoint.ts";
import { type FaultRecord, FaultSequence } from "./fault_log.ts";
import { IommuError } from "./iommu_error.ts";
import { IommuMemory } from "./iommu_memory.ts";

/** What an {@linkcode Iommu} is made of. */
export interface IommuOptions {
  /** Dates faults and events. */
  readonly clock: Clock;
  /** Of the hashes; 32 bits. A machine that runs a guest takes a random one. 0 unless told. */
  readonly seed?: number;
  /** Where events go; one of its own, off, unless told. */
  readonly trace?: TraceRing;
}

/**
 * Told of each invalidation as it is counted: the endpoint can no longer use what it had cached of
 * `length` bytes at `iova`. Stands within the change that made it necessary, and must not throw.
 */
export type InvalidationObserver = (
  timeNs: number,
  endpoint: EndpointId,
  pasid: number,
  iova: number,
  length: number,
) => void;

/** Endpoints, domains, and what connects them. */
export class Iommu {
  /** Where events go. */
  readonly trace: TraceRing;
  /** Who is told of invalidations, also while nothing is traced. */
  onInvalidation: InvalidationObserver | null = null;
  /** `off` where the devices' translations are another IOMMU's, whose invalidations are those to trace. */
  traceInvalidations: "on" | "off" = "on";
  readonly #memory: GuestMemory;
  readonly #clock: Clock;
  readonly #seed: number;
  readonly #endpoints = new Map<EndpointId, Endpoint>();
  readonly #domains = new Map<DomainId, Domain>();
  /** Of domains that were destroyed, while DMA through them is in flight. */
  readonly #leftovers = new Set<AddressSpace>();
  readonly #numbering = new FaultSequence();
  #bypass: "on" | "off" = "off";

  /** Makes an IOMMU without endpoints or domains in front of `memory`. */
  constructor(memory: GuestMemory, options: IommuOptions) {
    this.#memory = memory;
    this.#clock = options.clock;
    this.#seed = options.seed ?? 0;
    this.trace = options.trace ?? new TraceRing(1);
  }

  /** The endpoints, in the order in which they were added. */
  get endpoints(): Iterable<Endpoint> {
    return this.#endpoints.values();
  }

  /** The domains, in the order in which they were made. */
  get domains(): Iterable<Domain> {
    return this.#domains.values();
  }

  /** Whether endpoints that are attached to no domain pass untranslated (virtio 1.3, 5.13.6.2). */
  get bypass(): "on" | "off" {
    return this.#bypass;
  }

  /** Takes effect at once for every endpoint that is not attached. The completion ends with the DMA that passed before. */
  setBypass(bypass: "on" | "off"): Completion {
    this.#bypass = bypass;
    const completion = new Completion();
    for (const { context } of this.#endpoints.values()) {
      if (context.domain !== null) continue;
      context.bypass = bypass === "on";
      if (bypass === "off") context.bypassInFlight.drainEndpoint(context.endpoint.id, completion);
    }
    return completion;
  }

  /** Makes an endpoint, attached to nothing. @throws {IommuError} `exists` */
  addEndpoint(id: EndpointId): Endpoint {
    if (this.#endpoints.has(id)) {
      throw new IommuError("exists", `Cannot add endpoint ${id}: it is there already`);
    }
    const endpoint = new Endpoint(
      id,
      this.#numbering,
      (context) => new IommuMemory(context, this.#memory, this.#clock, this.trace),
    );
    endpoint.context.bypass = this.#bypass === "on";
    this.#endpoints.set(id, endpoint);
    return endpoint;
  }

  /** Detaches and forgets the endpoint: its accesses fault from now on. @throws {IommuError} `no-endpoint` */
  removeEndpoint(id: EndpointId): Completion {
    const { context } = this.endpoint(id);
    this.#leave(context);
    context.bypass = false;
    this.#endpoints.delete(id);
    return this.#drained(context);
  }

  /** The endpoint with this ID. @throws {IommuError} `no-endpoint` */
  endpoint(id: EndpointId): Endpoint {
    const endpoint = this.#endpoints.get(id);
    if (endpoint === undefined) {
      throw new IommuError("no-endpoint", `There is no endpoint ${id}: ${this.#known("endpoint")}`);
    }
    return endpoint;
  }

  /** Makes an empty domain. @throws {IommuError} `exists` */
  createDomain(id: DomainId, kind: DomainKind = "mapped"): Domain {
    if (this.#domains.has(id)) {
      throw new IommuError("exists", `Cannot create domain ${id}: it is there already`);
    }
    const domain = new Domain(id, kind, this.#seed + id);
    this.#domains.set(id, domain);
    return domain;
  }

  /**
   * Forgets a domain and its mappings. The completion, which carries the bytes
   * unmapped, ends with the DMA of endpoints that were in it and have been detached.
   * @throws {IommuError} `no-domain`, `busy` while an endpoint is in it
   */
  destroyDomain(id: DomainId): Completion {
    const domain = this.domain(id);
    if (domain.members.size > 0) {
      throw new IommuError(
        "busy",
        `Cannot destroy domain ${id}: ${domain.members.size} endpoints are in it, detach them first`,
      );
    }
    this.#domains.delete(id);
    const { space } = domain;
    const completion = space.clear();
    this.#leftovers.add(space);
    completion.whenDone(() => this.#leftovers.delete(space));
    return completion;
  }

  /** The domain with this ID. @throws {IommuError} `no-domain` */
  domain(id: DomainId): Domain {
    const domain = this.#domains.get(id);
    if (domain === undefined) {
      throw new IommuError("no-domain", `There is no domain ${id}: ${this.#known("domain")}`);
    }
    return domain;
  }

  /** Whether the domain is there. */
  hasDomain(id: DomainId): boolean {
    return this.#domains.has(id);
  }

  /**
   * Puts the endpoint into the domain, out of the one it was in; into the same one
   * again changes nothing. The completion ends with the DMA that went the old way.
   * @throws {IommuError} `no-endpoint`, `no-domain`, and then nothing has changed
   */
  attach(endpointId: EndpointId, domainId: DomainId): Completion {
    const { context } = this.endpoint(endpointId);
    const domain = this.domain(domainId);
    if (context.domain === domain) return new Completion();
    this.#leave(context);
    context.domain = domain;
    context.space = domain.kind === "mapped" ? domain.space : null;
    context.bypass = domain.kind === "bypass";
    domain.members.add(context);
    this.#event(TraceKind.ATTACH, endpointId, 0, 0, domainId);
    return this.#drained(context);
  }

  /**
   * Takes the endpoint out of its domain, if it is in one. Its accesses fault, or
   * pass while {@linkcode bypass} is on. @throws {IommuError} `no-endpoint`
   */
  detach(endpointId: EndpointId): Completion {
    const { context } = this.endpoint(endpointId);
    // Of an endpoint that was in no domain, what passes in bypass goes on.
    const passes = this.#leave(context) === null && context.bypass;
    return this.#drained(context, passes ? "translated" : "all");
  }

  /**
   * Maps `length` bytes at `iova` of the domain to `gpa`, for every endpoint in it.
   * @throws {IommuError} `no-domain`, `bypass`, `range`, `exists`
   */
  map(domainId: DomainId, iova: Iova, gpa: Gpa, length: number, access: number): void {
    this.#mapped(domainId).space.map(iova, gpa, length, access);
    this.#event(TraceKind.MAP, domainId, iova, length, gpa);
  }

  /**
   * Removes the whole mappings in the range, as `AddressSpace.unmap()`. The
   * completion is reached when no endpoint can get at them any more.
   * @throws {IommuError} `no-domain`, `bypass`, `range`
   */
  unmap(domainId: DomainId, iova: Iova, length: number): Completion {
    const domain = this.#mapped(domainId);
    const completion = domain.space.unmap(iova, length);
    for (const member of domain.members) this.#invalidated(member, iova, length);
    this.#event(TraceKind.UNMAP, domainId, iova, length, completion.bytes);
    return completion;
  }

  /**
   * From now on pages of the range that devices of the domain write are recorded.
   * @throws {IommuError} `no-domain`, `bypass`
   * @throws {RangeError} unless the range has 1 byte to 2^32 pages
   */
  startDirtyTracking(domainId: DomainId, iova: Iova, length: number): void {
    const start = Math.floor(iova / PAGE_SIZE) * PAGE_SIZE;
    this.#mapped(domainId).space.startDirtyTracking(start as Iova, length + (iova - start));
  }

  /** IOVAs of the pages written since the last call, ascending. None while tracking is off. @throws {IommuError} `no-domain`, `bypass` */
  takeDirtyPages(domainId: DomainId): Iova[] {
    return (this.#mapped(domainId).space.dirty?.take() ?? []) as Iova[];
  }

  /** Takes the faults of all endpoints recorded since the last call, in the order in which they happened. */
  drainFaults(): FaultRecord[] {
    const records: FaultRecord[] = [];
    for (const endpoint of this.#endpoints.values()) records.push(...endpoint.faults.drain());
    return records.sort((a, b) => a.sequence - b.sequence);
  }

  #mapped(id: DomainId): Domain {
    const domain = this.domain(id);
    if (domain.kind === "bypass") {
      throw new IommuError("bypass", `Domain ${id} is in bypass: it has no mappings to change`);
    }
    return domain;
  }

  /** Out of its domain. @returns the domain left */
  #leave(context: DmaContext): Domain | null {
    const domain = context.domain;
    if (domain === null) return null;
    this.#invalidated(context, 0, MAX_ADDRESS + 1);
    domain.members.delete(context);
    context.domain = null;
    context.space = null;
    context.bypass = this.#bypass === "on";
    this.#event(TraceKind.DETACH, context.endpoint.id, 0, 0, domain.id);
    return domain;
  }

  /**
   * What ends when nothing is in flight that the endpoint began before now: through
   * any domain, also one that it left while somebody else was told to wait, or that is no more.
   */
  #drained(context: DmaContext, which: "all" | "translated" = "all"): Completion {
    const completion = new Completion();
    const { id } = context.endpoint;
    for (const { space } of this.#domains.values()) space.inFlight.drainEndpoint(id, completion);
    for (const space of this.#leftovers) space.inFlight.drainEndpoint(id, completion);
    if (which === "all") context.bypassInFlight.drainEndpoint(id, completion);
    return completion;
  }

  #known(what: "endpoint" | "domain"): string {
    const ids = [...(what === "endpoint" ? this.#endpoints : this.#domains).keys()];
    if (ids.length === 0) return `none has been ${what === "endpoint" ? "added" : "created"}`;
    const shown = ids.slice(0, 8).join(", ");
    return `there are ${shown}${ids.length > 8 ? ` and ${ids.length - 8} more` : ""}`;
  }

  #invalidated({ endpoint, pasid }: DmaContext, iova: number, length: number): void {
    endpoint.counters.values[Counter.INVALIDATIONS]!++;
    this.onInvalidation?.(this.#clock.nowNs, endpoint.id, pasid, iova, length);
    if (!this.trace.on || this.traceInvalidations === "off") return;
    const { nowNs } = this.#clock;
    this.trace.record(nowNs, TraceKind.INVALIDATE, endpoint.id, pasid, iova, length, 0);
  }

  #event(kind: number, id: number, iova: number, length: number, result: number): void {
    if (!this.trace.on) return;
    this.trace.record(this.#clock.nowNs, kind, id, -1, iova, length, result);
  }
}
