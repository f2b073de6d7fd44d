/**
 * The serving thread's side of watched devices. It notes mappings and messages in shared memory as
 * they pass. When the other thread wakes the reactor, which it does four times a second, it looks at
 * faults, latencies and a sample of DMA, tells what has changed, and answers questions. Between two
 * such moments a message costs one copy, a mapping two notes, and a device's access nothing.
 * @module
 */

import { MAX_ADDRESS } from "../../core/address.ts";
import { Counter } from "../../core/observe/counters.ts";
import { TraceKind, TraceRing } from "../../core/observe/trace.ts";
import { Mailbox } from "../../protocols/linux/mailbox.ts";
import type { Reactor } from "../../protocols/linux/reactor.ts";
import type { FrameObserver } from "../../protocols/vfio_user/connection.ts";
import type {
  MappingObserver,
  ServerMachine,
  VfioUserServer,
} from "../../protocols/vfio_user/server/mod.ts";
import { FAR } from "../../protocols/vfio_user/server/server_memory.ts";
import { Board } from "./board.ts";
import { DmaLook, LOOK_CAPACITY } from "./dma_look.ts";
import { domainReports } from "./domain_report.ts";
import { endpointReport, MAX_ENDPOINTS } from "./endpoint_report.ts";
import { FaultRows, type SeenFault, tellable } from "./fault_rows.ts";
import { FrameRing } from "./frame_ring.ts";
import { HeatSamples } from "./heat.ts";
import { LocalFaults } from "./local_faults.ts";
import { MappingNotes } from "./mapping_notes.ts";
import { lookAround, mappingsFrom } from "./mapping_query.ts";
import { type Question, type RegionReport, TIMELINE_KINDS } from "./observation.ts";
import { captureDetail } from "./server_detail.ts";
import {
  type ClientReport,
  type ServerTold,
  type ServerWatchRequest,
  Time,
} from "./server_thread_protocol.ts";

/** Milliseconds between two reports, a little less than between two wakes. */
const REPORT_MS = 200;
/** One in so many messages, a power of two less 1, is a moment to look whether faults pile up. */
const PILE_MASK = 63;
/** Milliseconds in which messages are still kept after somebody has looked: pages are closed and opened. */
const LINGER_MS = 60_000;
/** Faults that may wait to be told, and lines. */
const MAX_FAULTS = 50_000, MAX_LINES = 50;
/** Clients of one device that are told apart by the number of their connection. */
const CLIENTS = 2 ** 20;

/** Counters of an endpoint. */
const COUNTERS = Object.keys(Counter).length;
const KIND = {
  MAP: TIMELINE_KINDS.indexOf("map"),
  UNMAP: TIMELINE_KINDS.indexOf("unmap"),
  INVALIDATE: TIMELINE_KINDS.indexOf("invalidate"),
  FAULT: TIMELINE_KINDS.indexOf("fault"),
} as const;

/**
 * What mappings of clients lead to: see `ServerMemory`. A client names no guest addresses, so what a
 * mapping leads to is an address of the server's own.
 */
const REGIONS: readonly RegionReport[] = [
  { name: "window on a client's file", start: 0, length: FAR, readOnly: false, dirtyBytes: null },
  {
    name: "window reached by messages",
    start: FAR,
    length: MAX_ADDRESS + 1 - FAR,
    readOnly: false,
    dirtyBytes: null,
  },
];

/** Device and client of a connection, from the number it has in the ring of messages. */
export function connectionOf(
  connection: number,
): { readonly device: number; readonly client: number } {
  return { device: Math.floor(connection / CLIENTS), client: connection % CLIENTS };
}

/** One thread's devices. */
export class ServerWatch {
  /** For the machine: where DMA is sampled, and who is told of mappings. */
  readonly machineOptions: { readonly trace: TraceRing; readonly mappings: MappingObserver };
  readonly #reactor: Reactor;
  readonly #tell: (told: ServerTold) => void;
  readonly #nowMs: () => number;
  readonly #board: Board;
  readonly #frames: FrameRing;
  readonly #times: Float64Array;
  readonly #questions: Mailbox;
  readonly #look: DmaLook;
  readonly #heat = new HeatSamples();
  readonly #faults = new LocalFaults();
  readonly #rows = new FaultRows();
  /** Faults in them. */
  #waiting = 0;
  #lost = 0;
  #machine: ServerMachine | null = null;
  #notes: MappingNotes | null = null;
  readonly #devices = new Map<number, { readonly type: string; readonly server: VfioUserServer }>();
  readonly #places = new Map<number, number>();
  #reportedMs = -Infinity;
  /** Counters as they were told last: what has not changed is not told again. */
  #told: number[] = [];
  #changed = true;
  #isKept = true;
  /** Messages that were kept, to look at some of them; and those that were not, since the last that was. */
  #kept = 0;
  #passed = 0;
  #lines = 0;

