/**
 * How a watched run looks at devices that live in another process. Types alone.
 * @module
 */

import type { TraceEvent } from "../../core/observe/trace.ts";
import type { FaultReport } from "../scenario.ts";
import type { EndpointFigures } from "./endpoint_figures.ts";

/** What a look found. Endpoints are the machine's, whatever their processes call them. */
export interface ElsewhereLook {
  /** One an endpoint, of all its device did wherever it has lived. */
  readonly figures: readonly EndpointFigures[];
  /** A sample of DMA since the last look, and the page requests among it. */
  readonly events: readonly Omit<TraceEvent, "sequence">[];
}

/** Is told what happens elsewhere. */
export interface ElsewhereListener {
  /** A fault has become known, while the mappings are still those it met. */
  fault(fault: FaultReport): void;
  /** An invalidation has become known, once for each that is counted. */
  invalidated(event: Omit<TraceEvent, "sequence">): void;
  /**
   * The endpoint is counted as `number` by the process that tells its counters at the socket `path`
   * (`live_counters.ts`): from now on, and beside the places that were told before.
   */
  place(endpoint: number, path: string, number: number): void;
}

/** Offered by the machines whose devices are not in this process. */
export interface DevicesElsewhere {
  /** From now on `listener` is told; what was plugged in before is told at once. */
  watch(listener: ElsewhereListener): void;
  /** What devices did until now has been told when it returns. @throws {Error} when they are gone */
  collect(): void;
  /** One an endpoint, as {@linkcode ElsewhereLook} has them. @throws {Error} when they are gone */
  figures(): readonly EndpointFigures[];
  /** Looks, after {@linkcode collect}ing, and begins the next sample. @throws {Error} when they are gone */
  look(): ElsewhereLook;
}
