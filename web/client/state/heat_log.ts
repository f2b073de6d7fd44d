/**
 * Where accesses went over time, of the endpoints that are looked at.
 * @module
 */

import type { Heat } from "../../api.ts";

/** Pictures kept of an endpoint: 15 minutes of four a second. */
const CAPACITY = 3600;
/** Endpoints of which heat is kept; the one not asked for longest goes first. */
const ENDPOINTS = 16;

/** A sample of accesses, and when it was taken. */
export interface HeatSample {
  readonly timeMs: number;
  readonly heat: Heat;
}

/** Heat by endpoint. */
export class HeatLog {
  readonly #samples = new Map<string, HeatSample[]>();

  /** Adds a sample. */
  add(bdf: string, timeMs: number, heat: Heat): void {
    let samples = this.#samples.get(bdf);
    if (samples === undefined) {
      if (this.#samples.size >= ENDPOINTS) return;
      this.#samples.set(bdf, samples = []);
    }
    samples.push({ timeMs, heat });
    if (samples.length >= CAPACITY * 1.25) samples.splice(0, samples.length - CAPACITY);
  }

  /** From now on heat of this endpoint is kept. */
  watch(bdf: string): void {
    if (this.#samples.has(bdf)) return;
    if (this.#samples.size >= ENDPOINTS) {
      for (const first of this.#samples.keys()) {
        this.#samples.delete(first);
        break;
      }
    }
    this.#samples.set(bdf, []);
  }

  /** Samples between two instants, oldest first. */
  between(bdf: string, fromMs: number, toMs: number): HeatSample[] {
    return (this.#samples.get(bdf) ?? [])
      .filter(({ timeMs }) => timeMs >= fromMs && timeMs <= toMs);
  }
}
