/**
 * Two ends of one connection, for tests of what talks over it.
 * @module
 */

/** A connected pair of sockets. */
export interface Pair {
  readonly ours: Deno.Conn;
  readonly theirs: Deno.Conn;
}

/** Connects two sockets, gives them to `body`, and closes what that leaves open. */
export async function withPair(body: (pair: Pair) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-test-" });
  const path = `${folder}/s`;
  const listener = Deno.listen({ transport: "unix", path });
  const [ours, theirs] = await Promise.all([
    listener.accept(),
    Deno.connect({ transport: "unix", path }),
  ]);
  listener.close();
  try {
    await body({ ours, theirs });
  } finally {
    for (const conn of [ours, theirs]) {
      try {
        conn.close();
      } catch {
        // Closed by the test.
      }
    }
    await Deno.remove(folder, { recursive: true });
  }
}

/** Speaks lines at one end, as a peer that a test plays. */
export class Peer {
  readonly #conn: Deno.Conn;
  #rest = "";

  constructor(conn: Deno.Conn) {
    this.#conn = conn;
  }

  /** The next line as JSON. @throws {Error} at the end of the stream */
  async next<T>(): Promise<T> {
    const chunk = new Uint8Array(65536);
    for (;;) {
      const at = this.#rest.indexOf("\n");
      if (at >= 0) {
        const line = this.#rest.slice(0, at);
        this.#rest = this.#rest.slice(at + 1);
        return JSON.parse(line) as T;
      }
      const length = await this.#conn.read(chunk);
      if (length === null) throw new Error("Cannot read a line: the stream has ended");
      this.#rest += new TextDecoder().decode(chunk.subarray(0, length));
    }
  }

  async say(value: unknown): Promise<void> {
    await this.raw(JSON.stringify(value) + "\n");
  }

  async raw(text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) at += await this.#conn.write(bytes.subarray(at));
  }
}
