import { assert, assertEquals, assertThrows } from "@std/assert";
import { VirtualClock } from "./virtual_clock.ts";

Deno.test("VirtualClock stands still until it is advanced", () => {
  const clock = new VirtualClock();
  assertEquals(clock.nowNs, 0);
  clock.advance(1.5);
  assertEquals(clock.nowNs, 1_500_000);
  clock.advance(0);
  assertEquals(clock.nowNs, 1_500_000);
});

Deno.test("VirtualClock.advance() runs tasks in the order in which they fall due, at their instant", () => {
  const clock = new VirtualClock();
  const ran: [string, number][] = [];
  const note = (name: string) => () => {
    ran.push([name, clock.nowNs]);
  };
  clock.defer(3, note("c"));
  clock.defer(1, note("a"));
  clock.defer(2, note("b"));
  clock.defer(2.5, note("b half"));
  clock.advance(2.25);
  assertEquals(ran, [["a", 1e6], ["b", 2e6]]);
  clock.advance(10);
  assertEquals(ran.slice(2), [["b half", 2.5e6], ["c", 3e6]]);
  assertEquals(clock.nowNs, 12.25e6);
});

Deno.test("VirtualClock runs tasks due at one instant in the order in which they were deferred", () => {
  const clock = new VirtualClock();
  const ran: number[] = [];
  for (let i = 0; i < 100; i++) clock.defer(i % 3, () => ran.push(i));
  clock.advance(2);
  const expected = [0, 1, 2].flatMap((due) =>
    Array.from({ length: 100 }, (_, i) => i).filter((i) => i % 3 === due)
  );
  assertEquals(ran, expected);
});

Deno.test("VirtualClock runs a task due at the very end of the advance", () => {
  const clock = new VirtualClock();
  let ran = 0;
  clock.defer(5, () => ran++);
  clock.advance(4.999999);
  assertEquals(ran, 0);
  clock.advance(0.000001);
  assertEquals(ran, 1);
  clock.advance(100);
  assertEquals(ran, 1);
});

Deno.test("VirtualClock.advance() runs what its tasks defer, when that falls due on the way", () => {
  const clock = new VirtualClock();
  const ran: [string, number][] = [];
  clock.defer(1, () => {
    ran.push(["first", clock.nowNs]);
    clock.defer(0, () => ran.push(["at once", clock.nowNs]));
    clock.defer(2, () => ran.push(["within", clock.nowNs]));
    clock.defer(20, () => ran.push(["beyond", clock.nowNs]));
  });
  clock.defer(1, () => ran.push(["second", clock.nowNs]));
  clock.advance(10);
  assertEquals(ran, [["first", 1e6], ["second", 1e6], ["at once", 1e6], ["within", 3e6]]);
  assertEquals(clock.pending, 1);
  assertEquals(clock.nextDueNs, 21e6);
});

Deno.test("VirtualClock.defer() hands out a timer whose cancel() drops the task, also twice", () => {
  const clock = new VirtualClock();
  let ran = 0;
  const cancelled = clock.defer(1, () => ran++);
  clock.defer(2, () => ran++);
  assertEquals([clock.pending, clock.nextDueNs], [2, 1e6]);
  cancelled.cancel();
  cancelled.cancel();
  assertEquals([clock.pending, clock.nextDueNs], [1, 2e6]);
  clock.advance(5);
  assertEquals(ran, 1);
  assertEquals([clock.pending, clock.nextDueNs], [0, null]);
});

Deno.test("VirtualClock: a task may cancel another that is due at the same instant, and itself", () => {
  const clock = new VirtualClock();
  const ran: string[] = [];
  const first = clock.defer(1, () => {
    ran.push("first");
    second.cancel();
    first.cancel();
  });
  const second = clock.defer(1, () => ran.push("second"));
  clock.advance(1);
  assertEquals(ran, ["first"]);
});

Deno.test("VirtualClock: a task that advances the clock does not turn it back", () => {
  const clock = new VirtualClock();
  const times: number[] = [];
  clock.defer(1, () => clock.advance(20));
  clock.defer(2, () => times.push(clock.nowNs));
  clock.advance(10);
  times.push(clock.nowNs);
  assertEquals(times, [2e6, 21e6]);
});

Deno.test("VirtualClock.defer(): what is cancelled before its time takes no memory, however much of it there is", () => {
  const clock = new VirtualClock();
  const ran: number[] = [];
  for (let i = 0; i < 10; i++) clock.defer(1000 + i, () => ran.push(i));
  const before = Deno.memoryUsage().heapUsed;
  let most = 0;
  for (let i = 0; i < 1_000_000; i++) {
    clock.defer(100_000 - i % 1000, () => ran.push(-1)).cancel();
    if (i % 50_000 === 0) most = Math.max(most, Deno.memoryUsage().heapUsed);
  }
  // What waits to be collected is counted too; a million tasks are twice that.
  assert(most - before < 2 ** 26, `${most - before} bytes`);
  assertEquals([clock.pending, clock.nextDueNs], [10, 1e9]);
  clock.advance(1e6);
  assertEquals(ran, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

Deno.test("VirtualClock: a task may cancel most of the others, and those that are left run in order", () => {
  const clock = new VirtualClock();
  const ran: number[] = [];
  const timers = Array.from({ length: 1000 }, (_, i) => clock.defer(2 + i % 10, () => ran.push(i)));
  clock.defer(1, () => {
    timers.forEach((timer, i) => {
      if (i % 97 !== 0) timer.cancel();
    });
    timers.forEach((timer, i) => {
      if (i % 97 !== 0) timer.cancel();
    });
  });
  clock.advance(20);
  const left = Array.from({ length: 11 }, (_, i) => i * 97);
  assertEquals(ran, left.sort((a, b) => a % 10 - b % 10 || a - b));
  assertEquals([clock.pending, clock.nextDueNs], [0, null]);
  timers[0]!.cancel();
  assertEquals(clock.pending, 0);
});

Deno.test("VirtualClock refuses to go back, and delays that are not numbers", () => {
  const clock = new VirtualClock();
  for (const ms of [-1, NaN, Infinity]) {
    assertThrows(() => clock.advance(ms), RangeError, "a number of at least 0");
    assertThrows(() => clock.defer(ms, () => {}), RangeError, "a number of at least 0");
  }
  assertEquals([clock.nowNs, clock.pending], [0, 0]);
});

Deno.test("VirtualClock refuses to go where nanoseconds are no longer exact", () => {
  const clock = new VirtualClock();
  const last = Number.MAX_SAFE_INTEGER;
  for (const ms of [2 ** 53 / 1e6, 1e300, Number.MAX_VALUE]) {
    assertThrows(() => clock.advance(ms), RangeError, `${last} of them at most`);
  }
  clock.advance(9e9);
  assertThrows(() => clock.advance(8e6), RangeError, `${last} of them at most`);
  assertEquals(clock.nowNs, 9e15);
});

Deno.test("VirtualClock keeps its order through thousands of tasks and cancellations", () => {
  const clock = new VirtualClock();
  const ran: [number, number][] = [];
  const expected: [number, number][] = [];
  for (let i = 0; i < 5000; i++) {
    const due = (i * 7919) % 997;
    const timer = clock.defer(due, () => ran.push([due, i]));
    if (i % 7 === 0) timer.cancel();
    else expected.push([due, i]);
  }
  expected.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  for (let ms = 0; ms < 1000; ms++) clock.advance(1);
  assertEquals(ran, expected);
});
