/**
 * Snapshots, and the streams they go out on. Every snapshot is made once, however many pages look
 * on, and only while one does. A page that reads too slowly misses some, and is told how many.
 * @module
 */

import { accessName, faultName, hex } from "../core/address.ts";
import { type EventTuple, TIMELINE_KINDS } from "../harness/observe/observation.ts";
import { NO_METRICS } from "../harness/run/run_report.ts";
import {
  type Heartbeat,
  type LiveState,
  MAX_STREAMS,
  MAX_TIMELINE,
  type Snapshot,
  SNAPSHOT_INTERVAL_MS,
  type Timeline,
  type TimelineEvent,
} from "./api.ts";
import { HttpProblem } from "./problem.ts";
import type { Run } from "./run.ts";
import type { Runs } from "./runs.ts";
import type { LiveSource, Picture } from "./source.ts";

/** Snapshots that can be sent again: a minute. */
const SNAPSHOTS_KEPT = 240;
/** Characters of all of them: those of a thousand endpoints are long. */
const KEPT_LENGTH = 16 * 2 ** 20;
/** Characters that are sent again at once. */
const RESUME_LENGTH = 4 * 2 ** 20;
const HEARTBEAT_MS = 2000;
/** Milliseconds after the last stream was closed in which snapshots go on, for a page that comes back. */
const LINGER_MS = 60_000;
/** Milliseconds between two snapshots when runs begin and end. */
const LEAST_MS = 50;

const NOTHING: Picture = {
  scenarioNs: 0,
  endpoints: [],
  endpointsLeftOut: 0,
  domains: [],
  domainsLeftOut: 0,
  totals: NO_METRICS,
};

/** The state of a run's machine, or `idle` without a run. */
function liveState(run: Run | null): LiveState {
  if (run === null) return "idle";
  if (run.ended) return "ended";
  return run.source?.state === "paused" ? "paused" : "live";
}

/** An event as the page gets it. */
export function timelineEvent(event: EventTuple): TimelineEvent {
  const [sequence, timeNs, kind, endpoint, domain, pasid, iova, length, result, access] = event;
  const name = TIMELINE_KINDS[kind!]!;
  return {
    sequence: sequence!,
    timeNs: timeNs!,
    kind: name,
    endpoint: endpoint! < 0 ? null : endpoint!,
    domain: domain! < 0 ? null : domain!,
    pasid: pasid! < 0 ? null : pasid!,
    iova: iova!,
    length: length!,
    result: name === "map"
      ? hex(result!)
      : name === "unmap"
      ? String(result!)
      : name === "fault"
      ? faultName(result!)
      : "",
    access: name === "map" || name === "fault" ? accessName(access!) : "",
  };
}

function timelineOf(source: LiveSource, from: number): Timeline {
  const events = source.timeline(from, MAX_TIMELINE);
  return {
    events: events.map(timelineEvent),
    dropped: Math.max(0, source.timelineEnd - from - events.length),
  };
}

interface Kept {
  readonly sequence: number;
  readonly timeline: Timeline;
  /** The event as it is sent. */
  readonly text: string;
}

/** Options of {@linkcode Snapshots}. */
export interface SnapshotsOptions {
  readonly runs: Runs;
  /** Milliseconds of the wall since 1970. */
  readonly nowMs?: () => number;
  /** `manual`: snapshots are made by {@linkcode Snapshots.tick} alone, for tests. */
  readonly timer?: "interval" | "manual";
  readonly maxStreams?: number;
}

/** See the module. */
export class Snapshots {
  /** Of this start of the server. */
  readonly instance: string = crypto.randomUUID().slice(0, 8);
  readonly #runs: Runs;
  readonly #nowMs: () => number;
  readonly #maxStreams: number;
  readonly #manual: boolean;
  readonly #streams = new Set<Stream>();
  #kept: Kept[] = [];
  #keptLength = 0;
  #sequence = 0;
  #last: Snapshot | null = null;
  #lastMs = -Infinity;
  #heartbeatMs = -Infinity;
  #run: Run | null = null;
  /** Number of the next event, of each machine that was shown: several may take turns. */
  readonly #timelineAt = new WeakMap<LiveSource, number>();
  readonly #heats = new Map<number, unknown>();
  #timer: ReturnType<typeof setInterval> | null = null;
  #idleSinceMs = 0;
  #opened = 0;
  readonly #unsubscribe: () => void;

