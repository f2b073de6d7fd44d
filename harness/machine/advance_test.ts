import { assertEquals, assertThrows } from "@std/assert";
import { VirtualClock } from "../../core/observe/virtual_clock.ts";
import { advanceClock } from "./advance.ts";

Deno.test("advanceClock() goes on after a task that throws, and tells of each", () => {
  const clock = new VirtualClock();
  const ran: string[] = [];
  clock.defer(1, () => {
    throw new Error("first");
  });
  clock.defer(1, () => void ran.push("second"));
  clock.defer(2, () => {
    throw new Error("third");
  });
  const failed: unknown[] = [];
  advanceClock(clock, 5, (error) => failed.push((error as Error).message));
  assertEquals([ran, failed, clock.nowNs], [["second"], ["first", "third"], 5e6]);
});

Deno.test("advanceClock() ends where a task that throws has moved the clock further", () => {
  const clock = new VirtualClock();
  let failures = 0;
  clock.defer(1, () => {
    clock.advance(10);
    throw new Error("late");
  });
  advanceClock(clock, 5, () => {
    if (++failures > 1) throw new Error("it does not end");
  });
  assertEquals([failures, clock.nowNs], [1, 11e6]);
});

Deno.test("advanceClock() refuses what the clock does, once, and runs nothing", () => {
  const failed = () => {
    throw new Error("taken for a task's error");
  };
  for (
    const [ms, why] of [[-1, "one way"], [NaN, "one way"], [Infinity, "one way"], [
      1e300,
      "at most",
    ]] as const
  ) {
    const clock = new VirtualClock();
    clock.defer(0, failed);
    assertThrows(() => advanceClock(clock, ms, failed), RangeError, why);
    assertEquals([clock.nowNs, clock.pending], [0, 1]);
  }
});
