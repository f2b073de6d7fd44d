/**
 * The watcher's end: listens on a socket in a folder of its own, and gives each watched run's lines
 * to whoever asked to watch it.
 * @module
 */

import { join } from "@std/path";
import { OwnFolder } from "../folder/own_folder.ts";
import { linesOf } from "./connection_lines.ts";
import type { Answer, Ask, Observed, ObserveRequest } from "./observation.ts";
import { parseObserved } from "./observation_schema.ts";

/** Milliseconds an answer may take: a scenario may keep its thread busy. */
const ANSWER_MS = 1000;
/** Questions of one run that may wait for their answers. */
const MAX_QUESTIONS = 32;
/** Longest line. A report of 1024 endpoints with a thousand faults each is less. */
const MAX_LINE = 64 * 2 ** 20;
const CHUNK = 256 * 1024;
/** Milliseconds for the last of what a run tells, once it has ended, and for it to have begun to. */
const LAST_MS = 5000;
const FIRST_MS = 500;
/** Milliseconds for the first line of a connection. */
const HELLO_MS = 5000;
/** Milliseconds after a connection that could not be taken. */
const ACCEPT_AGAIN_MS = 100;

/** Gets what a run tells. */
export interface ObservationListener {
  observed(message: Observed): void;
  /** Nothing more will come. */
  closed(): void;
}

/** One run that is watched. */
export interface Observation {
  /** For the run's request. */
  readonly request: ObserveRequest;
  /** Asks the run something. Null when it does not answer in time, or cannot. */
  ask(ask: Ask): Promise<Answer | null>;
  /**
   * Resolves when all that the run told has been given: its process has closed the connection. Waits
   * no longer than it takes a run that tells anything.
   */
  told(): Promise<void>;
  /** Stops watching. */
  close(): void;
}

/** See the module. */
export class Observer {
  readonly #folder: OwnFolder;
  readonly #listener: Deno.Listener;
  readonly #watched = new Map<string, Watched>();
  readonly #path: string;
  readonly #connections = new Set<Deno.Conn>();
  #closed = false;

  /**
   * Listens. The folder goes with this process, however that ends.
   * @throws {Error} when no folder can be made, or its path is too long for a socket
   */
  constructor() {
    this.#folder = new OwnFolder("viaduct-");
    try {
      // The folder is the user's alone, and so is what is in it.
      Deno.chmodSync(this.#folder.path, 0o700);
      this.#path = join(this.#folder.path, "observe.sock");
      this.#listener = Deno.listen({ transport: "unix", path: this.#path });
    } catch (error) {
      this.#folder.close().catch(() => {});
      throw error;
    }
    this.#accept();
  }

  /** Begins to watch a run that is yet to be started with the request. */
  watch(listener: ObservationListener): Observation {
    const key = crypto.randomUUID();
    const watched = new Watched(listener);
    this.#watched.set(key, watched);
    return {
      request: { path: this.#path, key },
      ask: (ask) => watched.ask(ask),
      told: () => watched.told(),
      close: () => {
        this.#watched.delete(key);
        watched.close();
      },
    };
  }

  /** Stops listening, and takes the folder away. Resolves when nothing watches that any more. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#listener.close();
    for (const watched of this.#watched.values()) watched.close();
    this.#watched.clear();
    for (const connection of this.#connections) closeQuietly(connection);
    await this.#folder.close();
  }

  async #accept(): Promise<void> {
    for (;;) {
      const connection = await this.#listener.accept().catch(() => null);
      if (connection === null) {
        if (this.#closed) return;
        // Descriptors may be short for a moment: runs that are yet to come want to be watched as well.
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_AGAIN_MS));
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
    let watched: Watched | null = null;
    const timer = setTimeout(() => closeQuietly(connection), HELLO_MS);
    try {
      for await (const lines of linesOf(connection, { chunk: CHUNK, limit: MAX_LINE })) {
        for (const line of lines) {
          const message = parseObserved(line);
          // Who breaks the protocol is not listened to any further.
          if (message === null) return;
          if (watched === null) {
            if (message.kind !== "hello") return;
            watched = this.#watched.get(message.key) ?? null;
            if (watched === null || !watched.connect(connection)) return;
            clearTimeout(timer);
          } else watched.take(message);
        }
      }
    } finally {
      clearTimeout(timer);
      watched?.disconnect(connection);
    }
  }
}

class Watched {
  readonly #listener: ObservationListener;
  readonly #waiting = new Map<number, (answer: Answer | null) => void>();
  readonly #encoder = new TextEncoder();
  readonly #closed = Promise.withResolvers<void>();
  readonly #connected = Promise.withResolvers<void>();
  #connection: Deno.Conn | null = null;
  #ended = false;
  #query = 0;

  constructor(listener: ObservationListener) {
    this.#listener = listener;
  }

  async told(): Promise<void> {
    await within(FIRST_MS, Promise.race([this.#connected.promise, this.#closed.promise]));
    if (this.#connection !== null) await within(LAST_MS, this.#closed.promise);
  }

  /** False when the run is connected already: one key is one connection. */
  connect(connection: Deno.Conn): boolean {
    if (this.#connection !== null || this.#ended) return false;
    this.#connection = connection;
    this.#connected.resolve();
    return true;
  }

  disconnect(connection: Deno.Conn): void {
    if (this.#connection === connection) this.close();
  }

  take(message: Observed): void {
    if (this.#ended) return;
    if (message.kind !== "answer") return this.#listener.observed(message);
    const settle = this.#waiting.get(message.query);
    this.#waiting.delete(message.query);
    settle?.(message.answer);
  }

  ask(ask: Ask): Promise<Answer | null> {
    const connection = this.#connection;
    if (connection === null || this.#waiting.size >= MAX_QUESTIONS) return Promise.resolve(null);
    const query = this.#query++;
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(query);
        resolve(null);
      }, ANSWER_MS);
      this.#waiting.set(query, (answer) => {
        clearTimeout(timer);
        resolve(answer !== null && answer.kind === ask.kind ? answer : null);
      });
      writeAll(connection, this.#encoder.encode(JSON.stringify({ query, ask }) + "\n"))
        .catch(() => {});
    });
  }

  close(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const settle of this.#waiting.values()) settle(null);
    this.#waiting.clear();
    if (this.#connection !== null) closeQuietly(this.#connection);
    this.#connection = null;
    this.#closed.resolve();
    this.#listener.closed();
  }
}

async function within(ms: number, promise: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<void>((resolve) => timer = setTimeout(resolve, ms));
  await Promise.race([promise, late]);
  clearTimeout(timer);
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  while (bytes.length > 0) bytes = bytes.subarray(await connection.write(bytes));
}

function closeQuietly(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // It is closed already.
  }
}
