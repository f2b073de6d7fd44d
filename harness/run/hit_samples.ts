/**
 * What each endpoint's IOTLB has hit and missed so far, at moments of a run: a traced run takes one
 * at each beginning and end of a step. However many steps there are, the samples have a bound.
 * @module
 */

import type { Machine } from "../machine/machine.ts";

/** Samples that are kept; beyond that every second one goes, and every second one is not taken. */
const KEPT = 4096;

/** One moment. */
export interface HitSample {
  /** Scenario time. */
  readonly timeNs: number;
  /** Since the run began. */
  readonly endpoints: readonly {
    readonly endpoint: number;
    readonly hits: number;
    readonly misses: number;
  }[];
}

/** Takes the samples of one machine. */
export class HitSamples {
  readonly #machine: Pick<Machine, "clock" | "endpointMetrics">;
  #samples: HitSample[] = [];
  #stride = 1;
  #asked = 0;

  constructor(machine: Pick<Machine, "clock" | "endpointMetrics">) {
    this.#machine = machine;
  }

  /** By time, at most one a moment. */
  get samples(): readonly HitSample[] {
    return this.#samples;
  }

  /** Takes one, unless there are too many. */
  take(): void {
    if (this.#asked++ % this.#stride === 0) this.takeLast();
  }

  /** Takes one in any case: the run is over. */
  takeLast(): void {
    const timeNs = this.#machine.clock.nowNs;
    let endpoints: HitSample["endpoints"];
    try {
      endpoints = this.#machine.endpointMetrics().map(({ endpoint, metrics }) => ({
        endpoint,
        hits: metrics.iotlbHits,
        misses: metrics.iotlbMisses,
      }));
    } catch {
      // The process of the devices is gone: the run tells that by itself.
      return;
    }
    if (this.#samples.at(-1)?.timeNs === timeNs) this.#samples.pop();
    this.#samples.push({ timeNs, endpoints });
    if (this.#samples.length < KEPT) return;
    // The newest stays; what one that goes had counted is in the one after it.
    this.#samples = this.#samples.filter((_, at) => at % 2 === 1);
    this.#stride *= 2;
  }
}
