/// <reference lib="dom" />
/**
 * One event stream for all tabs of a browser. A browser opens six connections to a server and no
 * more: with a stream in each of six tabs nothing else would get through. The tab that has the lock
 * reads the server's stream and hands on what comes; when it goes, another goes on where it was.
 * @module
 */

import { EventStreamParser, type StreamEvent } from "./event_stream.ts";

/** The server's stream, from after the event `lastId`; from now on when that is empty. */
export type OpenStream = (lastId: string, signal: AbortSignal) => Promise<Response>;

/** Of the lock, and of the channel that the tabs talk on. */
const NAME = "viaduct-stream";

/** What tabs tell each other. */
type Word =
  /** A tab that has the lock asks who listens. */
  | { readonly kind: "leads" }
  /** A tab listens. */
  | { readonly kind: "listens" }
  | { readonly kind: "event"; readonly event: StreamEvent };

/** A stream of this tab's own. */
export const ownStream: OpenStream = (lastId, signal) =>
  fetch("/api/stream", {
    headers: lastId === "" ? {} : { "Last-Event-ID": lastId },
    cache: "no-store",
    signal,
  });

/** The stream that all tabs share, or one of its own where the browser has no locks for that. */
export const sharedStream: OpenStream = (lastId, signal) => {
  // Only pages from this machine have them, or over HTTPS.
  if (navigator.locks === undefined || typeof BroadcastChannel === "undefined") {
    return ownStream(lastId, signal);
  }
  return new Tab(lastId, signal).response;
};

/** One tab's part. */
class Tab {
  readonly #signal: AbortSignal;
  readonly #channel = new BroadcastChannel(NAME);
  readonly #answer = Promise.withResolvers<Response>();
  readonly #encoder = new TextEncoder();
  readonly #body: ReadableStream<Uint8Array<ArrayBuffer>>;
  #controller!: ReadableStreamDefaultController<Uint8Array<ArrayBuffer>>;
  #isAnswered = false;
  #leads = false;
  #hasListeners = false;
  #lastId: string;
  /** The newest snapshot, for a tab that comes. */
  #snapshot: StreamEvent | null = null;

  constructor(lastId: string, signal: AbortSignal) {
    this.#lastId = lastId;
    this.#signal = signal;
    this.#body = new ReadableStream({
      start: (controller) => void (this.#controller = controller),
    });
    this.#channel.onmessage = ({ data }) => this.#heard(data as Word);
    signal.addEventListener("abort", () => this.#channel.close());
    this.#say({ kind: "listens" });
    navigator.locks.request(NAME, { signal }, () => this.#lead())
      .then(() => this.#controller.close())
      .catch((error) => this.#fail(error));
  }

  /** When there is a stream, or why there is none. */
  get response(): Promise<Response> {
    return this.#answer.promise;
  }

  #heard(word: Word): void {
    if (word.kind === "leads") this.#say({ kind: "listens" });
    else if (word.kind === "listens") {
      this.#hasListeners = true;
      if (this.#leads && this.#snapshot !== null) {
        this.#say({ kind: "event", event: this.#snapshot });
      }
    } else if (!this.#leads) {
      const { type, data, id } = word.event;
      this.#lastId = id;
      this.#begin();
      this.#controller.enqueue(
        this.#encoder.encode(`id: ${id}\nevent: ${type}\ndata: ${data}\n\n`),
      );
    }
  }

  /** Reads the server's stream until it ends. */
  async #lead(): Promise<void> {
    this.#leads = true;
    const response = await ownStream(this.#lastId, this.#signal);
    if (!response.ok || response.body === null) {
      if (this.#isAnswered) throw new Error(`the server answered ${response.status}`);
      this.#isAnswered = true;
      return this.#answer.resolve(response);
    }
    this.#begin();
    this.#say({ kind: "leads" });
    const parser = new EventStreamParser();
    const decoder = new TextDecoder();
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      this.#controller.enqueue(value);
      for (const event of parser.push(decoder.decode(value, { stream: true }))) {
        if (event.type === "snapshot") this.#snapshot = event;
        if (this.#hasListeners) this.#say({ kind: "event", event });
      }
    }
  }

  #begin(): void {
    if (this.#isAnswered) return;
    this.#isAnswered = true;
    this.#answer.resolve(new Response(this.#body));
  }

  #fail(error: unknown): void {
    if (this.#isAnswered) this.#controller.error(error);
    else this.#answer.reject(error);
  }

  #say(word: Word): void {
    if (!this.#signal.aborted) this.#channel.postMessage(word);
  }
}
