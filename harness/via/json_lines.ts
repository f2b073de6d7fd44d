/**
 * Lines of JSON over a UNIX stream socket, for loops that poll for themselves.
 * @module
 */

import { Errno, errnoName, HEAD_BYTES, type UnixStream } from "../../protocols/linux/mod.ts";

const NEWLINE = 0x0a;

/** Bytes of the longest line. */
export const MAX_LINE = 0x400_0000;

/** One end of a connection. Owns the stream. */
export class JsonLines implements Disposable {
  readonly stream: UnixStream;
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder();
  /** Bytes that have been looked through and hold no line end. */
  #seen = 0;

  constructor(stream: UnixStream) {
    this.stream = stream;
  }

  /** @throws {Error} when the other end is gone, and for what is no JSON */
  send(value: unknown): void {
    this.sendLine(JSON.stringify(value));
  }

  /** As {@linkcode send}, of a value that is JSON already. */
  sendLine(json: string): void {
    const bytes = this.#encoder.encode(json + "\n");
    const head = Math.min(bytes.length, HEAD_BYTES);
    this.stream.headBytes.set(bytes.subarray(0, head));
    const result = this.stream.send(head, bytes.length > head ? bytes.subarray(head) : null);
    if (result < 0) throw new Error(`Cannot send a line: ${errnoName(result)}`);
  }

  /**
   * The lines that have arrived, after one look at the socket; null when the other end has
   * closed it, or it fails.
   */
  receive(): string[] | null {
    const { stream } = this;
    const received = stream.receive();
    if (received === 0 || (received < 0 && received !== -Errno.EAGAIN)) return null;
    const lines: string[] = [];
    for (;;) {
      const { bytes, start, length } = stream;
      const at = bytes.subarray(start, start + length).indexOf(NEWLINE, this.#seen);
      if (at < 0) {
        this.#seen = length;
        return lines;
      }
      lines.push(this.#decoder.decode(bytes.subarray(start, start + at)));
      stream.consume(at + 1);
      this.#seen = 0;
    }
  }

  close(): void {
    this.stream.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
