/**
 * The other side of watched devices: reads what the serving thread shares, at any moment and
 * however busy that is, takes what it posts, and asks it. What nobody looks at is read by nobody:
 * then all there is are the wakes, four a second.
 * @module
 */

import type { BarLayout } from "../../devices/pci/pci_device.ts";
import { Mailbox } from "../../protocols/linux/mailbox.ts";
import { type ReactorHandle, wakeReactor } from "../../protocols/linux/reactor.ts";
import { Board } from "./board.ts";
import { FrameRing, type KeptFrames } from "./frame_ring.ts";
import {
  type Answer,
  type Ask,
  FAULT_FIELDS,
  type Observed,
  type Question,
} from "./observation.ts";
import { rowsOf } from "./rows.ts";
import { describeDetail } from "./server_detail.ts";
import {
  type ClientReport,
  type ServerTold,
  type ServerWatchRequest,
  Time,
} from "./server_thread_protocol.ts";

/** Milliseconds between two wakes. */
const WAKE_MS = 250;
/** Milliseconds without a look after which the next one is a first. */
const LOOKS_MS = 1000;
/** Milliseconds an answer may take: a device may keep its thread busy. */
const ANSWER_MS = 1000;
/** Questions that may wait for their answers. */
const MAX_QUESTIONS = 32;

/** Gets what the serving thread posts. */
export interface ServerListener {
  /** Counters are not in it: {@linkcode ServerObservation.sample} has them as they are. */
  reported(report: Extract<Observed, { readonly kind: "report" }>): void;
  logged(line: string): void;
}

/** A device that is served. */
export interface ShownDevice {
  readonly endpoint: number;
  readonly type: string;
  readonly bars: readonly BarLayout[];
}

interface Device extends ShownDevice {
  readonly counters: Float64Array;
}

/** See the module. */
export class ServerObservation {
  /** For the serving thread. */
  readonly request: ServerWatchRequest;
  readonly #nowMs: () => number;
  readonly #board = new Board();
  readonly #frames = new FrameRing();
  readonly #times = new Float64Array(new SharedArrayBuffer(2 * Float64Array.BYTES_PER_ELEMENT));
  readonly #questions = Mailbox.create();
  readonly #devices = new Map<number, Device>();
  readonly #waiting = new Map<number, (answer: Answer | null) => void>();
  #listener: ServerListener | null = null;
  /** What was told before anybody listened. */
  #untold: ((listener: ServerListener) => void)[] = [];
  #handle: ReactorHandle | null = null;
  #timer: ReturnType<typeof setInterval> | null = null;
  #clients: readonly ClientReport[] = [];
  #query = 0;
  #eventsSeen = 0;
  #framesSeen = 0;

  /** `nowMs` is the wall's clock, in milliseconds since 1970. */
  constructor(nowMs: () => number = Date.now) {
    this.#nowMs = nowMs;
    // Whoever starts it may open its page in a moment.
    this.#times[Time.LOOKED] = nowMs();
    this.request = {
      board: this.#board.buffer,
      frames: this.#frames.buffer,
      times: this.#times.buffer as SharedArrayBuffer,
      questions: this.#questions.handle,
    };
  }

  /** The devices, by their numbers. */
  get devices(): ReadonlyMap<number, ShownDevice> {
    return this.#devices;
  }

  /** Who was connected at the last report. */
  get clients(): readonly ClientReport[] {
    return this.#clients;
  }

  /** Milliseconds since the serving thread came by; 0 before it has for the first time. */
  get silentMs(): number {
    const timeMs = this.#times[Time.CAME_BY]!;
    return timeMs === 0 ? 0 : Math.max(0, this.#nowMs() - timeMs);
  }

  /** Whoever shows the devices, once; gets what was told before as well. */
  listen(listener: ServerListener): void {
    this.#listener = listener;
    for (const tell of this.#untold.splice(0)) tell(listener);
  }

  /** The serving thread waits in this reactor from now on. */
  begin(handle: ReactorHandle): void {
    this.#handle = handle;
    this.#timer = setInterval(() => this.#wake(), WAKE_MS);
    this.#wake();
  }

  /** To be called before the reactor is stopped: it must not be woken while it closes. */
  end(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#handle = null;
    for (const settle of [...this.#waiting.values()]) settle(null);
  }

  /** Takes what the serving thread has posted. */
  take(told: ServerTold): void {
    switch (told.kind) {
      case "device": {
        const { device, endpoint, type, bars, counters } = told;
        this.#devices.set(device, { endpoint, type, bars, counters });
        break;
      }
      case "report": {
        const { clients, faults, ...report } = told;
        this.#clients = clients;
        const rows = rowsOf(faults, FAULT_FIELDS);
        this.#tell((listener) => listener.reported({ ...report, faults: rows }));
        break;
      }
      case "log": {
        const { line } = told;
        this.#tell((listener) => listener.logged(line));
        break;
      }
      case "answer":
        this.#settle(told.query, told.answer);
        break;
      case "detail": {
        const { query, captured } = told;
        const device = [...this.#devices.values()]
          .find(({ endpoint }) => endpoint === captured.endpoint);
        describeDetail(captured, device?.bars ?? []).then(
          (detail) => this.#settle(query, { kind: "detail", detail }),
          () => this.#settle(query, null),
        );
        break;
      }
    }
  }

  /**
   * Counters and the sizes of domains as they are, and the events since the last call. Who calls
   * this looks on: DMA is sampled for a while.
   */
  sample(): Extract<Observed, { readonly kind: "sample" }> {
    this.#looked();
    const { events, recorded } = this.#board.read(this.#eventsSeen);
    this.#eventsSeen = recorded;
    return {
      kind: "sample",
      endpoints: [...this.#devices.values()].map(({ endpoint, counters }) => [
        endpoint,
        ...counters,
      ]),
      domains: this.#board.domains(),
      domainsLeftOut: this.#board.domainsLeftOut,
      events,
      recorded,
    };
  }

  /** The messages since the last call that are still there, and how many before them are not. */
  frames(): { readonly frames: KeptFrames["frames"]; readonly missed: number } {
    this.#looked();
    const { frames, recorded } = this.#frames.read(this.#framesSeen);
    const missed = recorded - this.#framesSeen - frames.length;
    this.#framesSeen = recorded;
    return { frames, missed };
  }

  /** Asks the serving thread. Null when it does not answer in time, or cannot. */
  ask(ask: Ask): Promise<Answer | null> {
    if (this.#handle === null || this.#waiting.size >= MAX_QUESTIONS) return Promise.resolve(null);
    const query = this.#query++;
    const question: Question = { query, ask };
    if (!this.#questions.send(question)) return Promise.resolve(null);
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.#settle(query, null), ANSWER_MS);
      this.#waiting.set(query, (answer) => {
        clearTimeout(timer);
        this.#waiting.delete(query);
        resolve(answer !== null && answer.kind === ask.kind ? answer : null);
      });
      this.#wake();
    });
  }

  #looked(): void {
    const timeMs = this.#nowMs();
    const isFirst = timeMs - this.#times[Time.LOOKED]! > LOOKS_MS;
    this.#times[Time.LOOKED] = timeMs;
    this.#board.ask();
    // What the devices do from now on is wanted.
    if (isFirst) this.#wake();
  }

  #wake(): void {
    if (this.#handle !== null) wakeReactor(this.#handle);
  }

  #settle(query: number, answer: Answer | null): void {
    this.#waiting.get(query)?.(answer);
  }

  #tell(tell: (listener: ServerListener) => void): void {
    if (this.#listener === null) this.#untold.push(tell);
    else tell(this.#listener);
  }
}
