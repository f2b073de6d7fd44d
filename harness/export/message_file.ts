/**
 * `--messages F`: the messages of all runs via `vfio-user`, one line each, or as a capture for
 * Wireshark when the file's name ends with `.pcapng`.
 *
 * Times count from the start of the file. In the text, a line that begins with `#` says which
 * run and which connection the lines below it belong to.
 *
 * @module
 */

import { type Frame, MessageLog } from "../../protocols/vfio_user/message_log.ts";
import { PcapngWriter } from "../../protocols/vfio_user/pcapng.ts";
import type { MessageEvent } from "../run/run_events.ts";

/** How a file is written. */
export type MessageFormat = "text" | "pcapng";

/** The format that a file's name asks for. */
export function messageFormat(path: string): MessageFormat {
  return path.endsWith(".pcapng") ? "pcapng" : "text";
}

/** A run whose messages come. */
export interface MessageRun {
  /** `edu-identify remap via vfio-user seed 5`. */
  readonly label: string;
  /** When it began, in milliseconds of `performance.now()`. */
  readonly startedMs: number;
}

interface Connection {
  readonly log: MessageLog;
  /** Its interface in the capture. */
  readonly number: number;
}

/** Writes the file as messages come, so that none are kept in memory. */
export class MessageFile {
  readonly #file: Deno.FsFile;
  readonly #startedMs = performance.now();
  readonly #capture: PcapngWriter | null;
  readonly #encoder = new TextEncoder();
  readonly #connections = new Map<MessageRun, Map<string, Connection>>();
  /** What the last line was about. */
  #heading = "";

  /** Takes over `file`, open for writing, and what it held. */
  constructor(file: Deno.FsFile, format: MessageFormat) {
    this.#file = file;
    file.truncateSync(0);
    this.#capture = format === "text" ? null : new PcapngWriter(
      { write: (bytes) => this.#write(bytes) },
      { application: "viaduct", startSeconds: Math.floor(Date.now() / 1000) },
    );
  }

  /** Writes messages of a run, which come in their order. */
  add(run: MessageRun, messages: readonly MessageEvent[]): void {
    const offsetNs = Math.max(0, Math.round((run.startedMs - this.#startedMs) * 1e6));
    let text = "";
    for (const { connection, timeNs, direction, descriptors, bytes } of messages) {
      const { log, number } = this.#connection(run, connection);
      const frame: Frame = {
        timeNs: offsetNs + timeNs,
        direction,
        bytes: Uint8Array.fromBase64(bytes),
        descriptors,
      };
      if (this.#capture !== null) {
        this.#capture.writeFrame(number, frame);
        continue;
      }
      const heading = `# ${run.label}: ${connection}\n`;
      if (heading !== this.#heading) text += heading;
      this.#heading = heading;
      text += log.format(frame) + "\n";
    }
    this.#write(this.#encoder.encode(text));
  }

  /** The run has ended: nothing more of it comes. */
  end(run: MessageRun): void {
    this.#connections.delete(run);
  }

  /** Closes the file. */
  close(): void {
    this.#file.close();
  }

  #connection(run: MessageRun, name: string): Connection {
    let all = this.#connections.get(run);
    if (all === undefined) this.#connections.set(run, all = new Map());
    let connection = all.get(name);
    if (connection === undefined) {
      const number = this.#capture?.addInterface(`${run.label}: ${name}`) ?? 0;
      all.set(name, connection = { log: new MessageLog(), number });
    }
    return connection;
  }

  #write(bytes: Uint8Array): void {
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(this.#file.writeSync(rest));
  }
}
