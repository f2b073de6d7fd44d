/**
 * The machine's IOMMU on the client's side of vfio-user: each mapping becomes a DMA_MAP,
 * with the file of the RAM behind it, and each unmap a DMA_UNMAP, at the server of every
 * endpoint that is in the domain.
 *
 * The tables of the core's {@linkcode Iommu} change first, and are what the messages
 * DMA_READ and DMA_WRITE are translated by; a change that any server refuses is taken
 * back everywhere. Calls send and return a {@linkcode Ticket}, which is done when all
 * servers have answered: of an unmap, when DMA in flight has ended. Until then messages reach what
 * has been unmapped: see {@linkcode ClientIommu.service}.
 *
 * @module
 */

import {
  Access,
  type Gpa,
  hexRange,
  type Iova,
  MAX_ADDRESS,
  PAGE_SIZE,
} from "../../../core/address.ts";
import type { Completion } from "../../../core/iommu/completion.ts";
import type { Domain, DomainId, DomainKind } from "../../../core/iommu/domain.ts";
import type { EndpointId } from "../../../core/iommu/endpoint.ts";
import type { Iommu } from "../../../core/iommu/iommu.ts";
import type { GuestMemory } from "../../../core/memory/guest_memory.ts";
import type { Descriptor } from "../../linux/descriptor.ts";
import type { VfioUserClient } from "./client.ts";
import type { DmaRange } from "./dma_commands.ts";
import { dmaService } from "./dma_service.ts";
import { LeavingMemory } from "./leaving_memory.ts";
import type { ServerCommandHandler } from "./message_engine.ts";
import { joinTickets, settledTicket, Ticket } from "./ticket.ts";

/** Guest RAM that can be handed to a server. */
export interface SharedRegion {
  /** First GPA, a multiple of the page size. */
  readonly start: Gpa;
  /** Bytes, a multiple of the page size. */
  readonly length: number;
  /** The file behind it. Stays the caller's. */
  readonly descriptor: Descriptor;
  /** Byte offset of the region in the file, a multiple of the page size. */
  readonly offset: number;
  /** Devices may not write. False unless told. */
  readonly readOnly?: boolean;
}

/** How an endpoint is served. */
export interface ForwardOptions {
  /** `withhold` lets the server reach memory by messages alone; `pass` unless told. */
  readonly descriptors?: "pass" | "withhold";
}

/** A range of IOVAs with one thing behind it. */
interface Piece {
  readonly iova: number;
  readonly length: number;
  readonly access: number;
  readonly region: SharedRegion;
  readonly gpa: number;
}

/** A mapping, wherever it comes from. */
interface Source {
  readonly iova: number;
  readonly gpa: number;
  readonly length: number;
  readonly access: number;
}

interface Attached {
  readonly endpoint: EndpointId;
  readonly client: VfioUserClient;
  readonly descriptors: "pass" | "withhold";
}

/** Bypass: everything at its own address. */
const EVERYTHING: Source = {
  iova: 0,
  gpa: 0,
  length: MAX_ADDRESS + 1,
  access: Access.READ_WRITE,
};

/** See the module. The {@linkcode Iommu} is to be programmed through this alone. */
export class ClientIommu {
  /** The tables, and the memory that messages are answered from. */
  readonly iommu: Iommu;
  /** Ascending. */
  readonly #ram: readonly SharedRegion[];
  readonly #attached = new Map<EndpointId, Attached>();
  readonly #served = new Map<EndpointId, LeavingMemory>();

  /** @param ram all of it that servers may have; what is elsewhere is not forwarded */
  constructor(iommu: Iommu, ram: readonly SharedRegion[]) {
    for (const { start, length, offset } of ram) {
      if (start % PAGE_SIZE !== 0 || length % PAGE_SIZE !== 0 || offset % PAGE_SIZE !== 0) {
        throw new RangeError(
          `Cannot share RAM at ${hexRange(start, length)}: start, length and file offset are ` +
            `multiples of ${PAGE_SIZE}`,
        );
      }
    }
    this.iommu = iommu;
    this.#ram = [...ram].sort((a, b) => a.start - b.start);
  }

  /**
   * Handlers for the client that is to be the endpoint's: its server's messages are translated by the
   * tables, and reach what is unmapped until the server has answered that. An endpoint's clients, one
   * after the other, may share them.
   * @param memory what the IOMMU is in front of
   * @param maxDataXferSize the most bytes that one command may move
   */
  service(
    endpoint: EndpointId,
    memory: GuestMemory,
    maxDataXferSize: number,
  ): ReadonlyMap<number, ServerCommandHandler> {
    let served = this.#served.get(endpoint);
    if (served === undefined) {
      served = new LeavingMemory(this.iommu.endpoint(endpoint).memory, memory);
      this.#served.set(endpoint, served);
    }
    return dmaService(served, maxDataXferSize);
  }

