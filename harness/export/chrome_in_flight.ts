/**
 * DMA in flight as a counter a device, and each access of it as a slice from its beginning to its
 * end in scenario time.
 * @module
 */

import { hex } from "../../core/address.ts";
import { type TraceEvent, TraceKind } from "../../core/observe/trace.ts";
import type { ChromeEvent } from "./chrome_event.ts";
import { Lanes } from "./chrome_lanes.ts";

/** Slices that may stand above each other; of more than that the counter alone tells. */
const MAX_LANES = 64;
/** First thread, in the process of the device. */
const THREAD = 100;

interface Span {
  readonly startNs: number;
  endNs: number;
  readonly args: Record<string, string | number | boolean>;
}

/** Gathers the DMA in flight of one device. */
export class ChromeInFlight {
  readonly #pid: number;
  readonly #counts: ChromeEvent[] = [];
  readonly #spans: Span[] = [];
  /** Oldest first, by range: several accesses may be at one. */
  readonly #open = new Map<string, Span[]>();

  constructor(pid: number) {
    this.#pid = pid;
  }

  /** Takes the next {@linkcode TraceKind.PIN} or {@linkcode TraceKind.UNPIN}. */
  take({ kind, timeNs, pasid, iova, length, result }: TraceEvent): void {
    this.#counts.push({
      ph: "C",
      name: "DMA in flight",
      cat: "dma",
      pid: this.#pid,
      tid: THREAD,
      ts: timeNs / 1000,
      args: { accesses: result },
    });
    const range = `${pasid} ${iova} ${length}`;
    const there = this.#open.get(range);
    if (kind === TraceKind.PIN) {
      const span: Span = {
        startNs: timeNs,
        endNs: Infinity,
        args: { iova: hex(iova), length, ended: false },
      };
      this.#spans.push(span);
      if (there === undefined) this.#open.set(range, [span]);
      else there.push(span);
      return;
    }
    // One whose beginning the ring no longer held has no slice.
    const span = there?.shift();
    if (span === undefined) return;
    span.endNs = timeNs;
    span.args.ended = true;
    if (there!.length === 0) this.#open.delete(range);
  }

  /** The events, with the names of their threads before them. What has not ended lasts until `endNs`. */
  events(endNs: number): ChromeEvent[] {
    if (this.#counts.length === 0) return [];
    const pid = this.#pid;
    for (const span of this.#spans) {
      span.endNs = Math.max(span.startNs, Math.min(span.endNs, endNs));
    }
    const lanes = new Lanes("apart", MAX_LANES);
    const slices: ChromeEvent[] = [];
    for (
      const { startNs, endNs: end, args } of this.#spans.sort((a, b) => a.startNs - b.startNs)
    ) {
      const lane = lanes.place(startNs, end);
      if (lane < 0) continue;
      slices.push({
        ph: "X",
        name: "in flight",
        cat: "dma",
        pid,
        tid: THREAD + lane,
        ts: startNs / 1000,
        dur: (end - startNs) / 1000,
        args,
      });
    }
    const names = Array.from({ length: Math.max(1, lanes.count) }, (_, lane): ChromeEvent => ({
      ph: "M",
      name: "thread_name",
      pid,
      tid: THREAD + lane,
      ts: 0,
      args: { name: lane === 0 ? "dma in flight" : `dma in flight (${lane + 1})` },
    }));
    return [...names, ...this.#counts, ...slices];
  }
}
