/**
 * Runs as a Chrome trace, which Perfetto opens: steps and DMA as slices, faults
 * and changes of mappings as instants. All of it in scenario time, which repeats
 * with the seed; wall-clock times of steps are among their arguments.
 * @module
 */

import { accessName, faultName, hex, isFault } from "../../core/address.ts";
import { TRACE_KIND_NAMES, type TraceEvent, TraceKind } from "../../core/observe/trace.ts";
import { formatRequesterId } from "../../devices/pci/bdf.ts";
import type { StepSpan } from "../run/run_context.ts";
import type { ChromeEvent } from "./chrome_event.ts";

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
}

const STEPS = 1, MAPPINGS = 2, DMA = 1;

function microseconds(ns: number): number {
  return ns / 1000;
}

function name(pid: number, tid: number, what: "process_name" | "thread_name", text: string) {
  return { ph: "M", name: what, pid, tid, ts: 0, args: { name: text } } satisfies ChromeEvent;
}

function isDma(kind: number): boolean {
  return kind === TraceKind.DMA_READ || kind === TraceKind.DMA_WRITE;
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
    name(base, STEPS, "process_name", run.label),
    name(base, STEPS, "thread_name", "steps"),
    name(base, MAPPINGS, "thread_name", "iommu"),
  ];
  run.devices.forEach(({ endpoint, type }, at) => {
    const pid = base + 1 + at;
    pids.set(endpoint, pid);
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
  for (const { name, startNs, endNs, ok, durationMs } of run.steps) {
    events.push({
      ph: "X",
      name,
      cat: "step",
      pid: base,
      tid: STEPS,
      ts: microseconds(startNs),
      dur: microseconds(endNs - startNs),
      args: { ok, wallMs: durationMs },
    });
  }
  for (const event of run.events) {
    const pid = isDma(event.kind) ? pids.get(event.endpoint) : undefined;
    events.push(eventOf(event, pid ?? base, pid === undefined ? MAPPINGS : DMA));
  }
  if (run.dropped > 0) {
    events.push({
      ph: "i",
      s: "p",
      name: `${run.dropped} earlier events dropped`,
      cat: "trace",
      pid: base,
      tid: MAPPINGS,
      ts: 0,
    });
  }
  return events;
}
