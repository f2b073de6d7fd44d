/**
 * The log of the thread that serves: on stderr, whose reader may be slow or not read at all. A write
 * to it is waited for by a thread that has nothing else to do, so that no client is.
 * @module
 */

import { shortened } from "../../core/thrown.ts";
import { tooSlow } from "../export/output_sink.ts";
import { within } from "../vm/deadline.ts";

/** Characters that may wait for the reader, and of one line. */
const MOST_WAITING = 2 ** 20, LONGEST_LINE = 2 ** 16;
/** Milliseconds that {@linkcode LogPrinter.close} gives a reader that takes nothing. */
const PATIENCE_MS = 1000;

/** How many characters wait, as both threads see it. */
export type LogRoom = Int32Array<SharedArrayBuffer>;

/** The serving thread's half: keeps nobody waiting, and leaves out what has no room. */
export class ServingLog {
  readonly #room: LogRoom;
  readonly #post: (text: string) => void;
  #leftOut = 0;

  /** `post` sends what is to be written to whoever has the {@linkcode LogPrinter} of `room`. */
  constructor(room: LogRoom, post: (text: string) => void) {
    this.#room = room;
    this.#post = post;
  }

  /** Logs `line`, which has no line end. */
  write(line: string): void {
    const text = `${shortened(line, LONGEST_LINE)}\n`;
    if (Atomics.load(this.#room, 0) + text.length > MOST_WAITING) {
      this.#leftOut++;
      return;
    }
    this.end();
    this.#send(text);
  }

  /** Says how many lines are missing until here. */
  end(): void {
    if (this.#leftOut > 0) this.#send(`${tooSlow(this.#leftOut, "line")}\n`);
    this.#leftOut = 0;
  }

  #send(text: string): void {
    Atomics.add(this.#room, 0, text.length);
    this.#post(text);
  }
}

/** The thread that writes: takes texts, and posts the length of each that is written. */
export type LogThread = Pick<Worker, "postMessage" | "onmessage" | "terminate">;

function startThread(): LogThread {
  return new Worker(import.meta.resolve("./serving_log_worker.ts"), { type: "module" });
}

/** The other half, which has the lines written in their order. */
export class LogPrinter {
  /** For the {@linkcode ServingLog}. */
  readonly room: LogRoom = new Int32Array(new SharedArrayBuffer(4));
  readonly #start: () => LogThread;
  readonly #patienceMs: number;
  /** Started with the first line. */
  #thread: LogThread | null = null;
  #waiting = 0;
  #moved: () => void = () => {};

  /** Both are as they should be unless told. */
  constructor(start: () => LogThread = startThread, patienceMs: number = PATIENCE_MS) {
    this.#start = start;
    this.#patienceMs = patienceMs;
  }

  /** Has `text` written. */
  take(text: string): void {
    this.#thread ??= this.#open();
    this.#waiting++;
    this.#thread.postMessage(text);
  }

  /** Resolves when all is written, or its reader has taken nothing for a second. */
  async close(): Promise<void> {
    while (this.#waiting > 0) {
      const { promise, resolve } = Promise.withResolvers<true>();
      this.#moved = () => resolve(true);
      // To end a thread that waits for a reader is to wait for that reader: it goes with the process.
      if (!await within(promise, this.#patienceMs, false)) return;
    }
    this.#thread?.terminate();
    this.#thread = null;
  }

  #open(): LogThread {
    const thread = this.#start();
    thread.onmessage = ({ data }: MessageEvent<number>) => {
      Atomics.sub(this.room, 0, data);
      this.#waiting--;
      this.#moved();
    };
    return thread;
  }
}
