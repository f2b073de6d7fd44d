import { assert, assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { TimerQueue } from "./timer_queue.ts";

Deno.test("TimerQueue.takeDue() takes in order of instants, then of adding, without the cancelled", () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ due: fc.nat(20), cancel: fc.boolean() }), {
        maxLength: 300,
        size: "max",
      }),
      fc.array(fc.nat(25), { maxLength: 5 }),
      (tasks, looks) => {
        const queue = new TimerQueue();
        const ran: number[] = [];
        // Some at once, the others when all are there.
        const late = tasks.map(({ due, cancel }, i) => {
          const timer = queue.add(due, () => ran.push(i));
          if (cancel && i % 3 === 0) timer.cancel();
          return cancel ? timer : null;
        });
        for (const timer of late) timer?.cancel();
        const left = tasks.map(({ due, cancel }, i) => ({ due, cancel, i }))
          .filter(({ cancel }) => !cancel)
          .sort((a, b) => a.due - b.due || a.i - b.i);
        for (const now of [...looks.sort((a, b) => a - b), 100]) {
          assertEquals(queue.nextNs, left[ran.length]?.due ?? Infinity);
          for (const { task } of queue.takeDue(now)) task?.();
          assertEquals(ran, left.filter(({ due }) => due <= now).map(({ i }) => i));
        }
      },
    ),
  );
});

Deno.test("TimerQueue keeps few cancelled tasks, however many there were and however late they are due", () => {
  const queue = new TimerQueue();
  const ran: number[] = [];
  for (let i = 0; i < 20; i++) queue.add(1e12 - i, () => ran.push(i));
  for (let i = 0; i < 100_000; i++) {
    const timer = queue.add(1e9 + i, () => ran.push(-1));
    timer.cancel();
    timer.cancel();
  }
  assert(queue.size <= 64, `${queue.size} tasks are kept for 20`);
  assertEquals(queue.nextNs, 1e12 - 19);
  // One that was taken, or dropped, is none of the queue's any more.
  const taken = queue.add(0, () => {});
  assertEquals(queue.takeDue(0).length, 1);
  for (let i = 0; i < 100; i++) taken.cancel();
  const dropped = queue.add(0, () => {});
  for (const timer of queue.takeDue(1e13)) timer.task?.();
  assertEquals(ran, Array.from({ length: 20 }, (_, i) => 19 - i));
  queue.add(5, () => {});
  queue.clear();
  dropped.cancel();
  queue.add(7, () => {});
  assertEquals([queue.size, queue.nextNs], [1, 7]);
});

Deno.test("TimerQueue.takeDue() lets a task cancel one of the same instant", () => {
  const queue = new TimerQueue();
  const ran: string[] = [];
  queue.add(1, () => {
    ran.push("first");
    second.cancel();
  });
  const second = queue.add(1, () => ran.push("second"));
  for (const timer of queue.takeDue(1)) timer.task?.();
  assertEquals(ran, ["first"]);
});