  /** `tell` posts to the other thread. `nowMs` is the wall's clock, in milliseconds since 1970. */
  constructor(
    request: ServerWatchRequest,
    reactor: Reactor,
    tell: (told: ServerTold) => void,
    nowMs: () => number = Date.now,
  ) {
    this.#reactor = reactor;
    this.#tell = tell;
    this.#nowMs = nowMs;
    this.#board = new Board(request.board);
    this.#frames = new FrameRing(request.frames);
    this.#times = new Float64Array(request.times);
    this.#questions = new Mailbox(request.questions);
    const trace = new TraceRing(LOOK_CAPACITY);
    this.#look = new DmaLook(trace, "off");
    this.machineOptions = {
      trace,
      mappings: {
        mapped: (domain, iova, gpa, length, access) => {
          const timeNs = reactor.nowNs;
          this.#board.event(timeNs, KIND.MAP, -1, domain, -1, iova, length, gpa, access);
          this.#notes?.mapped(domain, iova, timeNs);
          this.#sizeDomain(domain);
        },
        unmapped: (domain, iova, length, bytes) => {
          this.#board.event(reactor.nowNs, KIND.UNMAP, -1, domain, -1, iova, length, bytes, 0);
          this.#sizeDomain(domain);
        },
      },
    };
  }

  /** The machine that was made with {@linkcode machineOptions}, before it has devices. */
  begin(machine: ServerMachine): void {
    this.#machine = machine;
    const { iommu } = machine;
    this.#notes = new MappingNotes(iommu);
    iommu.onInvalidation = (timeNs, endpoint, pasid, iova, length) => {
      const domain = iommu.endpoint(endpoint).domain?.id ?? -1;
      this.#board.event(timeNs, KIND.INVALIDATE, endpoint, domain, pasid, iova, length, 0, 0);
    };
    this.#reactor.onWake(() => this.#comeBy());
  }

  /** For the server of device number `device`, from 0: takes its messages. */
  observer(device: number, server: () => VfioUserServer | null): FrameObserver {
    return {
      frame: (direction, bytes, descriptors) => {
        if (!this.#isKept) {
          this.#passed++;
          return;
        }
        // What we send comes right after its command was timed.
        const timeNs = direction === ">" ? this.#reactor.nowNs : this.#reactor.lastNs;
        const client = (server()?.metrics.clients ?? 0) % CLIENTS;
        this.#frames.record(timeNs, device * CLIENTS + client, direction, bytes, descriptors);
        if ((++this.#kept & PILE_MASK) === 0) this.#catchPile();
      },
    };
  }

  /** Device number `device` is served. */
  add(device: number, type: string, server: VfioUserServer): void {
    const { endpoint, hosted } = server;
    this.#devices.set(endpoint, { type, server });
    this.#placeDomains();
    this.#tell({
      kind: "device",
      device,
      endpoint,
      type,
      bars: hosted.device.bars.map(({ index, size, kind, prefetchable = false }) => ({
        index,
        size,
        kind,
        prefetchable,
      })),
      counters: this.#machine!.iommu.endpoint(endpoint).counters.values,
    });
  }

  /** All devices have been added: the other thread knows them before it hears that they listen. */
  ready(): void {
    this.#report();
  }

  /** A line for people, about a device. */
  log(line: string): void {
    this.#changed = true;
    this.#lines++;
    // Clients that come and go as fast as they can must not keep the other thread busy.
    if (this.#lines <= MAX_LINES) this.#tell({ kind: "log", line });
  }

  #comeBy(): void {
    const nowMs = this.#nowMs();
    this.#times[Time.CAME_BY] = nowMs;
    this.#keepMessages(nowMs - this.#times[Time.LOOKED]! < LINGER_MS);
    const isAsked = this.#board.due;
    this.#answerAll();
    const sinceMs = nowMs - this.#reportedMs;
    // The wall's clock may be set back.
    if (sinceMs >= 0 && sinceMs < REPORT_MS) return;
    this.#board.answered();
    this.#collectFaults();
    this.#readLook();
    const hasCounted = this.#hasCounted();
    if (isAsked || hasCounted || this.#changed || this.#waiting > 0) {
      this.#reportedMs = nowMs;
      this.#report();
    }
    // Nobody sees the sample while nobody asks.
    if (isAsked) this.#look.begin();
  }

