/// <reference lib="dom" />
/**
 * What the pages look at: the newest snapshot, its history, where the reader is.
 * Everything that the stream brings is written down at once, and shown with the
 * next frame that the browser paints; nothing is painted while the page is hidden
 * or paused.
 *
 * @module
 */

import { batch, computed, type ReadonlySignal, type Signal, signal } from "@preact/signals";
import { getJson } from "./request.ts";
import type { Snapshot, TimelineEvent, TimelinePage } from "../../api.ts";
import { plural } from "../format.ts";
import { Connection, type ConnectionState } from "./connection.ts";
import { EventLog } from "./event_log.ts";
import { HeatLog } from "./heat_log.ts";
import { Recorder } from "./recorder.ts";
import { formatRoute, HOME, type Page, parseRoute, type Range, type Route } from "./route.ts";
import { sharedStream } from "./shared_stream.ts";
import { followingRange } from "./view_range.ts";

/** The history of every source. */
export const recorder: Recorder = new Recorder();
/** The timeline of the run that the stream tells of, as far as this page has watched it. */
const liveLog: EventLog = new EventLog();
/** The timeline of the run that the address names, as far as its server kept it. */
const pastLog: EventLog = new EventLog();
/** Where accesses went. */
export const heatLog: HeatLog = new HeatLog();

/** How the stream stands. */
export const connection: Signal<ConnectionState> = signal({ kind: "connecting" });
/** Counts pictures: read it to be drawn again with each. */
export const frame: Signal<number> = signal(0);
/** When the reader paused, in milliseconds of the server; null while it goes on. */
export const pausedMs: Signal<number | null> = signal(null);
/** Where the reader is. */
export const route: Signal<Route> = signal(parseRoute(location.hash));
/** What screen readers are told, politely. */
export const announcement: Signal<string> = signal("");
/** Snapshots that this page did not get. */
export const missed: Signal<number> = signal(0);
/** Counts the times that runs began, ended, or were asked for. */
export const runsVersion: Signal<number> = signal(0);

/** Counts the times that a broken stream was opened again: what could not be had meanwhile may be there. */
export const reconnects: Signal<number> = signal(0);

/** How far the timeline of the run that the address names has come, and counts its changes. */
export const pastGrown: Signal<{ readonly count: number; readonly isWhole: boolean }> = signal({
  count: 0,
  isWhole: false,
});

const live: Signal<Snapshot | null> = signal(null);
const pinned: Signal<Snapshot | null> = signal(null);

/** The run that the address names; null for the one that goes on. */
export const pinnedRun: ReadonlySignal<string | null> = computed(() =>
  route.value.extra["run"] ?? null
);
/** The snapshot that pages show. */
export const snapshot: ReadonlySignal<Snapshot | null> = computed(() =>
  pinnedRun.value === null ? live.value : pinned.value
);
/** The newest snapshot of the stream, whatever the address names. */
export const liveSnapshot: ReadonlySignal<Snapshot | null> = live;

const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");
/** Events of a past run that are asked for at a time. */
const TIMELINE_PAGE = 5000;

let newest: Snapshot | null = null;
let newestMs = 0;
let scheduled = false;
let newFaults = 0;
let toldMs = 0;
/** Of what is fetched of the run that the address names: one may be left for another, and come back to. */
let pinning = new AbortController();

/** The newest moment that is shown, in milliseconds of the server. */
export function shownMs(): number {
  const { range } = route.value;
  if (range.kind === "between") return range.toMs;
  return pausedMs.value ?? (newestMs === 0 ? Date.now() : newestMs);
}

/** The stretch that charts show, in milliseconds of the server. */
export function viewRange(): { fromMs: number; toMs: number } {
  const { range } = route.value;
  if (range.kind === "between") return { fromMs: range.fromMs, toMs: range.toMs };
  const endMs = shownMs();
  const { history } = recorder;
  return followingRange({
    endMs,
    beganMs: history.count === 0 ? endMs : history.timeMs(history.first),
    lengthMs: range.seconds * 1000,
    motion: reducedMotion.matches ? "step" : "slide",
  });
}

