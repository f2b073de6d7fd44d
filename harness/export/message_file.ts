/**
 * `--messages F`: the messages of all runs via `vfio-user` and `qemu`, one line each, or as a capture for
 * Wireshark when the file's name ends with `.pcapng`.
 *
 * Times count from the start of the file. In the text, a line that begins with `#` says which
 * run and which connection the lines below it belong to.
 *
 * @module
 */

import type { MessageEvent } from "../run/run_events.ts";
import { type MessageConnection, type MessageFormat, MessageWriter } from "./message_writer.ts";
import type { OutputSink } from "./output_sink.ts";

/** A run whose messages come. */
export interface MessageRun {
  /** `edu-identify remap via vfio-user seed 5`. */
  readonly label: string;
  /** When it began, in milliseconds of `performance.now()`. */
  readonly startedMs: number;
}

/** Writes the file as messages come, so that none are kept in memory. */
export class MessageFile {
  readonly #writer: MessageWriter;
  readonly #startedMs = performance.now();
  readonly #connections = new Map<MessageRun, Map<string, MessageConnection>>();

  /** Takes over `file`, open for writing, and what it held. */
  constructor(file: OutputSink, format: MessageFormat) {
    this.#writer = new MessageWriter(file, format, Date.now());
  }

  /** Writes messages of a run, which come in their order. */
  add(run: MessageRun, messages: readonly MessageEvent[]): void {
    const offsetNs = Math.max(0, Math.round((run.startedMs - this.#startedMs) * 1e6));
    for (const { connection, timeNs, direction, descriptors, bytes } of messages) {
      this.#writer.add(this.#connection(run, connection), {
        timeNs: offsetNs + timeNs,
        direction,
        bytes: Uint8Array.fromBase64(bytes),
        descriptors,
      });
    }
    this.#writer.flush();
  }

  /** The run has ended: nothing more of it comes. */
  end(run: MessageRun): void {
    this.#connections.delete(run);
  }

  /** Closes the file. */
  close(): void {
    this.#writer.close();
  }

  #connection(run: MessageRun, name: string): MessageConnection {
    let all = this.#connections.get(run);
    if (all === undefined) this.#connections.set(run, all = new Map());
    let connection = all.get(name);
    if (connection === undefined) {
      const heading = `${run.label}: ${name}`;
      all.set(name, connection = this.#writer.connection(heading, { heading }));
    }
    return connection;
  }
}
