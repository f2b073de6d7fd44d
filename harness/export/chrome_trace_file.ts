/**
 * The file of a Chrome trace.
 * @module
 */

import type { ChromeEvent } from "./chrome_event.ts";
import type { OutputSink } from "./output_sink.ts";

/** Writes a trace file event by event, so that no run's events are kept in memory. */
export class ChromeTraceFile {
  readonly #file: OutputSink;
  readonly #encoder = new TextEncoder();
  #separator = "\n";

  /** Takes over `file`, open for writing, and what it held. */
  constructor(file: OutputSink) {
    this.#file = file;
    file.truncateSync(0);
    this.#write(`{"displayTimeUnit":"ns","traceEvents":[`);
  }

  add(events: readonly ChromeEvent[]): void {
    let text = "";
    for (const event of events) {
      text += this.#separator + JSON.stringify(event);
      this.#separator = ",\n";
    }
    this.#write(text);
  }

  /** Completes the file and closes it. */
  close(): void {
    this.#write("\n]}\n");
    this.#file.close();
  }

  #write(text: string): void {
    let bytes = this.#encoder.encode(text);
    while (bytes.length > 0) bytes = bytes.subarray(this.#file.writeSync(bytes));
  }
}
