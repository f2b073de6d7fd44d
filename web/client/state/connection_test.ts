import { assertEquals } from "@std/assert";
import { Connection, type ConnectionState } from "./connection.ts";

const BUSY = "the server has as many pages open as it allows";

/** A server that answers when told, and a clock whose timers ring when told. */
class Bench implements Disposable {
  readonly states: ConnectionState[] = [];
  readonly connection: Connection;
  readonly #asked: { answer: (response: Response) => void; signal: AbortSignal }[] = [];
  readonly #timers = new Map<number, { ms: number; task: () => void }>();
  #nextTimer = 1;
  readonly #real = { fetch, setTimeout, clearTimeout };

  constructor() {
    globalThis.fetch = (_, init) =>
      new Promise((answer, refuse) => {
        const signal = init!.signal!;
        signal.addEventListener("abort", () => refuse(signal.reason));
        this.#asked.push({ answer, signal });
      });
    globalThis.setTimeout = ((task: () => void, ms: number) => {
      this.#timers.set(this.#nextTimer, { ms, task });
      return this.#nextTimer++;
    }) as unknown as typeof setTimeout;
    globalThis.clearTimeout = (timer) => void this.#timers.delete(Number(timer));
    this.connection = new Connection({
      onState: (state) => this.states.push(state),
      onSnapshot: () => {},
      onHeartbeat: () => {},
    });
  }

  /** Times that the server was asked. */
  get asked(): number {
    return this.#asked.length;
  }

  /** Milliseconds of the timers that are on. */
  get timers(): number[] {
    return [...this.#timers.values()].map(({ ms }) => ms);
  }

  /** Whether attempt `at` was given up. */
  isAborted(at: number): boolean {
    return this.#asked[at]!.signal.aborted;
  }

  /** The server answers attempt `at`. */
  async answer(at: number, response: Response): Promise<void> {
    this.#asked[at]!.answer(response);
    for (let turn = 0; turn < 8; turn++) await Promise.resolve();
  }

  /** Lets what has come be read. */
  async turn(): Promise<void> {
    await new Promise((resolve) => this.#real.setTimeout(resolve));
  }

  /** The timer of `ms` has run down. */
  ring(ms: number): void {
    const [timer, { task }] = [...this.#timers].find(([, timer]) => timer.ms === ms)!;
    this.#timers.delete(timer);
    task();
  }

  [Symbol.dispose](): void {
    Object.assign(globalThis, this.#real);
  }
}

function refusal(afterSeconds: number): Response {
  return new Response("{}", { status: 503, headers: { "Retry-After": String(afterSeconds) } });
}

Deno.test("Connection stays lost while it tries again, until the server lets it in", async () => {
  using bench = new Bench();
  const { connection, states } = bench;
  connection.start();
  await bench.answer(0, refusal(60));
  bench.ring(60_000);
  assertEquals(states.slice(0, 1), [{ kind: "connecting" }]);
  assertEquals(states.slice(1).map((state) => state.kind === "lost" && state.reason), [BUSY, BUSY]);
  assertEquals(states.at(-1), { kind: "lost", reason: BUSY, retryMs: null });
  await bench.answer(1, new Response(new ReadableStream()));
  assertEquals(states.slice(3), [{ kind: "open" }]);
});

Deno.test("Connection does not heed the answer to an attempt that another has overtaken", async () => {
  using bench = new Bench();
  const { connection, states } = bench;
  connection.start();
  // The answer is there, and the reader has not come to it yet.
  const answered = bench.answer(0, refusal(60));
  connection.start();
  await answered;
  await bench.answer(1, new Response(new ReadableStream()));
  assertEquals([bench.asked, bench.isAborted(0), bench.isAborted(1)], [2, true, false]);
  assertEquals(states, [{ kind: "connecting" }, { kind: "connecting" }, { kind: "open" }]);
  assertEquals(bench.timers, [7000], "a retry waits that would break the stream");
});

Deno.test("Connection lets go of an answer that turns it away, or that it cannot read", async () => {
  using bench = new Bench();
  bench.connection.start();
  await bench.answer(0, refusal(60));
  assertEquals(bench.isAborted(0), true);
  bench.ring(60_000);
  const body = new Blob(["event: snapshot\ndata: {\n\n"]).stream();
  await bench.answer(1, new Response(body));
  while (bench.states.at(-1)!.kind === "open") await bench.turn();
  assertEquals(bench.isAborted(1), true);
});
