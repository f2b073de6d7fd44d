/**
 * The scenario's side of a watched run. It stands beside the scenario's calls, notes what they
 * change in shared memory, and when the telling thread asks, which it does twenty times a second,
 * looks at faults, latencies and a sample of DMA, and answers questions. Between two such moments
 * a call of the scenario costs one load; the access path costs nothing.
 * @module
 */

import { receiveMessageOnPort } from "node:worker_threads";
import { Fault, faultName, type Iova, isFault } from "../../core/address.ts";
import type { Domain } from "../../core/iommu/domain.ts";
import type { Endpoint } from "../../core/iommu/endpoint.ts";
import type { Iommu } from "../../core/iommu/iommu.ts";
import type { FaultRecord } from "../../core/iommu/fault_log.ts";
import { TraceKind, type TraceRing } from "../../core/observe/trace.ts";
import type { DeviceType, PciDevice } from "../../devices/pci/pci_device.ts";
import type { PciTarget } from "../../devices/pci/pci_driver.ts";
import type { Machine } from "../machine/machine.ts";
import { METRIC_NAMES, type Metrics, NO_METRICS } from "../run/run_report.ts";
import type {
  FaultReport,
  MachineIommu,
  Plugged as PluggedDevice,
  PlugOptions,
  ScenarioContext,
  Via,
} from "../scenario.ts";
import { Board, DOMAINS_KEPT } from "./board.ts";
import { type DeviceShape, readDetail } from "./device_detail.ts";
import { heatOf } from "./heat.ts";
import {
  type Answer,
  type Around,
  type Ask,
  type DomainReport,
  type EndpointReport,
  FAULT_FIELDS,
  type MappingTuple,
  type ObserveRequest,
  TIMELINE_KINDS,
} from "./observation.ts";
import type { FromTeller, ToTeller } from "./thread_protocol.ts";

/** Milliseconds between two reports, but for faults, which are told as they are seen. */
const REPORT_MS = 250;
/** DMA events, and calls of the scenario, after which a look at the trace ends. */
const LOOK_EVENTS = 256;
const LOOK_CALLS = 16;
/** A look that ended by calls is followed by this many times that without one: DMA is slower under it. */
const LOOK_REST = 200;
/** Calls between two looks whether faults pile up, and how many an endpoint's log may hold by then. */
const PILE_CALLS = 64;
const PILE = 512;
/** Addresses kept of one endpoint between two reports. */
const HEAT_SAMPLES = 1024;
/** Endpoints and domains of a report. */
const MAX_ENDPOINTS = 1024;
const MAX_MEMBERS = 64;
/** Times of mappings that are kept. */
const MAX_AGES = 200_000;
/** Mappings that are told when a run has ended, of all domains together, and devices in detail. */
const MAX_LEFT_MAPPINGS = 200_000;
const MAX_LEFT_DETAILS = 64;
const LEFT_ROWS = 4096;
/** Mappings in an answer. */
const MAX_ANSWER = 1001;
/** Milliseconds that a run waits for its watcher to take what it left. */
const FLUSH_MS = 3000;

const SIDE = { NONE: 0, OVER: 1, BELOW: 2, ABOVE: 3 } as const;
const KIND = Object.fromEntries(TIMELINE_KINDS.map((name, at) => [name, at])) as {
  readonly [Name in typeof TIMELINE_KINDS[number]]: number;
};
/** Timeline kinds of what only the trace ring sees. */
const TRACED = new Map<number, number>([
  [TraceKind.INVALIDATE, KIND.invalidate],
  [TraceKind.PAGE_REQUEST, KIND["page-request"]],
]);

/** A fault as it was recorded, or taken: then without a number of its own. */
type FaultRow = Omit<FaultRecord, "sequence"> & { readonly sequence?: number };

/** Reasons by name. */
const FAULT_CODES: ReadonlyMap<string, Fault> = new Map(
  Object.values(Fault).map((code) => [faultName(code), code]),
);

interface Plugged {
  readonly type: string;
  readonly target: PciTarget;
  readonly shape: DeviceShape | null;
}

/** Starts the telling thread of this process, and keeps it: it serves one run after another. */
export class Teller {
  readonly #worker: Worker;
  readonly port: MessagePort;
  #wake: () => void = () => {};

