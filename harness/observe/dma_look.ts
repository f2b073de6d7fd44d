/**
 * Looks at DMA for a moment: a trace ring that is off otherwise is turned on until it has seen
 * enough. This is the sample behind the heat map and the hits of mappings. While no look is on, the
 * access path pays the one branch that it pays anyway.
 * @module
 */

import { type TraceEvent, TraceKind, type TraceRing } from "../../core/observe/trace.ts";

/** Events after which a look ends. */
const LOOK_EVENTS = 256;
/** Events that the ring of a machine must hold so that looks can be had. */
export const LOOK_CAPACITY = 512;

/** Mappings and invalidations are told of as they are made. */
function isWanted(kind: number): boolean {
  return kind === TraceKind.DMA_READ || kind === TraceKind.DMA_WRITE ||
    kind === TraceKind.PAGE_REQUEST;
}

/** Looks at one ring, one after another. */
export class DmaLook {
  readonly #trace: TraceRing;
  readonly #tracing: boolean;
  #left = 0;
  #seen: number;

  /** `tracing`: whether the ring is on anyway; then it is left so, and all that it has is seen. */
  constructor(trace: TraceRing, tracing: "on" | "off") {
    this.#trace = trace;
    this.#tracing = tracing === "on";
    this.#seen = trace.recorded;
    trace.on = this.#tracing;
    if (!this.#tracing) this.#limit();
  }

  /** Begins a look, when none is on. */
  begin(): void {
    if (this.#tracing || this.#trace.on) return;
    this.#left = LOOK_EVENTS;
    this.#trace.on = true;
  }

  /** Ends it. @returns whether it was still on: it has not seen enough */
  end(): boolean {
    if (this.#tracing || !this.#trace.on) return false;
    this.#trace.on = false;
    return true;
  }

  /** What was seen since the last call, DMA and page requests; at most the newest `limit` events. */
  *events(limit: number = Infinity): Generator<TraceEvent> {
    const from = Math.max(this.#seen, this.#trace.recorded - limit);
    this.#seen = this.#trace.recorded;
    for (const event of this.#trace.events(from)) if (isWanted(event.kind)) yield event;
  }

  /** Lets a look end in the midst of a call: one call may be all that a device's driver makes. */
  #limit(): void {
    const trace = this.#trace;
    const record = trace.record.bind(trace);
    trace.record = (timeNs, kind, endpoint, pasid, iova, length, result) => {
      if (!isWanted(kind)) return;
      record(timeNs, kind, endpoint, pasid, iova, length, result);
      if (--this.#left <= 0) trace.on = false;
    };
  }
}