  constructor(
    { runs, nowMs = Date.now, timer = "interval", maxStreams = MAX_STREAMS }: SnapshotsOptions,
  ) {
    this.#runs = runs;
    this.#nowMs = nowMs;
    this.#manual = timer === "manual";
    this.#maxStreams = maxStreams;
    this.#unsubscribe = runs.onChange(() => {
      // A run that is short has its snapshot too, but not each of a hundred in a second.
      if (this.#isWatched && this.#nowMs() - this.#lastMs >= LEAST_MS) this.tick();
    });
  }

  /** Streams that are open. */
  get streams(): number {
    return this.#streams.size;
  }

  /** Streams that were ever opened. */
  get opened(): number {
    return this.#opened;
  }

  /** A picture of `run` now, for `/api/state`: outside the sequence, with the newest events of its timeline. */
  state(run: Run | null): Snapshot {
    const source = run?.source ?? null;
    return {
      instance: this.instance,
      sequence: this.#sequence,
      timeMs: this.#nowMs(),
      state: liveState(run),
      run: run?.info() ?? null,
      ...source?.picture() ?? NOTHING,
      timeline: source === null ? { events: [], dropped: 0 } : timelineOf(source, 0),
      droppedSnapshots: 0,
    };
  }

  /**
   * Opens a stream. `lastEventId` is what the page got last, if it comes back.
   * @throws {HttpProblem} `busy` when there are too many
   */
  open(lastEventId: string | null): ReadableStream<Uint8Array> {
    if (this.#streams.size >= this.#maxStreams) {
      throw new HttpProblem(
        "busy",
        `${this.#maxStreams} pages look on already: close one of them`,
        { "Retry-After": "5" },
      );
    }
    const stream = new Stream((stream) => {
      this.#streams.delete(stream);
      if (this.#streams.size === 0) this.#idleSinceMs = this.#nowMs();
    });
    this.#streams.add(stream);
    this.#opened++;
    this.#startTimer();
    const missed = this.#missedSince(lastEventId);
    if (missed !== null) stream.begin(missed.texts, missed.sequence, missed.dropped);
    else {
      // What is kept may be of a time when nobody looked.
      if (!this.#isFresh) this.tick();
      const newest = this.#kept.at(-1);
      if (newest !== undefined && stream.sequence < newest.sequence) {
        stream.begin([newest.text], newest.sequence, 0);
      }
    }
    return stream.readable;
  }

  /** Makes a snapshot, if anything may have changed, and gives it to all streams. */
  tick(): void {
    const run = this.#runs.current;
    const nowMs = this.#nowMs();
    if (this.#last !== null && !this.#mayHaveChanged(run)) {
      // The last one of a run is what stays to be seen, also where it found no room.
      for (const stream of this.#streams) {
        stream.catchUp(this.#last, (from) => this.#mergedTimeline(from));
      }
      if (nowMs - this.#heartbeatMs < HEARTBEAT_MS) return;
      this.#heartbeatMs = nowMs;
      const heartbeat: Heartbeat = {
        instance: this.instance,
        sequence: this.#sequence,
        timeMs: nowMs,
        state: liveState(run),
      };
      const text = `event: heartbeat\ndata: ${JSON.stringify(heartbeat)}\n\n`;
      for (const stream of this.#streams) stream.heartbeat(text);
      return;
    }
    this.#lastMs = nowMs;
    this.#heartbeatMs = nowMs;
    const snapshot = this.#make(run, nowMs);
    const text = eventText(snapshot);
    this.#last = snapshot;
    this.#keep({ sequence: snapshot.sequence, timeline: snapshot.timeline, text });
    for (const stream of this.#streams) {
      stream.snapshot(text, snapshot, (from) => this.#mergedTimeline(from));
    }
  }

  /** Ends all streams. */
  close(): void {
    this.#unsubscribe();
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    for (const stream of [...this.#streams]) stream.close();
  }

  get #isWatched(): boolean {
    return this.#streams.size > 0 || this.#timer !== null;
  }

  get #isFresh(): boolean {
    return this.#last !== null &&
      (this.#nowMs() - this.#lastMs < SNAPSHOT_INTERVAL_MS ||
        !this.#mayHaveChanged(this.#runs.current));
  }

  #mayHaveChanged(run: Run | null): boolean {
    const state = liveState(run);
    return state === "live" || this.#last?.state !== state || run !== this.#run;
  }

  #make(run: Run | null, timeMs: number): Snapshot {
    const source = run?.source ?? null;
    if (run !== this.#run) {
      this.#run = run;
      this.#heats.clear();
    }
    const picture = source?.picture() ?? NOTHING;
    const timeline = source === null
      ? { events: [], dropped: 0 }
      : timelineOf(source, this.#timelineAt.get(source) ?? 0);
    if (source !== null) this.#timelineAt.set(source, source.timelineEnd);
    return {
      instance: this.instance,
      sequence: ++this.#sequence,
      timeMs,
      state: liveState(run),
      run: run?.info() ?? null,
      ...picture,
      // A heat that was shown already is not of this moment.
      endpoints: picture.endpoints.map((endpoint) => {
        const { id, heat } = endpoint;
        const shown = heat !== null && this.#heats.get(id) === heat;
        this.#heats.set(id, heat);
        return shown ? { ...endpoint, heat: null } : endpoint;
      }),
      timeline,
      droppedSnapshots: 0,
    };
  }

  #keep(kept: Kept): void {
    this.#kept.push(kept);
    this.#keptLength += kept.text.length;
    while (
      this.#kept.length > SNAPSHOTS_KEPT ||
      (this.#keptLength > KEPT_LENGTH && this.#kept.length > 1)
    ) this.#keptLength -= this.#kept.shift()!.text.length;
  }

  /** What a page that comes back has missed; null when that is not known. */
  #missedSince(
    lastEventId: string | null,
  ):
    | { readonly texts: readonly string[]; readonly sequence: number; readonly dropped: number }
    | null {
    const match = /^([0-9a-f]{1,8})\.(\d{1,15})$/.exec(lastEventId ?? "");
    if (match === null || match[1] !== this.instance) return null;
    const from = Number(match[2]);
    if (from > this.#sequence) return null;
    const texts: string[] = [];
    let length = 0;
    for (let at = this.#kept.length - 1; at >= 0; at--) {
      const { sequence, text } = this.#kept[at]!;
      length += text.length;
      if (sequence <= from || length > RESUME_LENGTH) break;
      texts.unshift(text);
    }
    return { texts, sequence: this.#sequence, dropped: this.#sequence - from - texts.length };
  }

  /** The timelines of all kept snapshots after `from`, as one. */
  #mergedTimeline(from: number): Timeline {
    const events: TimelineEvent[] = [];
    let dropped = 0;
    for (const { sequence, timeline } of this.#kept) {
      if (sequence <= from) continue;
      events.push(...timeline.events);
      dropped += timeline.dropped;
    }
    const extra = Math.max(0, events.length - MAX_TIMELINE);
    return { events: events.slice(extra), dropped: dropped + extra };
  }

  #startTimer(): void {
    if (this.#manual || this.#timer !== null) return;
    this.#timer = setInterval(() => {
      if (this.#streams.size === 0 && this.#nowMs() - this.#idleSinceMs > LINGER_MS) {
        clearInterval(this.#timer!);
        this.#timer = null;
        return;
      }
      this.tick();
    }, SNAPSHOT_INTERVAL_MS);
    Deno.unrefTimer(this.#timer as unknown as number);
  }
}

function eventText(snapshot: Snapshot): string {
  return `id: ${snapshot.instance}.${snapshot.sequence}\nevent: snapshot\ndata: ${
    JSON.stringify(snapshot)
  }\n\n`;
}

/** One page's stream: at most one event waits in it. */
class Stream {
  readonly readable: ReadableStream<Uint8Array>;
  readonly #encoder = new TextEncoder();
  readonly #ended: (stream: Stream) => void;
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  #sequence = 0;
  #dropped = 0;

  constructor(ended: (stream: Stream) => void) {
    this.#ended = ended;
    this.readable = new ReadableStream({
      start: (controller) => {
        this.#controller = controller;
      },
      cancel: () => this.#end(),
    }, { highWaterMark: 2 });
  }

  /** Of the last snapshot it was given. */
  get sequence(): number {
    return this.#sequence;
  }

  /** The first words: how soon to come back, and what there is already. */
  begin(texts: readonly string[], sequence: number, dropped: number): void {
    this.#sequence = sequence;
    this.#dropped = dropped;
    this.#write(`retry: 1000\n\n${texts.join("")}`);
  }

  heartbeat(text: string): void {
    if (this.#hasRoom) this.#write(text);
  }

  /** `text` is the snapshot's event, for who has all before it; others get one of their own. */
  snapshot(text: string, snapshot: Snapshot, merged: (from: number) => Timeline): void {
    if (!this.#hasRoom) {
      this.#dropped++;
      return;
    }
    if (this.#dropped > 0) return this.#sendAfterGap(snapshot, merged, this.#dropped);
    this.#write(text);
    this.#sequence = snapshot.sequence;
  }

  /** Sends the newest snapshot if it is among those that were left out, and there is room now. */
  catchUp(newest: Snapshot, merged: (from: number) => Timeline): void {
    if (this.#sequence >= newest.sequence || !this.#hasRoom) return;
    this.#sendAfterGap(newest, merged, this.#dropped - 1);
  }

  #sendAfterGap(
    snapshot: Snapshot,
    merged: (from: number) => Timeline,
    droppedSnapshots: number,
  ): void {
    const timeline = merged(this.#sequence);
    this.#write(eventText({ ...snapshot, timeline, droppedSnapshots }));
    this.#sequence = snapshot.sequence;
    this.#dropped = 0;
  }

  close(): void {
    try {
      this.#controller?.close();
    } catch {
      // The page has gone already.
    }
    this.#end();
  }

  get #hasRoom(): boolean {
    return (this.#controller?.desiredSize ?? 0) > 0;
  }

  #write(text: string): void {
    try {
      this.#controller?.enqueue(this.#encoder.encode(text));
    } catch {
      this.#end();
    }
  }

  #end(): void {
    this.#controller = null;
    this.#ended(this);
  }
}
