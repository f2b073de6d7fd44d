/// <reference lib="dom" />
import { assertEquals } from "@std/assert";
import { sharedStream } from "./shared_stream.ts";

/** A server whose streams say what they are told to, and that keeps what it was asked for. */
class Bench implements Disposable {
  readonly asked: string[] = [];
  readonly streams: ReadableStreamDefaultController<Uint8Array>[] = [];
  status = 200;
  readonly #real = globalThis.fetch;
  readonly #encoder = new TextEncoder();

  constructor() {
    globalThis.fetch = (_, init) => {
      this.asked.push(new Headers(init!.headers).get("Last-Event-ID") ?? "");
      if (this.status !== 200) return Promise.resolve(new Response(null, { status: this.status }));
      const body = new ReadableStream<Uint8Array>({
        start: (controller) => {
          this.streams.push(controller);
          init!.signal!.addEventListener("abort", () => controller.error(init!.signal!.reason));
        },
      });
      return Promise.resolve(new Response(body));
    };
  }

  /** The newest stream says an event. */
  say(id: string): void {
    this.streams.at(-1)!.enqueue(
      this.#encoder.encode(`id: ${id}\nevent: snapshot\ndata: {}\n\n`),
    );
  }

  [Symbol.dispose](): void {
    globalThis.fetch = this.#real;
  }
}

/** One tab, and the IDs of the events that it gets. */
class Tab {
  readonly #abort = new AbortController();
  readonly response: Promise<Response> = sharedStream("", this.#abort.signal);
  #reader: ReadableStreamDefaultReader<string> | null = null;

  async next(): Promise<string> {
    this.#reader ??= (await this.response).body!.pipeThrough(new TextDecoderStream()).getReader();
    return /^id: (.*)$/m.exec((await this.#reader.read()).value!)![1]!;
  }

  close(): void {
    this.#abort.abort();
  }
}

Deno.test({
  name: "sharedStream() has one tab ask the server, and the next go on after what it has had",
  // A stream that was given up rejects once more, with nobody there.
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    using bench = new Bench();
    const first = new Tab();
    await first.response;
    bench.say("a.1");
    assertEquals(await first.next(), "a.1");
    // Whoever comes later has the newest snapshot at once.
    const second = new Tab();
    assertEquals(await second.next(), "a.1");
    bench.say("a.2");
    assertEquals([await first.next(), await second.next()], ["a.2", "a.2"]);
    assertEquals(bench.asked, [""]);
    first.close();
    while (bench.streams.length < 2) await new Promise((resolve) => setTimeout(resolve));
    assertEquals(bench.asked, ["", "a.2"]);
    bench.say("a.3");
    assertEquals(await second.next(), "a.3");
    second.close();
  },
});

Deno.test({
  name: "sharedStream() has the server's refusal reach each tab in its turn",
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    using bench = new Bench();
    bench.status = 503;
    const tabs = [new Tab(), new Tab()];
    const answers = await Promise.all(tabs.map(({ response }) => response));
    assertEquals(answers.map(({ status }) => status), [503, 503]);
    assertEquals(bench.asked.length, 2);
    for (const tab of tabs) tab.close();
  },
});