  constructor() {
    this.#worker = new Worker(import.meta.resolve("./teller.ts"), { type: "module" });
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    this.#worker.onmessage = () => this.#wake();
    this.#worker.postMessage({ port: port2 }, [port2]);
  }

  /** `wake` runs from the event loop when the thread wants something and nobody has come by. */
  onWake(wake: () => void): void {
    this.#wake = wake;
  }

  send(message: ToTeller): void {
    this.port.postMessage(message);
  }

  /** What the thread has said, if anything. */
  receive(): FromTeller | null {
    const received = receiveMessageOnPort(
      this.port as unknown as Parameters<typeof receiveMessageOnPort>[0],
    ) as { readonly message: FromTeller } | undefined;
    return received?.message ?? null;
  }

  /** Ends the thread. For tests: otherwise it lives as long as the process. */
  close(): void {
    this.port.close();
    this.#worker.terminate();
  }
}

/** One watched run. */
export class RunWatch {
  readonly #teller: Teller;
  readonly #board = new Board();
  readonly #request: ObserveRequest;
  #machine: Machine | null = null;
  /** Devices live in another process: their faults are known when the machine is asked for them. */
  #elsewhere = false;
  readonly #taken: FaultRow[] = [];
  #iommu: Iommu | null = null;
  readonly #plugged = new Map<number, Plugged>();
  readonly #known = new Map<number, Endpoint>();
  readonly #places = new Map<Domain, number>();
  readonly #ages = new Map<number, Map<number, number>>();
  #agesKept = 0;
  readonly #faultsSeen = new Map<number, number>();
  #faultNumber = 0;
  #faultsLost = 0;
  readonly #heat = new Map<number, number[]>();
  #traceSeen = 0;
  #tracing = false;
  #look: { readonly startedMs: number } | null = null;
  #lookAgainMs = 0;
  #lookEvents = 0;
  /** Calls until the next deep breath, if nobody asks for one before. */
  #restCalls = 0;
  #reportedMs = -Infinity;
  #flushed: (() => void) | null = null;

  constructor(teller: Teller, request: ObserveRequest) {
    this.#teller = teller;
    this.#request = request;
  }

