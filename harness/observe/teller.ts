/**
 * The thread that tells about a watched run. It reads counters and the timeline from shared
 * memory, so they reach the watcher while the scenario keeps its own thread busy; it owns the
 * socket, so a watcher that does not read delays nobody.
 * @module
 */

import { Board, EVENTS_KEPT } from "./board.ts";
import { linesOf } from "./connection_lines.ts";
import { LiveCounters } from "./live_counters.ts";
import {
  FAULT_FIELDS,
  MAPPING_FIELDS,
  type MappingTuple,
  type Observed,
  type Question,
} from "./observation.ts";
import { rowsOf } from "./rows.ts";
import type { FromTeller, ToTeller } from "./thread_protocol.ts";

/** Milliseconds between two samples. */
const SAMPLE_MS = 250;
/** Milliseconds between two times the scenario's thread is asked to come by. */
const ASK_MS = 50;
/** Characters that may wait for the socket before samples and faults are left out. */
const BACKLOG = 8 * 2 ** 20;
/** Longest question. */
const MAX_QUESTION = 4096;
/** Milliseconds that a sample waits for what other processes count. */
const LIVE_MS = 50;

type Report = Omit<Extract<ToTeller, { kind: "report" }>, "faults">;

/** Where an endpoint is counted in another process. */
interface Place {
  readonly live: LiveCounters;
  readonly number: number;
}

interface Port {
  postMessage(message: unknown): void;
  onmessage: ((event: MessageEvent) => void) | null;
}

/** One run that is told about. */
class Telling {
  readonly #board: Board;
  readonly #counters = new Map<number, Float64Array>();
  readonly #places = new Map<number, Place[]>();
  readonly #live = new Map<string, LiveCounters>();
  #refreshing = false;
  readonly #port: MessagePort;
  readonly #nudge: () => void;
  readonly #timers: ReturnType<typeof setInterval>[] = [];
  readonly #encoder = new TextEncoder();
  #queue: string[] = [];
  #queued = 0;
  #wake: (() => void) | null = null;
  #connection: Deno.Conn | null = null;
  #gone = false;
  #closing = false;
  #seen = 0;
  #faultsLost = 0;
  /** The last report, without its faults, when it was left out. */
  #unsaid: Report | null = null;

  constructor(
    open: Extract<ToTeller, { kind: "open" }>,
    port: MessagePort,
    nudge: () => void,
  ) {
    this.#board = new Board(open.board);
    this.#port = port;
    this.#nudge = nudge;
    this.#say({ kind: "hello", key: open.request.key });
    this.#timers.push(
      setInterval(() => this.#board.ask(), ASK_MS),
      setInterval(() => void this.#sampleLive(), SAMPLE_MS),
    );
    this.#serve(open.request.path).catch(() => {}).finally(() => this.#end());
  }

  take(message: Exclude<ToTeller, { kind: "open" }>): void {
    switch (message.kind) {
      case "counters":
        this.#counters.set(message.endpoint, message.values);
        break;
      case "gone":
        this.#counters.delete(message.endpoint);
        this.#places.delete(message.endpoint);
        break;
      case "place":
        this.#place(message);
        break;
      case "report": {
        const { faults, ...rest } = message;
        const rows = rowsOf(faults, FAULT_FIELDS);
        if (this.#queued > BACKLOG) {
          this.#faultsLost += rows.length;
          this.#unsaid = rest;
        } else this.#report(rest, rows);
        break;
      }
      case "left-mappings":
        this.#say({
          kind: "left-mappings",
          domain: message.domain,
          mappings: rowsOf(message.rows, MAPPING_FIELDS) as unknown as MappingTuple[],
        });
        break;
      case "close":
        // However much waits: the last numbers are those of the run's own report.
        if (this.#unsaid !== null) this.#report(this.#unsaid, []);
        this.#sample();
        this.#say({ kind: "left" });
        this.#closing = true;
        this.#wake?.();
        if (this.#gone) this.#flushed();
        break;
      default:
        this.#say(message);
    }
  }

  #place({ endpoint, path, number }: Extract<ToTeller, { kind: "place" }>): void {
    let live = this.#live.get(path);
    if (live === undefined) this.#live.set(path, live = new LiveCounters(path));
    const places = this.#places.get(endpoint);
    if (places === undefined) this.#places.set(endpoint, [{ live, number }]);
    else places.push({ live, number });
  }

