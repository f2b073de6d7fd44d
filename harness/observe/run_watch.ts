/**
 * The scenario's side of a watched run. It stands beside the scenario's calls, notes what they
 * change in shared memory, and when the telling thread asks, which it does twenty times a second,
 * looks at faults, latencies and a sample of DMA, and answers questions. Between two such moments
 * a call of the scenario costs one load; the access path costs nothing.
 * @module
 */

import type { Domain } from "../../core/iommu/domain.ts";
import type { Endpoint } from "../../core/iommu/endpoint.ts";
import type { Iommu } from "../../core/iommu/iommu.ts";
import { TraceKind } from "../../core/observe/trace.ts";
import type { DeviceType, PciDevice } from "../../devices/pci/pci_device.ts";
import type { Machine } from "../machine/machine.ts";
import { METRIC_NAMES } from "../run/run_report.ts";
import type { Plugged as PluggedDevice, PlugOptions, ScenarioContext } from "../scenario.ts";
import { Board } from "./board.ts";
import type { DeviceShape } from "./device_detail.ts";
import { domainReports } from "./domain_report.ts";
import { ElsewhereSight } from "./elsewhere_sight.ts";
import { endpointReport, MAX_ENDPOINTS } from "./endpoint_report.ts";
import { FaultRows, type SeenFault, tellable } from "./fault_rows.ts";
import { HeatSamples } from "./heat.ts";
import { tellWhatIsLeft } from "./left_behind.ts";
import { LocalSight } from "./local_sight.ts";
import { MappingNotes } from "./mapping_notes.ts";
import {
  type Answer,
  type Ask,
  type EndpointReport,
  type ObserveRequest,
  TIMELINE,
} from "./observation.ts";
import { answerAsk, type PluggedIn } from "./questions.ts";
import { regionReports } from "./region_report.ts";
import type { SeenEvent, Sight } from "./sight.ts";
import type { Teller } from "./teller_thread.ts";
import type { ToTeller } from "./thread_protocol.ts";
import { watchedControl } from "./watched_control.ts";
import { watchedTarget } from "./watched_target.ts";

/** Milliseconds between two reports, but for faults, which are told as they are seen. */
const REPORT_MS = 250;
/** Calls of the scenario after which a look at DMA ends. */
const LOOK_CALLS = 16;
/** Calls between two looks whether faults pile up. */
const PILE_CALLS = 64;
/** Milliseconds that a run waits for its watcher to take what it left. */
const FLUSH_MS = 3000;

/** What is looked at: of a machine whose run goes on. */
interface Watched {
  readonly machine: Machine;
  readonly iommu: Iommu;
  readonly sight: Sight;
  readonly notes: MappingNotes;
}

/** One watched run. */
export class RunWatch {
  readonly #teller: Teller;
  readonly #board = new Board();
  readonly #request: ObserveRequest;
  #watched: Watched | null = null;
  readonly #plugged = new Map<number, PluggedIn>();
  readonly #known = new Map<number, Endpoint>();
  readonly #places = new Map<Domain, number>();
  readonly #faults = new FaultRows();
  readonly #heat = new HeatSamples();
  #looking = false;
  /** Calls until the next deep breath, if nobody asks for one before. */
  #restCalls = 0;
  #reportedMs = -Infinity;
  #flushed: (() => void) | null = null;

  constructor(teller: Teller, request: ObserveRequest) {
    this.#teller = teller;
    this.#request = request;
  }

