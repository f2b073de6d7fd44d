/**
 * The devices of this process as a watched run sees them: their IOMMU is at hand.
 * @module
 */

import type { Endpoint } from "../../core/iommu/endpoint.ts";
import type { Iommu } from "../../core/iommu/iommu.ts";
import { TraceKind } from "../../core/observe/trace.ts";
import { type Metrics, sumMetrics } from "../run/run_report.ts";
import { DmaLook } from "./dma_look.ts";
import { timedBy, type TimedTranslations } from "./endpoint_report.ts";
import { LocalFaults } from "./local_faults.ts";
import type { Sight, SightListener } from "./sight.ts";

/**
 * A look that did not see enough is followed by this many times its length without one, since DMA is
 * slower under it; but not by more milliseconds than there are between two reports.
 */
const LOOK_REST = 200;
const MAX_REST_MS = 250;

/** See the module. */
export class LocalSight implements Sight {
  readonly #iommu: Iommu;
  readonly #listener: SightListener;
  readonly #faults = new LocalFaults();
  readonly #look: DmaLook;
  #lookedMs: number | null = null;
  #lookAgainMs = 0;

  /** `tracing`: whether the run is traced anyway. */
  constructor(iommu: Iommu, tracing: "on" | "off", listener: SightListener) {
    this.#iommu = iommu;
    this.#listener = listener;
    this.#look = new DmaLook(iommu.trace, tracing);
    iommu.onInvalidation = (timeNs, endpoint, pasid, iova, length) => {
      const kind = TraceKind.INVALIDATE;
      listener.invalidated({ timeNs, kind, endpoint, pasid, iova, length, result: 0 });
    };
  }

  get faultsLost(): number {
    return this.#faults.lost;
  }

  countersOf(endpoint: Endpoint): Float64Array {
    return endpoint.counters.values;
  }

  timedBy(endpoint: Endpoint): TimedTranslations {
    return timedBy(endpoint);
  }

  totals(): Metrics {
    return sumMetrics(
      [...this.#iommu.endpoints].map(({ counters }) => ({ metrics: counters.snapshot() })),
    );
  }

  pileUp(): boolean {
    return this.#faults.pileUp(this.#iommu.endpoints);
  }

  beforeChange(): void {
    if (!this.#faults.areThere(this.#iommu.endpoints)) return;
    for (const fault of this.#faults.take(this.#iommu.endpoints)) this.#listener.fault(fault);
  }

  collect(): void {
    this.beforeChange();
    for (const event of this.#look.events()) this.#listener.traced(event);
  }

  look(): void {}

  beginLook(): boolean {
    const nowMs = performance.now();
    if (this.#lookedMs !== null || nowMs < this.#lookAgainMs) return false;
    this.#look.begin();
    this.#lookedMs = nowMs;
    return true;
  }

  endLook(): void {
    if (this.#lookedMs === null) return;
    const nowMs = performance.now();
    if (this.#look.end()) {
      this.#lookAgainMs = nowMs + Math.min(MAX_REST_MS, (nowMs - this.#lookedMs) * LOOK_REST);
    }
    this.#lookedMs = null;
  }

  forget(endpoint: number): void {
    this.#faults.forget(endpoint);
  }
}