  /** Begins with a machine that no scenario has seen yet. `trace`: whether the run is traced anyway. */
  begin(machine: Machine, via: Via, trace: "on" | "off"): void {
    this.#machine = machine;
    this.#elsewhere = via !== "direct";
    this.#tracing = trace === "on";
    machine.trace.on = this.#tracing;
    if (!this.#tracing) this.#limitLooks(machine.trace);
    machine.watch((control, iommu) => {
      this.#iommu = iommu;
      return this.#watchControl(control, iommu);
    });
    this.#teller.onWake(() => {
      this.#board.unnudge();
      this.#comeBy();
    });
    this.#teller.send({ kind: "open", request: this.#request, board: this.#board.buffer });
    this.#comeBy();
  }

  /** Called beside every call of the scenario. */
  breathe(): void {
    if (this.#board.due || --this.#restCalls <= 0) this.#breatheDeep();
  }

  #breatheDeep(): void {
    this.#restCalls = PILE_CALLS;
    if (this.#look !== null) this.#endLook();
    if (this.#board.due || this.#faultsPileUp()) this.#comeBy();
  }

  /** The scenario has taken these faults. */
  tookFaults(faults: readonly FaultReport[]): void {
    this.breathe();
    if (!this.#elsewhere) return;
    for (const { endpoint, pasid, iova, access, reason, timeNs } of faults) {
      const code = FAULT_CODES.get(reason);
      if (code === undefined) continue;
      this.#taken.push({ endpoint, pasid: pasid ?? -1, iova, access, reason: code, timeNs });
    }
  }

  /** Plugs a device in: the model that is made is seen, and what its driver does comes by. */
  async plug<Options, Driver>(
    machine: Machine,
    type: DeviceType<Options, Driver>,
    options: Options,
    placement?: PlugOptions,
  ): Promise<PluggedDevice<Driver>> {
    let shape: DeviceShape | null = null;
    const watched: DeviceType<Options, Driver> = {
      type: type.type,
      module: type.module,
      create: (options): PciDevice => {
        const device = type.create(options);
        shape = { bars: device.bars };
        return device;
      },
      driver: (target) => type.driver(this.#watchTarget(target)),
    };
    const device = await machine.plug(watched, options, placement);
    const { target } = device;
    this.#plugged.set(target.endpoint, { type: type.type, shape, target });
    this.#reportedMs = -Infinity;
    this.#comeBy();
    return { ...device, target: this.#watchTarget(target) };
  }

  /** The target as it was, its accesses coming by. */
  #watchTarget(target: PciTarget): PciTarget {
    const seen = <T>(done: Promise<T>): Promise<T> => {
      this.breathe();
      return done;
    };
    return {
      endpoint: target.endpoint,
      configRead: (offset, size) => seen(target.configRead(offset, size)),
      configWrite: (offset, size, value) => seen(target.configWrite(offset, size, value)),
      barRead: (bar, offset, size) => seen(target.barRead(bar, offset, size)),
      barWrite: (bar, offset, size, value) => seen(target.barWrite(bar, offset, size, value)),
      barRead64: (bar, offset) => seen(target.barRead64(bar, offset)),
      barWrite64: (bar, offset, value) => seen(target.barWrite64(bar, offset, value)),
      takeInterrupts: (vector) => seen(target.takeInterrupts(vector)),
      intxAsserted: () => seen(target.intxAsserted()),
      reset: () => seen(target.reset()),
      inspect: () => seen(target.inspect()),
    };
  }

  /** The clock as it was, coming by when it has moved. */
  watchClock(clock: ScenarioContext["clock"]): ScenarioContext["clock"] {
    return {
      get nowNs() {
        return clock.nowNs;
      },
      advance: (ms) => {
        const done = clock.advance(ms);
        this.breathe();
        return done;
      },
    };
  }

  /**
   * The scenario has ended, its machine still stands: tells what it left, and waits until the
   * watcher has it, for a while.
   */
  async end(): Promise<void> {
    this.#endLook();
    if (this.#elsewhere && this.#machine !== null) {
      // Nobody else will take what the scenario has left.
      this.tookFaults(await this.#machine.takeFaults().catch(() => []));
    }
    this.#reportedMs = -Infinity;
    this.#comeBy();
    const iommu = this.#iommu;
    if (iommu !== null) {
      let left = MAX_LEFT_MAPPINGS;
      for (const domain of iommu.domains) left -= this.#leaveMappings(domain, left);
      for (const { target, shape } of [...this.#plugged.values()].slice(0, MAX_LEFT_DETAILS)) {
        try {
          const detail = await readDetail(target, shape);
          this.#teller.send({ kind: "left-detail", detail });
        } catch {
          // A device that is gone leaves nothing to look at.
        }
      }
    }
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#flushed = resolve;
      timer = setTimeout(resolve, FLUSH_MS);
      this.#teller.send({ kind: "close" });
    });
    clearTimeout(timer);
    this.#teller.onWake(() => {});
    this.#machine = null;
    this.#iommu = null;
  }

  #watchControl(control: MachineIommu, iommu: Iommu): MachineIommu {
    const now = (): number => this.#machine?.clock.nowNs ?? 0;
    // The promise that the scenario gets is the very one it would get without a watcher.
    const noted = <T>(done: Promise<T>, note: (value: T) => void): Promise<T> => {
      done.then(note, () => {});
      this.breathe();
      return done;
    };
    const event = (
      kind: number,
      endpoint: number,
      domain: number,
      iova = 0,
      length = 0,
      result = 0,
      access = 0,
    ) => this.#board.event(now(), kind, endpoint, domain, -1, iova, length, result, access);
    const domainOf = (endpoint: number): number | null => {
      for (const { id, domain } of iommu.endpoints) if (id === endpoint) return domain?.id ?? null;
      return null;
    };
    return {
      createDomain: () => noted(control.createDomain(), () => this.#placeDomains()),
      destroyDomain: (domain) =>
        noted(control.destroyDomain(domain), () => {
          this.#ages.delete(domain);
          this.#placeDomains();
        }),
      attach: (endpoint, domain) =>
        noted(control.attach(endpoint, domain), () => event(KIND.attach, endpoint, domain)),
      detach: (endpoint) => {
        const domain = domainOf(endpoint);
        return noted(control.detach(endpoint), () => {
          if (domain !== null) event(KIND.detach, endpoint, domain);
        });
      },
      map: (domain, iova, gpa, length, access) =>
        noted(control.map(domain, iova, gpa, length, access), () => {
          event(KIND.map, -1, domain, iova, length, gpa, access);
          this.#age(domain, iova, now());
          this.#sizeDomain(domain);
        }),
      unmap: (domain, iova, length) =>
        noted(control.unmap(domain, iova, length), (bytes) => {
          event(KIND.unmap, -1, domain, iova, length, bytes);
          this.#sizeDomain(domain);
        }),
      startDirtyTracking: (domain, iova, length) =>
        control.startDirtyTracking(domain, iova, length),
      takeDirtyPages: (domain) => control.takeDirtyPages(domain),
    };
  }

  #comeBy(): void {
    this.#board.answered();
    for (let said = this.#teller.receive(); said !== null; said = this.#teller.receive()) {
      if (said.kind === "flushed") this.#flushed?.();
      else this.#answer(said.query, said.ask);
    }
    if (this.#machine === null || this.#iommu === null) return;
    this.#findEndpoints();
    this.#placeDomains();
    this.#readTrace();
    const faults = this.#collectFaults();
    const nowMs = performance.now();
    if (faults.length > 0 || nowMs - this.#reportedMs >= REPORT_MS) {
      this.#reportedMs = nowMs;
      this.#report(faults);
    }
    this.#beginLook(nowMs);
  }

  #findEndpoints(): void {
    const iommu = this.#iommu;
    if (iommu === null) return;
    let there = 0;
    for (const endpoint of iommu.endpoints) {
      there++;
      const { id, counters } = endpoint;
      // Another may have been plugged in at the place of one that went.
      if (this.#known.get(id) === endpoint) continue;
      this.#known.set(id, endpoint);
      this.#faultsSeen.delete(id);
      this.#teller.send({ kind: "counters", endpoint: id, values: counters.values });
    }
    if (there === this.#known.size) return;
    const ids = new Set([...iommu.endpoints].map(({ id }) => id));
    for (const id of this.#known.keys()) {
      if (ids.has(id)) continue;
      this.#known.delete(id);
      this.#plugged.delete(id);
      this.#faultsSeen.delete(id);
      this.#teller.send({ kind: "gone", endpoint: id });
    }
  }

  #placeDomains(): void {
    const iommu = this.#iommu;
    if (iommu === null) return;
    this.#places.clear();
    for (const domain of iommu.domains) {
      const at = this.#places.size;
      this.#places.set(domain, at);
      this.#board.setDomain(at, domain.id, domain.space.size, domain.space.mappedBytes);
    }
    this.#board.setDomains(this.#places.size);
  }

  #sizeDomain(id: number): void {
    const iommu = this.#iommu;
    if (iommu === null || !iommu.hasDomain(id)) return;
    const domain = iommu.domain(id);
    const at = this.#places.get(domain);
    if (at === undefined) this.#placeDomains();
    else this.#board.setDomain(at, id, domain.space.size, domain.space.mappedBytes);
  }

  #age(domain: number, iova: number, timeNs: number): void {
    let ages = this.#ages.get(domain);
    if (ages === undefined) this.#ages.set(domain, ages = new Map());
    if (this.#agesKept >= MAX_AGES) this.#dropAges();
    if (this.#agesKept >= MAX_AGES) return;
    if (!ages.has(iova)) this.#agesKept++;
    ages.set(iova, timeNs);
  }

  /** Ages of mappings that are no longer there. Kept until room is wanted: removing them at each unmap would cost a walk. */
  #dropAges(): void {
    const iommu = this.#iommu;
    this.#agesKept = 0;
    for (const [id, ages] of this.#ages) {
      const space = iommu !== null && iommu.hasDomain(id) ? iommu.domain(id).space : null;
      for (const iova of ages.keys()) {
        if (space?.mappingAt(iova as Iova)?.iova !== iova) ages.delete(iova);
      }
      this.#agesKept += ages.size;
    }
  }

  /** What happened in the last look: addresses of DMA, and events that no other way shows. */
  #readTrace(): void {
    const { trace } = this.#machine!;
    for (const event of trace.events(this.#traceSeen)) {
      if (event.kind === TraceKind.DMA_READ || event.kind === TraceKind.DMA_WRITE) {
        if (isFault(event.result)) continue;
        let addresses = this.#heat.get(event.endpoint);
        if (addresses === undefined) this.#heat.set(event.endpoint, addresses = []);
        if (addresses.length < HEAT_SAMPLES) addresses.push(event.iova);
        continue;
      }
      const kind = TRACED.get(event.kind);
      if (kind === undefined) continue;
      const { timeNs, endpoint, pasid, iova, length } = event;
      this.#board.event(timeNs, kind, endpoint, -1, pasid, iova, length, 0, 0);
    }
    this.#traceSeen = trace.recorded;
  }

  #beginLook(nowMs: number): void {
    // A ring of one event was made for no trace: the devices are elsewhere.
    if (this.#tracing || this.#machine!.trace.capacity === 1 || this.#look !== null) return;
    if (nowMs < this.#lookAgainMs) return;
    this.#machine!.trace.on = true;
    this.#look = { startedMs: nowMs };
    this.#lookEvents = LOOK_EVENTS;
    this.#restCalls = LOOK_CALLS;
  }

  #endLook(): void {
    if (this.#look === null || this.#machine === null) return;
    const nowMs = performance.now();
    if (this.#machine.trace.on) {
      this.#machine.trace.on = false;
      this.#lookAgainMs = nowMs + (nowMs - this.#look.startedMs) * LOOK_REST;
    }
    this.#look = null;
  }

  /** Lets a look end in the midst of a call: one call may be all that a scenario does. */
  #limitLooks(trace: TraceRing): void {
    const record = trace.record.bind(trace);
    trace.record = (timeNs, kind, endpoint, pasid, iova, length, result) => {
      record(timeNs, kind, endpoint, pasid, iova, length, result);
      if (--this.#lookEvents <= 0) trace.on = false;
    };
  }

  /** Whether a log is about to lose faults that nobody has seen. */
  #faultsPileUp(): boolean {
    for (const { id, faults } of this.#iommu?.endpoints ?? []) {
      if (faults.recorded - (this.#faultsSeen.get(id) ?? 0) >= PILE) return true;
    }
    return false;
  }

  #collectFaults(): Float64Array {
    const found: FaultRow[] = this.#taken.splice(0);
    for (const { id, faults } of this.#iommu!.endpoints) {
      const seen = this.#faultsSeen.get(id) ?? 0;
      const fresh = faults.recorded - seen;
      if (fresh === 0) continue;
      this.#faultsSeen.set(id, faults.recorded);
      const records = faults.recent(fresh);
      this.#faultsLost += fresh - records.length;
      for (const record of records) found.push(record);
    }
    found.sort((a, b) => (a.sequence ?? 0) - (b.sequence ?? 0));
    const rows = new Float64Array(found.length * FAULT_FIELDS);
    found.forEach((fault, index) => {
      const domain = this.#known.get(fault.endpoint)?.domain ?? null;
      const near = domain === null ? null : this.#around(domain, fault.iova);
      const [side, nearest] = nearestOf(near, fault.iova);
      rows.set([
        this.#faultNumber++,
        fault.timeNs,
        fault.endpoint,
        fault.pasid,
        fault.iova,
        fault.access,
        fault.reason,
        domain?.id ?? -1,
        side,
        ...nearest ?? [0, 0, 0, 0, 0],
      ], index * FAULT_FIELDS);
      this.#board.event(
        fault.timeNs,
        KIND.fault,
        fault.endpoint,
        domain?.id ?? -1,
        fault.pasid,
        fault.iova,
        0,
        fault.reason,
        fault.access,
      );
    });
    return rows;
  }

  #report(faults: Float64Array): void {
    const iommu = this.#iommu!;
    const endpoints: EndpointReport[] = [];
    for (const endpoint of iommu.endpoints) {
      if (endpoints.length >= MAX_ENDPOINTS) break;
      endpoints.push(this.#endpointReport(endpoint));
    }
    this.#heat.clear();
    const domains: DomainReport[] = [];
    for (const { id, kind, members } of iommu.domains) {
      if (domains.length >= DOMAINS_KEPT) break;
      const rows: [number, number][] = [];
      for (const { endpoint, pasid } of members) {
        if (rows.length >= MAX_MEMBERS) break;
        rows.push([endpoint.id, pasid]);
      }
      domains.push({ id, kind, members: rows, membersLeftOut: members.size - rows.length });
    }
    const { ram, clock } = this.#machine!;
    const metrics = this.#metrics();
    this.#teller.send({
      kind: "report",
      timeNs: clock.nowNs,
      endpoints,
      domains,
      regions: ram.regions.map(({ name, start, length, readOnly }) => ({
        name,
        start,
        length,
        readOnly,
      })),
      faults,
      faultsLost: this.#faultsLost,
      totals: METRIC_NAMES.map((name) => metrics[name]),
    });
  }

  /** None while the process of the devices is going down. */
  #metrics(): Metrics {
    try {
      return this.#machine!.metrics();
    } catch {
      return NO_METRICS;
    }
  }

  #endpointReport({ id, domain, context, latency }: Endpoint): EndpointReport {
    const { count, sumNs } = latency;
    return {
      id,
      device: this.#plugged.get(id)?.type ?? "unknown",
      domain: domain?.id ?? null,
      bypass: context.bypass,
      latency: count === 0 ? null : {
        samples: count,
        p50Ns: latency.percentile(50),
        p99Ns: latency.percentile(99),
      },
      latencyBuckets: latency.snapshot().map(({ belowNs, count }) => [belowNs, count]),
      latencySumNs: sumNs,
      heat: heatOf(this.#heat.get(id) ?? []),
    };
  }

  #answer(query: number, ask: Ask): void {
    const say = (answer: Answer | null): void =>
      this.#teller.send({ kind: "answer", query, answer });
    const iommu = this.#iommu;
    if (iommu === null) return say(null);
    if (ask.kind === "detail") {
      const device = this.#plugged.get(ask.endpoint);
      if (device === undefined) return say(null);
      readDetail(device.target, device.shape).then(
        (detail) => say({ kind: "detail", detail }),
        () => say(null),
      );
      return;
    }
    if (!iommu.hasDomain(ask.domain)) return say(null);
    const domain = iommu.domain(ask.domain);
    if (ask.kind === "around") {
      return say({ kind: "around", around: this.#around(domain, ask.iova) });
    }
    const mappings: MappingTuple[] = [];
    for (const mapping of domain.space.mappings(ask.from as Iova)) {
      if (mappings.length >= Math.min(ask.limit, MAX_ANSWER)) break;
      // The one that ends at or after `from` may begin before it, on the page before.
      if (mapping.iova < ask.from) continue;
      mappings.push(this.#tuple(domain, mapping));
    }
    say({ kind: "mappings", mappings });
  }

  #around(domain: Domain, iova: number): Around {
    const { ranges } = domain.space.table;
    const at = (slot: number): MappingTuple | null => {
      if (slot < 0) return null;
      const start = ranges.startOf(slot);
      return this.#tuple(domain, {
        iova: start,
        gpa: ranges.targetOf(slot),
        length: ranges.lastOf(slot) - start + 1,
        access: ranges.flagsOf(slot),
      });
    };
    const floor = ranges.floor(iova);
    const covers = floor >= 0 && ranges.lastOf(floor) >= iova;
    const above = floor < 0 ? ranges.first() : ranges.next(floor);
    return {
      over: covers ? at(floor) : null,
      below: covers ? at(ranges.previous(floor)) : at(floor),
      above: at(above),
    };
  }

  #tuple(
    domain: Domain,
    mapping: {
      readonly iova: number;
      readonly gpa: number;
      readonly length: number;
      readonly access: number;
    },
  ): MappingTuple {
    const { iova, gpa, length, access } = mapping;
    return [iova, gpa, length, access, this.#ages.get(domain.id)?.get(iova) ?? -1];
  }

  /** Tells at most `limit` mappings of the domain. @returns how many */
  #leaveMappings(domain: Domain, limit: number): number {
    let rows: number[] = [];
    let told = 0;
    const say = (): void => {
      if (rows.length === 0) return;
      const values = new Float64Array(rows);
      this.#teller.send({ kind: "left-mappings", domain: domain.id, rows: values });
      rows = [];
    };
    for (const mapping of domain.space.mappings()) {
      if (told >= limit) break;
      rows.push(...this.#tuple(domain, mapping));
      told++;
      if (told % LEFT_ROWS === 0) say();
    }
    say();
    return told;
  }
}

function nearestOf(
  near: Around | null,
  iova: number,
): readonly [number, MappingTuple | null] {
  if (near === null) return [SIDE.NONE, null];
  const { over, below, above } = near;
  if (over !== null) return [SIDE.OVER, over];
  if (below === null) return above === null ? [SIDE.NONE, null] : [SIDE.ABOVE, above];
  if (above === null) return [SIDE.BELOW, below];
  const down = iova - (below[0] + below[2] - 1), up = above[0] - iova;
  return down <= up ? [SIDE.BELOW, below] : [SIDE.ABOVE, above];
}
