/**
 * What the scenario's thread and the one that tells about it say to each other. Types alone.
 * @module
 */

import type {
  Answer,
  DeviceDetail,
  MachineReport,
  ObserveRequest,
  Question,
} from "./observation.ts";

/** To the telling thread. */
export type ToTeller =
  | {
    readonly kind: "open";
    readonly request: ObserveRequest;
    readonly board: SharedArrayBuffer;
  }
  /** An endpoint's counters, to be read from now on; in the order of `Counter`. */
  | { readonly kind: "counters"; readonly endpoint: number; readonly values: Float64Array }
  | { readonly kind: "gone"; readonly endpoint: number }
  /**
   * The endpoint's device lives in a process that tells at the socket `path`, as `number`; other
   * places of it count on. What is told there counts when it is more than the counters here say.
   */
  | {
    readonly kind: "place";
    readonly endpoint: number;
    readonly path: string;
    readonly number: number;
  }
  /** Faults in rows of `FAULT_FIELDS`. */
  | ({ readonly kind: "report" } & MachineReport<Float64Array>)
  | { readonly kind: "answer"; readonly query: number; readonly answer: Answer | null }
  /** Rows of a `MappingTuple`. */
  | { readonly kind: "left-mappings"; readonly domain: number; readonly rows: Float64Array }
  | { readonly kind: "left-detail"; readonly detail: DeviceDetail }
  /** All has been said. Answered by `flushed` when the watcher has it, or is gone. */
  | { readonly kind: "close" };

/** To the scenario's thread. */
export type FromTeller =
  | ({ readonly kind: "question" } & Question)
  | { readonly kind: "flushed" };
