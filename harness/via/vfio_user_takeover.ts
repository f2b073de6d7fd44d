/**
 * Takes over what devices in server processes did, as the machine's mappings of now see it: faults,
 * DMA for the trace, and errors of models.
 * @module
 */

import { Fault, faultName, type Iova } from "../../core/address.ts";
import { TraceKind } from "../../core/observe/trace.ts";
import type { FaultReport } from "../scenario.ts";
import type { MachineParts } from "./backend.ts";
import type { Happened } from "./vfio_user_control.ts";
import type { ServerEndpoints } from "./vfio_user_endpoints.ts";

/**
 * Why an access was refused that a server saw as `seen`: `UNMAPPED`, `PERMISSION` or `NO_MEMORY`. It
 * sees mappings alone, and neither domains nor holes in RAM.
 */
export type ReasonOf = (endpoint: number, iova: Iova, access: number, seen: Fault) => Fault;

/** See the module. For one machine. */
export class Takeover {
  readonly #parts: Pick<MachineParts, "iommu" | "deviceError">;
  readonly #endpoints: Pick<ServerEndpoints, "of" | "fault" | "invalidated">;
  readonly #reasonOf: ReasonOf;
  #faults: FaultReport[] = [];

  /** `endpoints` knows the numbers that servers use, and hears of each fault and invalidation. */
  constructor(
    parts: Pick<MachineParts, "iommu" | "deviceError">,
    endpoints: Pick<ServerEndpoints, "of" | "fault" | "invalidated">,
    reasonOf: ReasonOf,
  ) {
    this.#parts = parts;
    this.#endpoints = endpoints;
    this.#reasonOf = reasonOf;
    // What is counted is what servers invalidate; the machine's own tables translate messages alone.
    parts.iommu.traceInvalidations = "off";
  }

  /** Takes over what came with an answer of `process`. */
  take(
    process: Parameters<ServerEndpoints["of"]>[0],
    { faults, errors, dma, invalidations }: Pick<
      Happened,
      "faults" | "errors" | "dma" | "invalidations"
    >,
  ): void {
    const { iommu, deviceError } = this.#parts;
    for (const [name, text, times] of errors) {
      const error = new Error(text.split("\n", 1)[0]);
      error.stack = text;
      deviceError(name, error, times);
    }
    for (const [number, pasid, iova, access, reason, timeNs] of faults) {
      const endpoint = this.#endpoints.of(process, number);
      const fault = {
        endpoint,
        pasid: pasid < 0 ? null : pasid,
        iova: iova as Iova,
        access,
        reason: faultName(this.#reason(endpoint, iova, access, reason)),
        timeNs,
      };
      this.#faults.push(fault);
      this.#endpoints.fault(fault);
    }
    for (const [timeNs, kind, number, pasid, iova, length, result] of invalidations) {
      const endpoint = this.#endpoints.of(process, number);
      this.#endpoints.invalidated({ timeNs, kind, endpoint, pasid, iova, length, result });
      if (iommu.trace.on) iommu.trace.record(timeNs, kind, endpoint, pasid, iova, length, result);
    }
    if (!iommu.trace.on) return;
    for (const [timeNs, kind, number, pasid, iova, length, result] of dma) {
      const endpoint = this.#endpoints.of(process, number);
      const counts = kind === TraceKind.PIN || kind === TraceKind.UNPIN;
      const target = counts
        ? result
        : result < 0
        ? this.#reason(endpoint, iova, kind + 1, result)
        : this.#target(endpoint, iova);
      iommu.trace.record(timeNs, kind, endpoint, pasid, iova, length, target);
    }
  }

  /** Takes the faults since the last call, oldest first. */
  takeFaults(): readonly FaultReport[] {
    return this.#faults.splice(0);
  }

  #reason(endpoint: number, iova: number, access: number, seen: number): Fault {
    const isOfMappings = seen === Fault.UNMAPPED || seen === Fault.PERMISSION ||
      seen === Fault.NO_MEMORY;
    return isOfMappings
      ? this.#reasonOf(endpoint, iova as Iova, access, seen as Fault)
      : seen as Fault;
  }

  #target(endpoint: number, iova: number): number {
    const mapping = this.#parts.iommu.endpoint(endpoint).domain?.space.mappingAt(iova as Iova);
    return mapping === null || mapping === undefined ? iova : mapping.gpa + (iova - mapping.iova);
  }
}
