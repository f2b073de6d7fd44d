import { assertEquals } from "@std/assert";
import { PacedRequest } from "./paced_request.ts";

/** A request that ends when told, on a clock that moves when told. */
class Bench implements Disposable {
  readonly request: PacedRequest;
  readonly failures: unknown[] = [];
  begun = 0;
  #nowMs = 5000;
  #answer = Promise.withResolvers<void>();
  #timers = new Map<number, { dueMs: number; task: () => void }>();
  #nextTimer = 1;
  readonly #real = { setTimeout, clearTimeout, now: performance.now };

  constructor() {
    globalThis.setTimeout = ((task: () => void, ms: number) => {
      this.#timers.set(this.#nextTimer, { dueMs: this.#nowMs + ms, task });
      return this.#nextTimer++;
    }) as unknown as typeof setTimeout;
    globalThis.clearTimeout = (timer) => void this.#timers.delete(Number(timer));
    performance.now = () => this.#nowMs;
    this.request = new PacedRequest(() => {
      this.begun++;
      this.#answer = Promise.withResolvers();
      return this.#answer.promise;
    }, (error) => this.failures.push(error));
  }

  advance(ms: number): void {
    this.#nowMs += ms;
    for (const [timer, { dueMs, task }] of [...this.#timers]) {
      if (dueMs > this.#nowMs) continue;
      this.#timers.delete(timer);
      task();
    }
  }

  async answer(error?: Error): Promise<void> {
    if (error === undefined) this.#answer.resolve();
    else this.#answer.reject(error);
    for (let turn = 0; turn < 4; turn++) await Promise.resolve();
  }

  [Symbol.dispose](): void {
    globalThis.setTimeout = this.#real.setTimeout;
    globalThis.clearTimeout = this.#real.clearTimeout;
    performance.now = this.#real.now;
  }
}

Deno.test("PacedRequest.ask() requests at once, and again a second after the last began", async () => {
  using bench = new Bench();
  bench.request.ask();
  bench.request.ask();
  bench.advance(0);
  assertEquals(bench.begun, 1);
  bench.advance(300);
  await bench.answer();
  bench.request.ask();
  bench.advance(699);
  assertEquals(bench.begun, 1);
  bench.advance(1);
  assertEquals(bench.begun, 2);
});

Deno.test("PacedRequest.ask() during a request is good for one more, when that has ended", async () => {
  using bench = new Bench();
  bench.request.ask();
  bench.advance(0);
  bench.request.ask();
  bench.request.ask();
  bench.advance(3000);
  assertEquals(bench.begun, 1);
  await bench.answer();
  bench.advance(0);
  assertEquals(bench.begun, 2);
  await bench.answer();
  bench.advance(3000);
  assertEquals(bench.begun, 2);
});

Deno.test("PacedRequest goes on after a request that failed", async () => {
  using bench = new Bench();
  bench.request.ask();
  bench.advance(0);
  const error = new Error("Nobody answers");
  await bench.answer(error);
  assertEquals(bench.failures, [error]);
  bench.request.ask();
  bench.advance(1000);
  assertEquals(bench.begun, 2);
});

Deno.test("PacedRequest.stop() drops what waits, and what a request under way still says", async () => {
  using bench = new Bench();
  bench.request.ask();
  bench.request.stop();
  bench.advance(3000);
  assertEquals(bench.begun, 0);

  using other = new Bench();
  other.request.ask();
  other.advance(0);
  other.request.ask();
  other.request.stop();
  await other.answer(new Error("Aborted"));
  other.advance(3000);
  assertEquals(other.begun, 1);
  assertEquals(other.failures, []);
});
