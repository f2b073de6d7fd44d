/**
 * A file of vfio-user messages: one line each, or a capture for Wireshark when the file's name ends
 * with `.pcapng`.
 * @module
 */

import { type Frame, MessageLog } from "../../protocols/vfio_user/message_log.ts";
import { PcapngWriter } from "../../protocols/vfio_user/pcapng.ts";
import { type OutputSink, tooSlow } from "./output_sink.ts";

/** How a file is written. */
export type MessageFormat = "text" | "pcapng";

/** The format that a file's name asks for. */
export function messageFormat(path: string): MessageFormat {
  return path.endsWith(".pcapng") ? "pcapng" : "text";
}

/** How a connection's lines are told from those of others in the text. */
export type LineLabel =
  /** By what stands in front of each; empty where there is one connection alone. */
  | { readonly prefix: string }
  /** By a line of its own, which begins with `#`, wherever the lines before were another's. */
  | { readonly heading: string };

/** One connection, whose messages come in order. Made by {@linkcode MessageWriter.connection}. */
export interface MessageConnection {
  readonly log: MessageLog;
  readonly prefix: string;
  /** Empty for none. */
  readonly heading: string;
  /** Its interface in a capture. */
  readonly number: number;
}

/** Writes one file, of any number of connections. */
export class MessageWriter implements Disposable {
  readonly #file: OutputSink;
  readonly #capture: PcapngWriter | null;
  readonly #encoder = new TextEncoder();
  /** What the last line was about. */
  #heading = "";
  #text = "";
  #leftOut = 0;
  /** Of {@linkcode MessageWriter.leftOut}, those that no line has told of yet. */
  #gap = 0;

  /**
   * Takes over `file`, open for writing, and what it held.
   * @param startMs milliseconds since 1970 at which frames have the time 0
   */
  constructor(file: OutputSink, format: MessageFormat, startMs: number) {
    this.#file = file;
    file.truncateSync(0);
    this.#capture = format === "text" ? null : new PcapngWriter(
      { write: (bytes) => this.#write(bytes) },
      { application: "viaduct", startSeconds: Math.floor(startMs / 1000) },
    );
  }

  /** Begins with the messages of one more connection. @param name of its interface in a capture */
  connection(name: string, label: LineLabel): MessageConnection {
    return {
      log: new MessageLog(),
      prefix: "prefix" in label ? label.prefix : "",
      heading: "heading" in label ? `# ${label.heading}\n` : "",
      number: this.#capture?.addInterface(name) ?? 0,
    };
  }

  /** Messages that are not in the file, since its reader was too slow for them. */
  get leftOut(): number {
    return this.#leftOut;
  }

  /** Takes a message, which is in the file after {@linkcode flush} at the latest, unless that is full. */
  add(connection: MessageConnection, frame: Frame): void {
    const { log, prefix, heading, number } = connection;
    if (this.#file.isFull === true) {
      // Later replies must not be taken for this one's.
      if (this.#capture === null) log.line(frame);
      this.#leftOut++;
      this.#gap++;
      return;
    }
    if (this.#gap > 0) this.#tellGap();
    if (this.#capture !== null) {
      this.#capture.writeFrame(number, frame);
      return;
    }
    if (heading !== this.#heading) this.#text += heading;
    this.#heading = heading;
    this.#text += `${prefix}${log.format(frame)}\n`;
  }

  /** Writes what has been taken. */
  flush(): void {
    if (this.#text === "") return;
    const bytes = this.#encoder.encode(this.#text);
    this.#text = "";
    this.#write(bytes);
  }

  /** Writes what is left, and closes the file. */
  close(): void {
    try {
      if (this.#gap > 0) this.#tellGap();
      this.flush();
      if (this.#leftOut > 0) this.#file.incomplete?.(tooSlow(this.#leftOut, "message"));
    } finally {
      this.#file.close();
    }
  }

  /** As {@linkcode close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** In the text where they are missing; a capture has no place for it. */
  #tellGap(): void {
    if (this.#capture === null) {
      this.#text += `# ${tooSlow(this.#gap, "message")}\n`;
      this.#heading = "";
    }
    this.#gap = 0;
  }

  #write(bytes: Uint8Array): void {
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(this.#file.writeSync(rest));
  }
}