  /**
   * From now on `client` is the server of this endpoint, which the IOMMU has: gets all that the
   * endpoint can reach. When the server refuses, it is as if it had not been asked.
   */
  connect(
    endpoint: EndpointId,
    client: VfioUserClient,
    options: ForwardOptions = {},
  ): Ticket<void> {
    this.iommu.endpoint(endpoint);
    const attached = { endpoint, client, descriptors: options.descriptors ?? "pass" };
    this.#attached.set(endpoint, attached);
    const ticket = this.#mapAll(attached, this.#sourcesOf(endpoint));
    return this.#orElse(ticket, () => {
      this.#attached.delete(endpoint);
      return this.#clear(attached);
    });
  }

  /** The endpoint has no server any more. Nothing is sent: its connection is going, or gone. */
  disconnect(endpoint: EndpointId): void {
    this.#attached.delete(endpoint);
    this.#served.delete(endpoint);
  }

  /** After `VfioUserClient.reconnect()`: the endpoint's server gets all that it can reach once more. */
  replay(endpoint: EndpointId): Ticket<void> {
    const attached = this.#attached.get(endpoint);
    if (attached === undefined) return settledTicket(undefined);
    return this.#mapAll(attached, this.#sourcesOf(endpoint));
  }

  /** Makes an empty domain. @throws {IommuError} `exists` */
  createDomain(id: DomainId, kind: DomainKind = "mapped"): Domain {
    return this.iommu.createDomain(id, kind);
  }

  /** Forgets a domain; no server knows of it, since no endpoint is in it. @throws {IommuError} `no-domain`, `busy` */
  destroyDomain(id: DomainId): Ticket<number> {
    const completion = this.iommu.destroyDomain(id);
    return this.#both(completion, [], completion.bytes);
  }

  /** Endpoints in no domain reach everything, or nothing. */
  setBypass(bypass: "on" | "off"): Ticket<void> {
    const before = this.iommu.bypass;
    const completion = this.iommu.setBypass(bypass);
    if (before === bypass) return this.#both(completion, [], undefined);
    const concerned = [...this.#attached]
      .filter(([id, { client }]) =>
        this.iommu.endpoint(id).domain === null && client.failure === null
      )
      .map(([, attached]) => attached);
    if (bypass === "off") {
      const tickets = concerned.map((one) => this.#clearOf(one, [EVERYTHING]));
      return this.#both(completion, tickets, undefined);
    }
    const tickets = concerned.map((one) => this.#mapAll(one, [EVERYTHING]));
    return this.#orElse(this.#both(completion, tickets, undefined), () => {
      this.iommu.setBypass("off");
      return joinTickets(concerned.map((one) => this.#clear(one)), () => {});
    });
  }

  /**
   * Puts the endpoint into the domain: its server forgets what it had, and gets the domain's
   * mappings. When it refuses one, the endpoint is back where it was.
   * @throws {IommuError} `no-endpoint`, `no-domain`
   */
  attach(endpoint: EndpointId, domain: DomainId): Ticket<void> {
    const before = this.iommu.endpoint(endpoint).domain;
    const reached = this.#servedOf(endpoint);
    const completion = this.iommu.attach(endpoint, domain);
    const attached = this.#attached.get(endpoint);
    if (attached === undefined || before === this.iommu.domain(domain)) {
      return this.#both(completion, [], undefined);
    }
    const tickets = this.#replace(attached, reached);
    return this.#orElse(this.#both(completion, tickets, undefined), () => {
      // Somebody has moved it on meanwhile: that is what counts.
      if (this.iommu.endpoint(endpoint).domain?.id !== domain) return settledTicket(undefined);
      const reached = this.#servedOf(endpoint);
      if (before === null) this.iommu.detach(endpoint);
      else this.iommu.attach(endpoint, before.id);
      return joinTickets(this.#replace(attached, reached), () => {});
    });
  }

  /** Takes the endpoint out of its domain, if it is in one. @throws {IommuError} `no-endpoint` */
  detach(endpoint: EndpointId): Ticket<void> {
    const was = this.iommu.endpoint(endpoint).domain;
    const reached = this.#servedOf(endpoint);
    const completion = this.iommu.detach(endpoint);
    const attached = this.#attached.get(endpoint);
    const tickets = attached === undefined || was === null ? [] : this.#replace(attached, reached);
    return this.#both(completion, tickets, undefined);
  }

  /**
   * Maps `length` bytes at `iova` of the domain to `gpa`, for every endpoint in it.
   * @throws {IommuError} `no-domain`, `bypass`, `range`, `exists`
   */
  map(domain: DomainId, iova: Iova, gpa: Gpa, length: number, access: number): Ticket<void> {
    this.iommu.map(domain, iova, gpa, length, access);
    const servers = this.#serversOf(domain);
    if (servers.length === 0) return settledTicket(undefined);
    const pieces = this.#pieces({ iova, gpa, length, access });
    const refused = new Map<Attached, Set<Piece>>();
    const tickets: Ticket<void>[] = [];
    for (const attached of servers) {
      for (const piece of pieces) {
        const ticket = this.#send(attached, piece);
        ticket.whenDone(() => {
          if (ticket.error === null) return;
          const before = refused.get(attached);
          if (before === undefined) refused.set(attached, new Set([piece]));
          else before.add(piece);
        });
        tickets.push(ticket);
      }
    }
    return this.#orElse(joinTickets(tickets, () => {}), () => {
      const there = this.iommu.hasDomain(domain)
        ? this.iommu.domain(domain).space.mappingAt(iova)
        : null;
      // Somebody has removed it meanwhile.
      if (there === null || there.iova !== iova || there.length !== length) {
        return settledTicket(undefined);
      }
      // Who is in the domain now has it, also when it came later, but for those that refused.
      const undone = this.#serversOf(domain).flatMap((attached) =>
        pieces.filter((piece) => refused.get(attached)?.has(piece) !== true)
          .map((piece) => this.#unmapPieces(attached, [piece]))
      );
      return this.#both(this.iommu.unmap(domain, iova, length), undone, undefined);
    });
  }

  /**
   * Removes the whole mappings in the range. The answer, the bytes unmapped, comes when no device
   * can reach them any more. @throws {IommuError} `no-domain`, `bypass`, `range`
   */
  unmap(domain: DomainId, iova: Iova, length: number): Ticket<number> {
    const servers = this.#serversOf(domain);
    const removed: Piece[] = [];
    let whole = true;
    if (servers.length > 0) {
      const { space } = this.iommu.domain(domain);
      let mappings = 0;
      for (const mapping of space.mappings(iova)) {
        if (mapping.iova > iova + length - 1) break;
        mappings++;
        removed.push(...this.#pieces(mapping));
      }
      whole = mappings === space.size && removed.length > 1;
    }
    const completion = this.iommu.unmap(domain, iova, length);
    const tickets: Ticket<void>[] = [];
    for (const attached of servers) {
      tickets.push(
        whole
          ? this.#takeAway(attached, removed, () => this.#clear(attached))
          : this.#unmapPieces(attached, removed),
      );
    }
    return this.#both(completion, tickets, completion.bytes);
  }

  /** The servers of the endpoints in a domain. */
  #serversOf(domain: DomainId): Attached[] {
    const servers: Attached[] = [];
    for (const { endpoint } of this.iommu.domain(domain).members) {
      const attached = this.#attached.get(endpoint.id);
      // A server that is gone reaches nothing; the next one learns of it all by replay().
      if (attached !== undefined && attached.client.failure === null) servers.push(attached);
    }
    return servers;
  }

  /** What an endpoint can reach now. */
  #sourcesOf(endpoint: EndpointId): Iterable<Source> {
    const { domain } = this.iommu.endpoint(endpoint);
    if (domain === null) return this.iommu.bypass === "on" ? [EVERYTHING] : [];
    return domain.kind === "bypass" ? [EVERYTHING] : domain.space.mappings();
  }

  /** Everything of the server, which was `reached`, is replaced by what its endpoint can reach now. */
  #replace(attached: Attached, reached: readonly Source[]): Ticket<void>[] {
    if (attached.client.failure !== null) return [];
    // Commands are done in order: no mapping is seen before the old ones are gone.
    return [
      this.#clearOf(attached, reached),
      this.#mapAll(attached, this.#sourcesOf(attached.endpoint)),
    ];
  }

  #mapAll(attached: Attached, sources: Iterable<Source>): Ticket<void> {
    const tickets: Ticket<void>[] = [];
    // A copy of the list: while a full socket is waited for, others may change the domain.
    for (const source of [...sources]) {
      for (const piece of this.#pieces(source)) {
        const ticket = this.#send(attached, piece);
        tickets.push(ticket);
        if (ticket.error !== null) return joinTickets(tickets, () => {});
      }
    }
    return joinTickets(tickets, () => {});
  }

  #clear({ client }: Attached): Ticket<void> {
    return attempt(() => client.dma.unmapAll());
  }

  /** As {@linkcode #clear}, where these are what is lost. */
  #clearOf(attached: Attached, sources: Iterable<Source>): Ticket<void> {
    const pieces = [...sources].flatMap((source) => this.#pieces(source));
    return this.#takeAway(attached, pieces, () => this.#clear(attached));
  }

  #unmapPieces(attached: Attached, pieces: readonly Piece[]): Ticket<void> {
    const { dma } = attached.client;
    return this.#takeAway(attached, pieces, () => {
      const tickets = pieces.map(({ iova, length }) => attempt(() => dma.unmap(iova, length)));
      const [only] = tickets;
      return only !== undefined && tickets.length === 1 ? only : joinTickets(tickets, () => {});
    });
  }

  /**
   * Takes the pieces from a server by what `send` sends. What it has mapped it reaches by itself; the
   * rest is served until it has answered, and also while sending waits for what was sent before.
   */
  #takeAway(
    attached: Attached,
    pieces: readonly Piece[],
    send: () => Ticket<void>,
  ): Ticket<void> {
    const served = this.#served.get(attached.endpoint);
    if (served === undefined) return send();
    const asked = pieces.filter((piece) => byMessage(attached, piece));
    if (asked.length === 0) return send();
    const taken = new Ticket<void>();
    served.leave(asked, taken);
    const ticket = send();
    ticket.whenDone(() => taken.settle());
    return ticket;
  }

  /** What an endpoint's messages reach before a change. A copy, for the change is yet to come. */
  #servedOf(endpoint: EndpointId): readonly Source[] {
    return this.#served.has(endpoint) ? [...this.#sourcesOf(endpoint)] : [];
  }

  #send(attached: Attached, piece: Piece): Ticket<void> {
    const { client } = attached;
    const { iova, gpa, length, access, region } = piece;
    const range: DmaRange = { address: iova, size: length, access };
    if (byMessage(attached, piece)) return attempt(() => client.dma.map(range));
    const offset = region.offset + (gpa - region.start);
    const { fd } = region.descriptor;
    return attempt(() => client.dma.map({ ...range, fd, offset }));
  }

  /** The parts of a mapping that lie in RAM, one a region, with what a device may do there. */
  #pieces(source: Source): Piece[] {
    const pieces: Piece[] = [];
    const ram = this.#ram;
    const end = source.gpa + source.length;
    for (let index = this.#firstRegion(source.gpa); index < ram.length; index++) {
      const region = ram[index] as SharedRegion;
      if (region.start >= end) break;
      const access = region.readOnly === true ? source.access & Access.READ : source.access;
      if (access === 0) continue;
      const from = Math.max(source.gpa, region.start);
      const to = Math.min(end, region.start + region.length);
      const iova = source.iova + (from - source.gpa);
      pieces.push({ iova, length: to - from, access, region, gpa: from });
    }
    return pieces;
  }

  /** The first region that ends after `gpa`. */
  #firstRegion(gpa: number): number {
    let low = 0, high = this.#ram.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const { start, length } = this.#ram[middle] as SharedRegion;
      if (start + length <= gpa) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Done when the tables' change and the servers are. */
  #both<T>(completion: Completion, tickets: readonly Ticket<void>[], value: T): Ticket<T> {
    const ours = new Ticket<void>();
    completion.whenDone(() => ours.settle());
    return joinTickets([ours, ...tickets], () => value);
  }

  /** When `ticket` fails, the failure of the whole comes once `undo` is done. */
  #orElse(ticket: Ticket<void>, undo: () => Ticket<unknown>): Ticket<void> {
    const answer = new Ticket<void>();
    ticket.whenDone(() => {
      const { error } = ticket;
      if (error === null) return answer.settle();
      let undone: Ticket<unknown>;
      try {
        undone = undo();
      } catch {
        // What is in the way of undoing, such as a connection that is over, is the error at hand.
        return answer.fail(error);
      }
      undone.whenDone(() => answer.fail(error));
    });
    return answer;
  }
}

/** Whether a server has the piece without a descriptor. */
function byMessage({ client, descriptors }: Attached, { iova, gpa, length }: Piece): boolean {
  return descriptors === "withhold" || client.session.inForce.maxSendFds < 1 ||
    iova % PAGE_SIZE !== 0 || gpa % PAGE_SIZE !== 0 || length % PAGE_SIZE !== 0;
}

/** What cannot be sent is a ticket that has failed, as what is refused is. */
function attempt(send: () => Ticket<void>): Ticket<void> {
  try {
    return send();
  } catch (error) {
    const ticket = new Ticket<void>();
    ticket.fail(error);
    return ticket;
  }
}