  /** A sample, with what other processes have counted until now. */
  async #sampleLive(): Promise<void> {
    if (this.#refreshing || this.#gone) return;
    if (this.#live.size > 0) {
      this.#refreshing = true;
      await Promise.all([...this.#live.values()].map((live) => live.refresh(LIVE_MS)));
      this.#refreshing = false;
    }
    // What was told before may not have been taken yet.
    if (!this.#closing && this.#queued <= BACKLOG) this.#sample();
  }

  /** Counters only grow: of two that count the same the larger is the newer. */
  #countersOf(endpoint: number, values: Float64Array): number[] {
    const counters = Array.from(values);
    const places = this.#places.get(endpoint);
    if (places === undefined) return counters;
    return counters.map((value, at) => {
      let sum = 0;
      for (const { live, number } of places) sum += live.rows.get(number)?.[at] ?? 0;
      return Math.max(value, sum);
    });
  }

  #sample(): void {
    if (this.#gone) return;
    if (this.#board.nudge()) this.#nudge();
    const { events, recorded } = this.#board.read(this.#seen, EVENTS_KEPT);
    this.#seen = recorded;
    this.#say({
      kind: "sample",
      endpoints: [...this.#counters].map((
        [endpoint, values],
      ) => [endpoint, ...this.#countersOf(endpoint, values)]),
      domains: this.#board.domains(),
      domainsLeftOut: this.#board.domainsLeftOut,
      events,
      recorded,
    });
  }

  #report(report: Report, faults: Extract<Observed, { kind: "report" }>["faults"]): void {
    this.#unsaid = null;
    this.#say({ ...report, faults, faultsLost: report.faultsLost + this.#faultsLost });
  }

  #say(message: Observed): void {
    if (this.#gone) return;
    const line = JSON.stringify(message) + "\n";
    this.#queue.push(line);
    this.#queued += line.length;
    this.#wake?.();
  }

  async #serve(path: string): Promise<void> {
    const connection = await Deno.connect({ transport: "unix", path });
    this.#connection = connection;
    this.#listen(connection).catch(() => {}).finally(() => this.#end());
    for (;;) {
      while (this.#queue.length > 0) {
        const lines = this.#queue;
        this.#queue = [];
        for (const line of lines) {
          let bytes = this.#encoder.encode(line);
          while (bytes.length > 0) bytes = bytes.subarray(await connection.write(bytes));
          this.#queued -= line.length;
        }
      }
      if (this.#closing || this.#gone) return;
      await new Promise<void>((resolve) => this.#wake = resolve);
      this.#wake = null;
    }
  }

  async #listen(connection: Deno.Conn): Promise<void> {
    const bounds = { chunk: MAX_QUESTION, limit: MAX_QUESTION };
    for await (const lines of linesOf(connection, bounds)) {
      for (const line of lines) {
        this.#post({ kind: "question", ...JSON.parse(line) as Question });
      }
      this.#board.ask();
      if (this.#board.nudge()) this.#nudge();
    }
  }

  #post(message: FromTeller): void {
    this.#port.postMessage(message);
  }

  #flushed(): void {
    this.#post({ kind: "flushed" });
    this.#nudge();
  }

  #end(): void {
    if (this.#gone) return;
    this.#gone = true;
    for (const timer of this.#timers) clearInterval(timer);
    for (const live of this.#live.values()) live.close();
    this.#queue = [];
    this.#wake?.();
    try {
      this.#connection?.close();
    } catch {
      // The watcher has closed it.
    }
    if (this.#closing) this.#flushed();
  }
}

const self_ = self as unknown as Port;
self_.onmessage = (event: MessageEvent<{ readonly port: MessagePort }>) => {
  const { port } = event.data;
  let telling: Telling | null = null;
  port.onmessage = ({ data }: MessageEvent<ToTeller>) => {
    if (data.kind === "open") telling = new Telling(data, port, () => self_.postMessage(0));
    else telling?.take(data);
  };
};
