/**
 * The page's one event stream: opened, watched, and opened again when it breaks.
 * @module
 */

import type { Heartbeat, Snapshot } from "../../api.ts";
import { backoffMs } from "./backoff.ts";
import { EventStreamParser } from "./event_stream.ts";
import { type OpenStream, ownStream } from "./shared_stream.ts";

/** Without a word for this long, the stream counts as broken: the server speaks every two seconds. */
const SILENCE_MS = 7000;

/** How the stream stands. */
export type ConnectionState =
  | { readonly kind: "connecting" }
  | { readonly kind: "open" }
  /**
   * Until a server answers again. Tries at `retryMs`, in milliseconds since 1970; null while it does.
   */
  | { readonly kind: "lost"; readonly reason: string; readonly retryMs: number | null };

/** Who is told. */
export interface ConnectionListener {
  onState(state: ConnectionState): void;
  onSnapshot(snapshot: Snapshot): void;
  onHeartbeat(heartbeat: Heartbeat): void;
}

/** A stream that comes back by itself. */
export class Connection {
  readonly #listener: ConnectionListener;
  readonly #open: OpenStream;
  #abort: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #attempt = 0;
  #lastId = "";
  /** Why the stream broke; null before that, and while it is open. */
  #reason: string | null = null;

  /** Nothing happens before {@linkcode start}. */
  constructor(listener: ConnectionListener, open: OpenStream = ownStream) {
    this.#listener = listener;
    this.#open = open;
  }

  /** Connects, or connects again at once. */
  start(): void {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    const abort = new AbortController();
    this.#abort = abort;
    const reason = this.#reason;
    // An attempt is no connection: it may hang, and what is shown is as old as before.
    this.#listener.onState(
      reason === null ? { kind: "connecting" } : { kind: "lost", reason, retryMs: null },
    );
    void this.#read(abort).catch((error) => {
      if (this.#abort === abort) this.#lost(describe(error), null);
    });
  }

  async #read(abort: AbortController): Promise<void> {
    let timedOut = false;
    let silence: ReturnType<typeof setTimeout> | undefined;
    const heard = () => {
      clearTimeout(silence);
      silence = setTimeout(() => {
        timedOut = true;
        abort.abort();
      }, SILENCE_MS);
    };
    try {
      heard();
      const response = await this.#open(this.#lastId, abort.signal);
      // It may have come before a later attempt gave this one up.
      if (this.#abort !== abort) return;
      if (!response.ok || response.body === null) {
        const after = Number(response.headers.get("Retry-After"));
        this.#lost(
          response.status === 503
            ? "the server has as many pages open as it allows"
            : `the server answered ${response.status}`,
          after > 0 ? after * 1000 : null,
        );
        return;
      }
      this.#attempt = 0;
      this.#reason = null;
      this.#listener.onState({ kind: "open" });
      const parser = new EventStreamParser();
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done || this.#abort !== abort) break;
        heard();
        for (const event of parser.push(value)) this.#take(event.type, event.data, event.id);
      }
      if (this.#abort === abort) this.#lost("the server ended the stream", null);
    } catch (error) {
      if (this.#abort !== abort) return;
      this.#lost(timedOut ? "the server has gone silent" : describe(error), null);
    } finally {
      clearTimeout(silence);
      // What is left of an answer that was refused, or not understood, holds a stream of the server's.
      abort.abort();
    }
  }

  #take(type: string, data: string, id: string): void {
    this.#lastId = id;
    if (type === "snapshot") this.#listener.onSnapshot(JSON.parse(data) as Snapshot);
    else if (type === "heartbeat") this.#listener.onHeartbeat(JSON.parse(data) as Heartbeat);
  }

  #lost(reason: string, afterMs: number | null): void {
    const waitMs = afterMs ?? backoffMs(this.#attempt, Math.random());
    this.#attempt++;
    this.#reason = reason;
    this.#listener.onState({ kind: "lost", reason, retryMs: Date.now() + waitMs });
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.start(), waitMs);
  }
}

function describe(error: unknown): string {
  if (error instanceof TypeError) return "the server cannot be reached";
  return error instanceof Error ? error.message : String(error);
}