/** Goes to a place; `how` says whether Back comes here again. */
export function go(change: Partial<Route>, how: "push" | "replace" = "push"): void {
  const next = { ...route.value, ...change };
  const address = formatRoute(next);
  if (address === formatRoute(route.value)) return;
  if (how === "push") history.pushState(null, "", address);
  else history.replaceState(null, "", address);
  route.value = next;
}

/** The address of a page, with the time range and the run that are shown now. */
export function linkTo(page: Page, subject = "", more: Partial<Route> = {}): string {
  return formatRoute(placeOf(page, subject, more));
}

/** As {@linkcode linkTo}, for {@linkcode go}. */
export function placeOf(page: Page, subject = "", more: Partial<Route> = {}): Route {
  const { range, extra } = route.value;
  const run: Record<string, string> = extra["run"] === undefined ? {} : { run: extra["run"] };
  return { page, subject, range, filter: "", selected: "", extra: run, ...more };
}

/** Sets one of the page's own parameters; empty takes it away. */
export function setExtra(name: string, value: string, how: "push" | "replace" = "push"): void {
  const extra = { ...route.value.extra };
  if (value === "") delete extra[name];
  else extra[name] = value;
  go({ extra }, how);
}

/** Shows another stretch of time. */
export function setRange(range: Range): void {
  go({ range });
}

/** `path` with the run that the address names. */
export function ofRun(path: string): string {
  const run = pinnedRun.value;
  if (run === null) return path;
  return `${path}${path.includes("?") ? "&" : "?"}run=${encodeURIComponent(run)}`;
}

/** Whether the run that is shown is the one that the stream tells of. */
export function isLiveRun(): boolean {
  return pinnedRun.value === null || pinnedRun.value === String(live.value?.run?.id ?? "");
}

/** Whether the timeline that is shown is what a run has left, and not what the stream brings. */
export function isPastTimeline(): boolean {
  return pinnedRun.value !== null && !(isLiveRun() && live.value?.state !== "ended");
}

/** The timeline of the run that is shown. Grows with {@linkcode frame}, or {@linkcode pastGrown}. */
export function eventLog(): EventLog {
  return isPastTimeline() ? pastLog : liveLog;
}

/** The address of what is shown now, good also when another run goes on. */
export function lastingLink(run: number): string {
  const { extra } = route.value;
  const fragment = formatRoute({ ...route.value, extra: { ...extra, run: String(run) } });
  return `${location.origin}${location.pathname}${fragment}`;
}

/** Leaves the run that the address names for the one that goes on. */
export function backToLive(): void {
  const { run: _, ...extra } = route.value.extra;
  go({ extra, range: HOME.range, selected: "" });
}

/** Names the machine of a snapshot: another run's is another one, and so is another server's. */
export function machineOf({ instance, run }: Snapshot): string {
  return `${instance}.${run?.id ?? ""}`;
}

/** Stops what moves, or lets it go on. What comes meanwhile is kept. */
export function togglePause(): void {
  pausedMs.value = pausedMs.value === null ? newestMs : null;
  announcement.value = pausedMs.value === null ? "Live again" : "Paused";
  if (pausedMs.value === null) publish();
}

/** Tries to connect at once. */
export function reconnect(): void {
  stream.start();
}

const stream = new Connection({
  onState(state) {
    if (state.kind === "lost" && connection.value.kind !== "lost") {
      recorder.broken();
      announcement.value = `Disconnected: ${state.reason}`;
    }
    if (state.kind === "open" && connection.value.kind === "lost") {
      reconnects.value++;
      announcement.value = "Connected again";
    }
    connection.value = state;
  },
  onSnapshot(next) {
    if (!recorder.snapshot(next)) return;
    const before = newest;
    if (before?.run?.id !== next.run?.id || before?.instance !== next.instance) liveLog.clear();
    // What came before this page did is asked for.
    if (before?.instance !== next.instance && next.run !== null) void fetchBeginning(next);
    else liveLog.add(next.timeline);
    for (const { bdf, heat } of next.endpoints) {
      if (heat !== null) heatLog.add(bdf, next.timeMs, heat);
    }
    announce(before, next);
    // Another server, also than the one that answered before the stream came: it has runs of its own.
    if (
      [before, pinned.value].some((other) => other !== null && other.instance !== next.instance)
    ) {
      void fetchPinned();
    }
    newest = next;
    newestMs = next.timeMs;
    schedule();
  },
  onHeartbeat(heartbeat) {
    recorder.heartbeat(heartbeat);
    newestMs = Math.max(newestMs, heartbeat.timeMs);
    schedule();
  },
}, sharedStream);

