/**
 * Runs as a Chrome trace, which Perfetto opens: steps, DMA and vfio-user commands as slices, faults
 * and changes of mappings as instants, DMA in flight and the IOTLB's hit ratio as counters. A process
 * is a device, or the run itself, and a thread what a device does at one place.
 *
 * All but commands is in scenario time, which repeats with the seed; wall-clock times of steps are
 * among their arguments. An access lasts no time, `dur` 0, since scenario time stands still until it
 * is done; one that a device keeps in flight while time moves on has a slice of its length beside it.
 * Commands are in wall-clock time, on threads of their own that say so: see `chrome_requests.ts`.
 *
 * Within a thread events come by time, and slices do not cross: where they would, there are more
 * threads.
 *
 * @module
 */

import { accessName, faultName, hex, isFault } from "../../core/address.ts";
import { TRACE_KIND_NAMES, type TraceEvent, TraceKind } from "../../core/observe/trace.ts";
import { formatRequesterId } from "../../devices/pci/bdf.ts";
import type { HitSample } from "../run/hit_samples.ts";
import type { StepSpan } from "../run/run_context.ts";
import type { ChromeEvent } from "./chrome_event.ts";
import { hitRatioEvents } from "./chrome_hit_ratio.ts";
import { ChromeInFlight } from "./chrome_in_flight.ts";
import { Lanes } from "./chrome_lanes.ts";
import type { ChromeRequests } from "./chrome_requests.ts";

/** Process IDs of the trace that one run may use: itself, then one a device. */
const PIDS_PER_RUN = 1000;

/** What a run's trace is made from. */
export interface TracedRun {
  /** Number of the run, from 0: its processes in the trace are its own. */
  readonly run: number;
  /** Names the run. */
  readonly label: string;
  readonly devices: readonly { readonly endpoint: number; readonly type: string }[];
  readonly steps: readonly StepSpan[];
  readonly events: Iterable<TraceEvent>;
  /** Events that the ring no longer held. */
  readonly dropped: number;
  /** Where the hit ratio is from; there is none unless told. */
  readonly samples?: readonly HitSample[];
  /** Commands of vfio-user, where there are any. */
  readonly requests?: ChromeRequests;
}

const DMA = 1;
/** Of the run's own process; steps that go on at the same time have further threads from there on. */
const STEPS = 1, MAPPINGS = 100;
/** Steps at a time that are shown: of more than that there are instants. */
const MAX_STEP_LANES = 64;

function microseconds(ns: number): number {
  return ns / 1000;
}

function name(pid: number, tid: number, what: "process_name" | "thread_name", text: string) {
  return { ph: "M", name: what, pid, tid, ts: 0, args: { name: text } } satisfies ChromeEvent;
}

function isDma(kind: number): boolean {
  return kind === TraceKind.DMA_READ || kind === TraceKind.DMA_WRITE;
}

function isPin(kind: number): boolean {
  return kind === TraceKind.PIN || kind === TraceKind.UNPIN;
}

/** Crossing steps have threads of their own, as they go on at the same time. */
function stepEvents(spans: readonly StepSpan[], pid: number): ChromeEvent[] {
  const lanes = new Lanes("nest", MAX_STEP_LANES);
  const steps: ChromeEvent[] = [];
  // By their beginnings, of those at one moment the outer one before what is in it.
  const begun = [...spans].sort((a, b) => a.step - b.step);
  for (const { name, startNs, endNs, ok, durationMs } of begun) {
    const lane = lanes.place(startNs, endNs);
    const common = { name, cat: "step", pid, tid: STEPS + Math.max(0, lane) };
    const ts = microseconds(startNs), dur = microseconds(endNs - startNs);
    const args = { ok, wallMs: durationMs };
    if (lane >= 0) steps.push({ ph: "X", ...common, ts, dur, args });
    else steps.push({ ph: "i", s: "t", ...common, ts, args: { ...args, tookUs: dur } });
  }
  const names = Array.from(
    { length: Math.max(1, lanes.count) },
    (_, lane) =>
      name(pid, STEPS + lane, "thread_name", lane === 0 ? "steps" : `steps (${lane + 1})`),
  );
  return [...names, ...steps];
}