  /** Begins with a machine that no scenario has seen yet. `trace`: whether the run is traced anyway. */
  begin(machine: Machine, trace: "on" | "off"): void {
    this.#teller.send({ kind: "open", request: this.#request, board: this.#board.buffer });
    machine.watch((control, iommu) => {
      const notes = new MappingNotes(iommu);
      const listener = {
        fault: (fault: SeenFault) => this.#fault(fault),
        traced: (event: SeenEvent) => this.#traced(event),
        invalidated: (event: SeenEvent) => this.#invalidated(event),
        place: (endpoint: number, path: string, number: number) =>
          this.#teller.send({ kind: "place", endpoint, path, number }),
      };
      const { elsewhere } = machine;
      const sight = elsewhere === null
        ? new LocalSight(iommu, trace, listener)
        : new ElsewhereSight(elsewhere, listener);
      this.#watched = { machine, iommu, sight, notes };
      return watchedControl(control, iommu, this.#board, notes, {
        nowNs: () => machine.clock.nowNs,
        breathe: () => this.breathe(),
        beforeChange: () => sight.beforeChange(),
        domainsChanged: () => this.#placeDomains(),
        domainSized: (domain) => this.#sizeDomain(domain),
      });
    });
    this.#teller.onWake(() => {
      this.#board.unnudge();
      this.#comeBy();
    });
    this.#comeBy();
  }

  /** Called beside every call of the scenario. */
  breathe(): void {
    if (this.#board.due || --this.#restCalls <= 0) this.#breatheDeep();
  }

  #breatheDeep(): void {
    this.#restCalls = PILE_CALLS;
    this.#endLook();
    if (this.#board.due || this.#watched?.sight.pileUp() === true) this.#comeBy();
  }

  /** Plugs a device in: the model that is made is seen, and what its driver does comes by. */
  async plug<Options, Driver>(
    machine: Machine,
    type: DeviceType<Options, Driver>,
    options: Options,
    placement?: PlugOptions,
  ): Promise<PluggedDevice<Driver>> {
    let shape: DeviceShape | null = null;
    const breathe = (): void => this.breathe();
    const watched: DeviceType<Options, Driver> = {
      type: type.type,
      module: type.module,
      create: (options): PciDevice => {
        const device = type.create(options);
        shape = { bars: device.bars };
        return device;
      },
      driver: (target) => type.driver(watchedTarget(target, breathe)),
    };
    const device = await machine.plug(watched, options, placement);
    const { target } = device;
    this.#plugged.set(target.endpoint, { type: type.type, shape, target });
    this.#reportedMs = -Infinity;
    this.#comeBy();
    return { ...device, target: watchedTarget(target, breathe) };
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
    this.#reportedMs = -Infinity;
    this.#comeBy();
    if (this.#watched !== null) {
      const { iommu, notes } = this.#watched;
      const send = (message: ToTeller): void => this.#teller.send(message);
      await tellWhatIsLeft({ iommu, notes, plugged: this.#plugged }, send);
    }
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      this.#flushed = resolve;
      timer = setTimeout(resolve, FLUSH_MS);
      this.#teller.send({ kind: "close" });
    });
    clearTimeout(timer);
    this.#teller.onWake(() => {});
    this.#watched = null;
  }

  #comeBy(): void {
    this.#board.answered();
    for (let said = this.#teller.receive(); said !== null; said = this.#teller.receive()) {
      if (said.kind === "flushed") this.#flushed?.();
      else this.#answer(said.query, said.ask);
    }
    const watched = this.#watched;
    if (watched === null) return;
    const { sight } = watched;
    this.#findEndpoints(watched);
    this.#placeDomains();
    sight.collect();
    const nowMs = performance.now();
    if (!this.#faults.isEmpty || nowMs - this.#reportedMs >= REPORT_MS) {
      this.#reportedMs = nowMs;
      sight.look();
      this.#report(watched);
    }
    if (sight.beginLook()) {
      this.#looking = true;
      this.#restCalls = LOOK_CALLS;
    }
  }

  #endLook(): void {
    if (!this.#looking) return;
    this.#looking = false;
    this.#watched?.sight.endLook();
  }

  #findEndpoints({ iommu, sight }: Watched): void {
    let there = 0;
    for (const endpoint of iommu.endpoints) {
      there++;
      const { id } = endpoint;
      // Another may have been plugged in at the place of one that went.
      if (this.#known.get(id) === endpoint) continue;
      this.#known.set(id, endpoint);
      sight.forget(id);
      this.#teller.send({ kind: "counters", endpoint: id, values: sight.countersOf(endpoint) });
    }
    if (there === this.#known.size) return;
    const ids = new Set([...iommu.endpoints].map(({ id }) => id));
    for (const id of this.#known.keys()) {
      if (ids.has(id)) continue;
      this.#known.delete(id);
      this.#plugged.delete(id);
      sight.forget(id);
      this.#teller.send({ kind: "gone", endpoint: id });
    }
  }

  #placeDomains(): void {
    if (this.#watched === null) return;
    this.#places.clear();
    for (const domain of this.#watched.iommu.domains) {
      const at = this.#places.size;
      this.#places.set(domain, at);
      this.#board.setDomain(at, domain.id, domain.space.size, domain.space.mappedBytes);
    }
    this.#board.setDomains(this.#places.size);
  }

  #sizeDomain(id: number): void {
    const iommu = this.#watched?.iommu;
    if (iommu === undefined || !iommu.hasDomain(id)) return;
    const domain = iommu.domain(id);
    const at = this.#places.get(domain);
    if (at === undefined) this.#placeDomains();
    else this.#board.setDomain(at, id, domain.space.size, domain.space.mappedBytes);
  }

  #domainOf(endpoint: number): Domain | null {
    return this.#known.get(endpoint)?.domain ?? null;
  }

  #fault(seen: SeenFault): void {
    // Devices elsewhere may have more to say while they are taken down.
    if (this.#watched === null) return;
    const fault = tellable(seen);
    const { endpoint, timeNs, pasid, iova, reason, access } = fault;
    const domain = this.#domainOf(endpoint);
    this.#faults.add(fault, domain, this.#watched.notes);
    const id = domain?.id ?? -1;
    this.#board.event(timeNs, TIMELINE.fault, endpoint, id, pasid, iova, 0, reason, access);
  }

  #traced({ kind, timeNs, endpoint, pasid, iova, length, result }: SeenEvent): void {
    if (kind === TraceKind.DMA_READ || kind === TraceKind.DMA_WRITE) {
      if (result < 0 || !this.#heat.add(endpoint, iova)) return;
      const domain = this.#domainOf(endpoint);
      if (domain !== null) this.#watched?.notes.hit(domain, iova, timeNs);
      return;
    }
    if (kind !== TraceKind.PAGE_REQUEST) return;
    this.#board.event(timeNs, TIMELINE["page-request"], endpoint, -1, pasid, iova, length, 0, 0);
  }

  #invalidated({ timeNs, endpoint, pasid, iova, length }: SeenEvent): void {
    // As with faults.
    if (this.#watched === null) return;
    const domain = this.#domainOf(endpoint)?.id ?? -1;
    this.#board.event(timeNs, TIMELINE.invalidate, endpoint, domain, pasid, iova, length, 0, 0);
  }

  #report({ machine, iommu, sight }: Watched): void {
    const endpoints: EndpointReport[] = [];
    for (const endpoint of iommu.endpoints) {
      if (endpoints.length >= MAX_ENDPOINTS) break;
      const { id } = endpoint;
      const device = this.#plugged.get(id)?.type ?? "unknown";
      endpoints.push(
        endpointReport(endpoint, device, this.#heat.take(id), sight.timedBy(endpoint)),
      );
    }
    const totals = sight.totals();
    this.#teller.send({
      kind: "report",
      timeNs: machine.clock.nowNs,
      endpoints,
      domains: domainReports(iommu),
      regions: regionReports(machine.ram),
      faults: this.#faults.take(),
      faultsLost: sight.faultsLost,
      totals: METRIC_NAMES.map((name) => totals[name]),
    });
  }

  #answer(query: number, ask: Ask): void {
    const say = (answer: Answer | null): void =>
      this.#teller.send({ kind: "answer", query, answer });
    if (this.#watched === null) return say(null);
    const { machine, iommu, notes } = this.#watched;
    const caches = machine.elsewhere === null ? "here" : "elsewhere";
    answerAsk(ask, { iommu, notes, caches, plugged: this.#plugged }, say);
  }
}