function announce(before: Snapshot | null, next: Snapshot): void {
  const { run } = next;
  if (before === null || run === null) return;
  if (machineOf(before) !== machineOf(next)) {
    newFaults = 0;
    announcement.value = `Run ${run.id} of ${run.scenario} has started`;
  } else if (before.run?.state !== run.state) {
    announcement.value = `${run.scenario} ${run.state}`;
  } else if (next.totals.faults > before.totals.faults) {
    newFaults += next.totals.faults - before.totals.faults;
    // A storm of faults is told of now and then, not four times a second.
    if (next.timeMs - toldMs < 5000) return;
    toldMs = next.timeMs;
    announcement.value = plural(newFaults, "new fault");
    newFaults = 0;
  }
}

function schedule(): void {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    publish();
  });
}

function publish(): void {
  batch(() => {
    missed.value = recorder.missed;
    const before = live.value;
    if (pausedMs.value === null) {
      live.value = newest;
      frame.value++;
    }
    if (
      before?.run?.id !== newest?.run?.id || before?.run?.state !== newest?.run?.state ||
      before?.instance !== newest?.instance
    ) runsVersion.value++;
  });
}

/** What the timeline of a run had when this page first heard of it, as far as the server kept it. */
async function fetchBeginning(first: Snapshot): Promise<void> {
  const machine = machineOf(first);
  const isShown = (): boolean => newest !== null && machineOf(newest) === machine;
  liveLog.add({ events: first.timeline.events, dropped: 0 });
  let { dropped } = first.timeline;
  const events: TimelineEvent[] = [];
  const end = first.timeline.events.at(-1)?.sequence ?? Infinity;
  try {
    let cursor: string | null = "0";
    while (cursor !== null && Number(cursor) <= end) {
      const path = `/api/timeline?run=${first.run!.id}&limit=${TIMELINE_PAGE}&cursor=${cursor}`;
      const page: TimelinePage = await getJson(path);
      if (events.length === 0) dropped = page.dropped;
      for (const event of page.events) events.push(event);
      cursor = page.next;
      if (!isShown()) return;
    }
  } catch {
    // Those that the snapshot brought are there, and the others are counted.
    if (!isShown()) return;
  }
  liveLog.prepend({ events, dropped });
  schedule();
}

function tellPast(is: "part" | "whole"): void {
  pastGrown.value = { count: pastGrown.value.count + 1, isWhole: is === "whole" };
}

async function fetchPinned(): Promise<void> {
  const run = pinnedRun.value;
  pinning.abort();
  pinning = new AbortController();
  const { signal } = pinning;
  pinned.value = null;
  pastLog.clear();
  tellPast("part");
  if (run === null) return;
  try {
    const state = await getJson<Snapshot>(ofRun("/api/state"), signal);
    signal.throwIfAborted();
    pinned.value = state;
    for (let cursor: string | null = "0"; cursor !== null;) {
      const path = `/api/timeline?limit=${TIMELINE_PAGE}&cursor=${cursor}`;
      const page: TimelinePage = await getJson(ofRun(path), signal);
      signal.throwIfAborted();
      pastLog.add(page);
      cursor = page.next;
      tellPast(cursor === null ? "whole" : "part");
    }
  } catch (error) {
    if (signal.aborted) return;
    announcement.value = `Run ${run} cannot be shown: ${(error as Error).message}`;
    setExtra("run", "", "replace");
  }
}

/** Connects, and follows the address. Called once. */
export function start(): void {
  const follow = () => {
    const next = parseRoute(location.hash);
    if (formatRoute(next) !== formatRoute(route.value)) route.value = next;
  };
  addEventListener("popstate", follow);
  addEventListener("hashchange", follow);
  pinnedRun.subscribe(() => void fetchPinned());
  stream.start();
}
