import { assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { TimerQueue } from "./timer_queue.ts";

Deno.test("TimerQueue.takeDue() takes in order of instants, then of adding, without the cancelled", () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ due: fc.nat(20), cancel: fc.boolean() }), { maxLength: 60 }),
      fc.array(fc.nat(25), { maxLength: 5 }),
      (tasks, looks) => {
        const queue = new TimerQueue();
        const ran: number[] = [];
        tasks.forEach(({ due, cancel }, i) => {
          const timer = queue.add(due, () => ran.push(i));
          if (cancel) timer.cancel();
        });
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
