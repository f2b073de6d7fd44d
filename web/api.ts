/**
 * Everything that crosses the wire between the dashboard's server and its page: the JSON of each
 * address and of the event stream. Types and bounds alone, so that both sides may import it.
 *
 * Addresses (IOVA, GPA) are JSON numbers, exact: below 2^52. Times of a run are scenario time in
 * nanoseconds (`timeNs`); times of the wall are milliseconds since 1970 (`timeMs`, `startedMs`).
 * An endpoint is its PCI requester ID, a number; addresses take it as a number (`/api/endpoints/8`)
 * or as a BDF (`/api/endpoints/00:01.0`).
 *
 * Every address about a run's machine takes `?run=ID`, but for the stream; without it, the run that
 * goes on (of several, the one that began last), or else the one that went on last.
 *
 * @module
 */

export type { EndpointMetrics } from "../core/observe/counters.ts";
export type { BarReport, MsixReport } from "../harness/observe/observation.ts";
export type { CheckReport, Metrics, StepReport, Totals } from "../harness/run/run_report.ts";
export type { Mode, Via } from "../harness/scenario.ts";
export type * from "./api/domains.ts";
export type * from "./api/endpoints.ts";
export type * from "./api/faults.ts";
export type * from "./api/mappings.ts";
export type * from "./api/messages.ts";
export type * from "./api/problem.ts";
export type * from "./api/runs.ts";
export * from "./api/snapshot.ts";
export type * from "./api/timeline.ts";
export * from "./api/token.ts";
export type * from "./api/translate.ts";
