/**
 * The devices of other processes as a watched run sees them. What they count is asked for when the
 * scenario's thread comes by; while it does not, the telling thread asks by itself.
 * @module
 */

import { Fault, faultName } from "../../core/address.ts";
import type { Endpoint } from "../../core/iommu/endpoint.ts";
import { EndpointCounters } from "../../core/observe/counters.ts";
import { type Metrics, NO_METRICS, sumMetrics } from "../run/run_report.ts";
import type { FaultReport } from "../scenario.ts";
import type { DevicesElsewhere } from "./devices_elsewhere.ts";
import { type EndpointFigures, storeMetrics } from "./endpoint_figures.ts";
import type { TimedTranslations } from "./endpoint_report.ts";
import type { Sight, SightListener } from "./sight.ts";

/** Reasons by name. */
const FAULT_CODES: ReadonlyMap<string, Fault> = new Map(
  Object.values(Fault).map((code) => [faultName(code), code]),
);
const NONE: TimedTranslations = { buckets: [], sumNs: 0 };

/** Gets what is seen, and where else it is told. */
export interface ElsewhereSightListener extends SightListener {
  /** See `ElsewhereListener.place()`. */
  place(endpoint: number, path: string, number: number): void;
}

/** See the module. */
export class ElsewhereSight implements Sight {
  readonly #devices: DevicesElsewhere;
  readonly #listener: SightListener;
  readonly #counters = new Map<number, EndpointCounters>();
  #figures: ReadonlyMap<number, EndpointFigures> = new Map();

  constructor(devices: DevicesElsewhere, listener: ElsewhereSightListener) {
    this.#devices = devices;
    this.#listener = listener;
    devices.watch({
      fault: (fault) => this.#fault(fault),
      invalidated: (event) => listener.invalidated(event),
      place: (endpoint, path, number) => listener.place(endpoint, path, number),
    });
  }

  get faultsLost(): number {
    let lost = 0;
    for (const { faultsLost } of this.#figures.values()) lost += faultsLost;
    return lost;
  }

  countersOf({ id }: Endpoint): Float64Array {
    let counters = this.#counters.get(id);
    if (counters === undefined) this.#counters.set(id, counters = new EndpointCounters());
    return counters.values;
  }

  timedBy({ id }: Endpoint): TimedTranslations {
    const figures = this.#figures.get(id);
    if (figures === undefined) return NONE;
    return { buckets: figures.latencies, sumNs: figures.latencySumNs };
  }

  totals(): Metrics {
    return this.#figures.size === 0 ? NO_METRICS : sumMetrics([...this.#figures.values()]);
  }

  pileUp(): boolean {
    // They are drained with each answer of their process, and nothing happens there in between.
    return false;
  }

  beforeChange(): void {
    // Who changes them asks for the faults first, whether anybody watches or not.
  }

  collect(): void {
    this.#whileThere(() => this.#devices.collect());
  }

  look(): void {
    this.#whileThere(() => {
      const { figures, events } = this.#devices.look();
      this.#figures = new Map(figures.map((one) => [one.endpoint, one]));
      for (const { endpoint, metrics } of figures) {
        const counters = this.#counters.get(endpoint);
        if (counters !== undefined) storeMetrics(counters.values, metrics);
      }
      for (const event of events) this.#listener.traced(event);
    });
  }

  beginLook(): boolean {
    return false;
  }

  endLook(): void {}

  forget(endpoint: number): void {
    this.#counters.delete(endpoint);
  }

  /** That their process has gone is for the run to find: what was known last stands. */
  #whileThere(ask: () => void): void {
    try {
      ask();
    } catch {
      // See above.
    }
  }

  #fault({ endpoint, pasid, iova, access, reason, timeNs }: FaultReport): void {
    const code = FAULT_CODES.get(reason);
    if (code === undefined) return;
    this.#listener.fault({ endpoint, pasid: pasid ?? -1, iova, access, reason: code, timeNs });
  }
}
