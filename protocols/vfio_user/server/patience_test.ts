import { assert, assertEquals } from "@std/assert";
import { VirtualClock } from "../../../core/observe/virtual_clock.ts";
import { ALLOWED_MS, ALLOWED_MS_A_MESSAGE, Patience, REGAINED } from "./patience.ts";

const LIMIT = 2000;

function patience() {
  const clock = new VirtualClock();
  const one = new Patience(clock, LIMIT);
  return {
    clock,
    /** Milliseconds that an access of so many messages may take. */
    may: (messages = 1) => (one.deadlineNs(clock.nowNs, messages) - clock.nowNs) / 1e6,
    /** An access that takes `ms`. */
    take: (ms: number, messages = 1) => {
      clock.advance(ms);
      one.spend(messages, ms * 1e6);
    },
  };
}

const SHORT = ALLOWED_MS + ALLOWED_MS_A_MESSAGE;

Deno.test("Patience.deadlineNs() is the limit at first, and what every access may take once that is used up", () => {
  const { may, take } = patience();
  assertEquals(may(), LIMIT);
  take(LIMIT);
  assert(may() < SHORT + LIMIT / REGAINED + SHORT, `${may()} ms`);
  for (let i = 0; i < 20; i++) take(may());
  assert(may() >= SHORT && may() < SHORT + 1, `${may()} ms`);
});

Deno.test("Patience never runs out for a client that answers as clients do", () => {
  const { may, take } = patience();
  for (let i = 0; i < 10_000; i++) {
    take(ALLOWED_MS);
    take(200 * ALLOWED_MS_A_MESSAGE, 200);
  }
  assertEquals(may(), LIMIT);
});

Deno.test("Patience lets a client that is as slow as it may be have its part of the time, and no more", () => {
  const { clock, may, take } = patience();
  let waited = 0;
  const hour = 3_600_000;
  while (clock.nowNs < hour * 1e6) {
    const ms = may();
    take(ms);
    waited += Math.max(0, ms - SHORT);
    // As long again for others, or none of it would be worth a look.
    clock.advance(SHORT);
  }
  assert(waited <= LIMIT + hour / REGAINED, `${waited} ms of ${hour}`);
});

Deno.test("Patience comes back while nobody waits, up to the limit", () => {
  const { clock, may, take } = patience();
  take(LIMIT);
  take(may());
  clock.advance(LIMIT * REGAINED / 2);
  assert(may() > LIMIT / 2 && may() < LIMIT);
  clock.advance(LIMIT * REGAINED * 10);
  assertEquals(may(), LIMIT);
});

Deno.test("Patience allows no more than its limit, however many messages an access has", () => {
  const { may } = patience();
  assertEquals(may(1e6), LIMIT);
});
