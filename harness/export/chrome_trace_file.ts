/**
 * The file of a Chrome trace.
 * @module
 */

import type { ChromeEvent } from "./chrome_event.ts";
import { type OutputSink, tooSlow } from "./output_sink.ts";

/** Writes a trace file event by event, so that no run's events are kept in memory. */
export class ChromeTraceFile {
  readonly #file: OutputSink;
  readonly #encoder = new TextEncoder();
  #separator = "\n";
  #leftOut = 0;
  /** Of those left out, the ones that no event has told of yet. */
  #gap = 0;

  /** Takes over `file`, open for writing, and what it held. */
  constructor(file: OutputSink) {
    this.#file = file;
    file.truncateSync(0);
    this.#write(`{"displayTimeUnit":"ns","traceEvents":[`);
  }

  /** Writes the events, or leaves all of them out while the file is full. */
  add(events: readonly ChromeEvent[]): void {
    const [first] = events;
    if (first === undefined) return;
    if (this.#file.isFull === true) {
      this.#leftOut += events.length;
      this.#gap += events.length;
      return;
    }
    let text = "";
    if (this.#gap > 0) {
      const { pid, tid, ts } = first;
      const name = tooSlow(this.#gap, "event");
      text += this.#element({ ph: "i", s: "p", name, cat: "trace", pid, tid, ts });
      this.#gap = 0;
    }
    for (const event of events) text += this.#element(event);
    this.#write(text);
  }

  /** Completes the file and closes it. */
  close(): void {
    this.#write("\n]}\n");
    if (this.#leftOut > 0) this.#file.incomplete?.(tooSlow(this.#leftOut, "event"));
    this.#file.close();
  }

  #element(event: ChromeEvent): string {
    const text = this.#separator + JSON.stringify(event);
    this.#separator = ",\n";
    return text;
  }

  #write(text: string): void {
    let bytes = this.#encoder.encode(text);
    while (bytes.length > 0) bytes = bytes.subarray(this.#file.writeSync(bytes));
  }
}
