/**
 * The thread of a server process that tells its devices' counters while they keep the other one
 * busy. It reads shared memory, and only when it is asked: who connects sends a byte for each answer,
 * which is a line of JSON, an array of rows of endpoint and counters in the order of `Counter`.
 * @module
 */

import type { ToCountersThread } from "./vfio_user_counters.ts";

/** Connections at a time. There is one watcher. */
const MAX_CONNECTIONS = 4;

/** What is told at one socket. */
class Told {
  readonly path: string;
  readonly #listener: Deno.Listener;
  readonly #counters = new Map<number, Float64Array>();
  readonly #connections = new Set<Deno.Conn>();
  readonly #encoder = new TextEncoder();

  /** Listens. @throws {Error} when it cannot */
  constructor(path: string) {
    this.path = path;
    this.#listener = Deno.listen({ transport: "unix", path });
    this.#accept().catch(() => {});
  }

  add(endpoint: number, values: Float64Array): void {
    this.#counters.set(endpoint, values);
  }

  close(): void {
    this.#listener.close();
    for (const connection of this.#connections) closeQuietly(connection);
    try {
      Deno.removeSync(this.path);
    } catch {
      // It has gone with its folder.
    }
  }

  async #accept(): Promise<void> {
    for await (const connection of this.#listener) {
      if (this.#connections.size >= MAX_CONNECTIONS) {
        connection.close();
        continue;
      }
      this.#connections.add(connection);
      this.#serve(connection).catch(() => {}).finally(() => {
        this.#connections.delete(connection);
        closeQuietly(connection);
      });
    }
  }

  async #serve(connection: Deno.Conn): Promise<void> {
    const asked = new Uint8Array(16);
    while (await connection.read(asked) !== null) {
      const rows = [...this.#counters].map(([endpoint, values]) => [endpoint, ...values]);
      let bytes = this.#encoder.encode(JSON.stringify(rows) + "\n");
      while (bytes.length > 0) bytes = bytes.subarray(await connection.write(bytes));
    }
  }
}

function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // The other end has closed it.
  }
}

interface Port {
  onmessage: ((event: MessageEvent<ToCountersThread>) => void) | null;
}

let told: Told | null = null;
(self as unknown as Port).onmessage = ({ data }) => {
  switch (data.kind) {
    case "open":
      told?.close();
      told = null;
      try {
        told = new Told(data.path);
      } catch {
        // Its folder is gone, and so is who would have listened.
      }
      break;
    case "counters":
      told?.add(data.endpoint, data.values);
      break;
    case "close":
      if (told?.path !== data.path) break;
      told.close();
      told = null;
  }
};