/** Names first, then all by time; what is of one time stays in its order. */
function ordered(events: readonly ChromeEvent[]): ChromeEvent[] {
  const rank = ({ ph }: ChromeEvent): number => ph === "M" ? 0 : 1;
  return [...events].sort((a, b) => rank(a) - rank(b) || a.ts - b.ts);
}

function eventOf(event: TraceEvent, pid: number, tid: number): ChromeEvent {
  const { kind, iova, length, result } = event;
  const ts = microseconds(event.timeNs);
  const kindName = TRACE_KIND_NAMES[kind] ?? `kind ${kind}`;
  const args = { iova: hex(iova), length };
  const instant = (label: string, cat: string, more: ChromeEvent["args"]): ChromeEvent => ({
    ph: "i",
    s: "t",
    name: label,
    cat,
    pid,
    tid,
    ts,
    ...(more === undefined ? {} : { args: more }),
  });
  if (isDma(kind)) {
    if (isFault(result)) {
      const access = accessName(kind === TraceKind.DMA_READ ? 1 : 2);
      return instant("fault", "fault", { ...args, access, reason: faultName(result) });
    }
    // Scenario time stands still during an access.
    const more = { ...args, gpa: hex(result) };
    return { ph: "X", name: kindName, cat: "dma", pid, tid, ts, dur: 0, args: more };
  }
  switch (kind) {
    case TraceKind.MAP:
      return instant(kindName, "iommu", { ...args, domain: event.endpoint, gpa: hex(result) });
    case TraceKind.UNMAP:
      return instant(kindName, "iommu", { ...args, domain: event.endpoint, unmapped: result });
    case TraceKind.ATTACH:
    case TraceKind.DETACH:
      return instant(kindName, "iommu", {
        endpoint: formatRequesterId(event.endpoint),
        domain: result,
      });
    default:
      return instant(kindName, "iommu", { ...args, endpoint: formatRequesterId(event.endpoint) });
  }
}

/** The events of one run, the names of its processes and threads first. */
export function traceRun(run: TracedRun): ChromeEvent[] {
  const base = run.run * PIDS_PER_RUN + 1;
  const pids = new Map<number, number>();
  const events: ChromeEvent[] = [
    name(base, MAPPINGS, "process_name", run.label),
    name(base, MAPPINGS, "thread_name", "iommu"),
  ];
  const connections = new Map<string, number>();
  const inFlight = new Map<number, ChromeInFlight>();
  run.devices.forEach(({ endpoint, type }, at) => {
    const pid = base + 1 + at;
    pids.set(endpoint, pid);
    connections.set(`${type} at ${formatRequesterId(endpoint)}`, pid);
    inFlight.set(endpoint, new ChromeInFlight(pid));
    events.push(
      name(
        pid,
        DMA,
        "process_name",
        `${run.label}: ${type} ${formatRequesterId(endpoint)}`,
      ),
      name(pid, DMA, "thread_name", "dma"),
    );
  });
  for (const event of stepEvents(run.steps, base)) events.push(event);
  let endNs = 0;
  for (const { endNs: end } of run.steps) endNs = Math.max(endNs, end);
  for (const event of run.events) {
    endNs = Math.max(endNs, event.timeNs);
    if (isPin(event.kind)) {
      inFlight.get(event.endpoint)?.take(event);
      continue;
    }
    const pid = isDma(event.kind) ? pids.get(event.endpoint) : undefined;
    events.push(eventOf(event, pid ?? base, pid === undefined ? MAPPINGS : DMA));
  }
  for (const one of inFlight.values()) for (const event of one.events(endNs)) events.push(event);
  const placeOf = (endpoint: number) => {
    const pid = pids.get(endpoint);
    return pid === undefined ? null : { pid, tid: DMA };
  };
  for (const event of hitRatioEvents(run.samples ?? [], placeOf)) events.push(event);
  const requests = run.requests?.events((connection) => connections.get(connection) ?? base) ?? [];
  for (const event of requests) events.push(event);
  const notice = (count: number, what: string): void => {
    if (count === 0) return;
    events.push({
      ph: "i",
      s: "p",
      name: `${count} earlier ${what} dropped`,
      cat: "trace",
      pid: base,
      tid: MAPPINGS,
      ts: 0,
    });
  };
  notice(run.dropped, "events");
  notice(run.requests?.dropped ?? 0, "commands");
  return ordered(events);
}