  /** While nobody looks a message costs a count. */
  #keepMessages(wanted: boolean): void {
    if (wanted && this.#passed > 0) {
      this.#frames.skip(this.#passed);
      this.#passed = 0;
    }
    this.#isKept = wanted;
  }

  #answerAll(): void {
    for (;;) {
      const question = this.#questions.receive() as Question | undefined;
      if (question === undefined) return;
      this.#answer(question);
    }
  }

  #answer({ query, ask }: Question): void {
    const { iommu } = this.#machine!;
    const notes = this.#notes!;
    if (ask.kind === "detail") {
      const server = this.#devices.get(ask.endpoint)?.server;
      if (server === undefined) this.#tell({ kind: "answer", query, answer: null });
      else this.#tell({ kind: "detail", query, captured: captureDetail(server) });
      return;
    }
    if (!iommu.hasDomain(ask.domain)) {
      this.#tell({ kind: "answer", query, answer: null });
      return;
    }
    const domain = iommu.domain(ask.domain);
    this.#tell({
      kind: "answer",
      query,
      answer: ask.kind === "around"
        ? { kind: "around", around: lookAround(domain, ask.iova, notes) }
        : { kind: "mappings", mappings: mappingsFrom(domain, ask.from, ask.limit, notes) },
    });
  }

  #placeDomains(): void {
    this.#places.clear();
    for (const { id } of this.#machine!.iommu.domains) this.#places.set(id, this.#places.size);
    for (const id of this.#places.keys()) this.#sizeDomain(id);
    this.#board.setDomains(this.#places.size);
  }

  #sizeDomain(id: number): void {
    const at = this.#places.get(id);
    if (at === undefined) return;
    const { space } = this.#machine!.iommu.domain(id);
    this.#board.setDomain(at, id, space.size, space.mappedBytes);
    this.#changed = true;
  }

  #catchPile(): void {
    const { iommu } = this.#machine!;
    if (this.#faults.pileUp(iommu.endpoints)) this.#collectFaults();
  }

  #collectFaults(): void {
    for (const fault of this.#faults.take(this.#machine!.iommu.endpoints)) {
      if (this.#waiting < MAX_FAULTS) this.#addFault(fault);
      else this.#lost++;
    }
  }

  #addFault(seen: SeenFault): void {
    const fault = tellable(seen);
    const { iommu } = this.#machine!;
    const { domain } = iommu.endpoint(fault.endpoint);
    this.#rows.add(fault, domain, this.#notes!);
    this.#waiting++;
    const { timeNs, endpoint, pasid, iova, reason, access } = fault;
    const id = domain?.id ?? -1;
    this.#board.event(timeNs, KIND.FAULT, endpoint, id, pasid, iova, 0, reason, access);
  }

  /** What the last look has seen. */
  #readLook(): void {
    const { iommu } = this.#machine!;
    for (const { kind, timeNs, endpoint, iova, result } of this.#look.events()) {
      if (kind !== TraceKind.DMA_READ && kind !== TraceKind.DMA_WRITE) continue;
      if (result < 0 || !this.#devices.has(endpoint)) continue;
      this.#heat.add(endpoint, iova);
      const { domain } = iommu.endpoint(endpoint);
      if (domain !== null) this.#notes!.hit(domain, iova, timeNs);
    }
  }

  /** Whether a device has done anything since the last call. */
  #hasCounted(): boolean {
    const now: number[] = [];
    for (const { counters } of this.#machine!.iommu.endpoints) now.push(...counters.values);
    const told = this.#told;
    this.#told = now;
    return now.some((value, at) => value !== told[at]);
  }

  #report(): void {
    const { iommu } = this.#machine!;
    const totals = new Array<number>(COUNTERS).fill(0);
    const endpoints = [];
    for (const endpoint of iommu.endpoints) {
      const { values } = endpoint.counters;
      for (let at = 0; at < COUNTERS; at++) totals[at]! += values[at] ?? 0;
      if (endpoints.length >= MAX_ENDPOINTS) continue;
      const type = this.#devices.get(endpoint.id)?.type ?? "unknown";
      endpoints.push(endpointReport(endpoint, type, this.#heat.take(endpoint.id)));
    }
    if (this.#lines > MAX_LINES) {
      const line = `${this.#lines - MAX_LINES} more lines are on the terminal alone`;
      this.#tell({ kind: "log", line });
    }
    this.#lines = 0;
    this.#changed = false;
    this.#waiting = 0;
    this.#tell({
      kind: "report",
      timeNs: this.#reactor.nowNs,
      endpoints,
      domains: domainReports(iommu),
      regions: REGIONS,
      faults: this.#rows.take(),
      faultsLost: this.#faults.lost + this.#lost,
      totals,
      clients: this.#clients(),
    });
  }

  #clients(): ClientReport[] {
    return [...this.#devices].map(([endpoint, { server }]) => ({
      endpoint,
      state: server.connected ? "connected" : "none",
      accepted: server.metrics.clients,
    }));
  }
}
