/**
 * A stream that carries one message a line, as QMP and the guest's agent do.
 * @module
 */

/** What a {@linkcode LineSocket} tells. */
export interface LineListener {
  /** A line, without its end. */
  line(text: string): void;
  /** The stream is over: the peer closed it, or it broke, or a line was too long. Comes once. */
  end(reason: string): void;
}

/** Reads lines from a connection and writes them to it. */
export class LineSocket {
  readonly #conn: Deno.Conn;
  readonly #limit: number;
  #sent: Promise<void> = Promise.resolve();
  #closed = false;
  /** Resolves when nothing more is read. */
  readonly ended: Promise<void>;

  /** A line of more than `limit` characters ends the stream: the peer may be a guest gone wild. */
  constructor(conn: Deno.Conn, limit: number, listener: LineListener) {
    this.#conn = conn;
    this.#limit = limit;
    this.ended = this.#read(listener);
  }

  /** Writes a line. A peer that is gone is told of by {@linkcode LineListener.end}. */
  send(text: string): void {
    const bytes = new TextEncoder().encode(text + "\n");
    this.#sent = this.#sent.then(async () => {
      for (let at = 0; at < bytes.length;) at += await this.#conn.write(bytes.subarray(at));
    }).catch(() => {});
  }

  /** Closes the connection at once. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    try {
      this.#conn.close();
    } catch {
      // Whoever has opened it has closed it.
    }
  }

  async #read(listener: LineListener): Promise<void> {
    const decoder = new TextDecoder();
    const chunk = new Uint8Array(65536);
    // The pieces of a line that has not ended.
    let pieces: string[] = [];
    let pending = 0;
    let reason = "the peer closed the connection";
    try {
      for (;;) {
        const length = await this.#conn.read(chunk);
        if (length === null) break;
        const lines = decoder.decode(chunk.subarray(0, length), { stream: true }).split("\n");
        const rest = lines.pop()!;
        for (const line of lines) {
          if (pending + line.length > this.#limit) throw tooLong(this.#limit);
          listener.line(pieces.join("") + line);
          pieces = [];
          pending = 0;
        }
        pieces.push(rest);
        pending += rest.length;
        if (pending > this.#limit) throw tooLong(this.#limit);
      }
    } catch (error) {
      if (!this.#closed) reason = (error as Error).message;
    }
    if (this.#closed) reason = "the connection was closed";
    this.close();
    listener.end(reason);
  }
}

function tooLong(limit: number): RangeError {
  return new RangeError(`a line is longer than ${limit} characters`);
}
