import { assertEquals, assertThrows } from "@std/assert";
import { Completion } from "./completion.ts";

Deno.test("Completion that nothing holds is done, and calls back before whenDone() returns", () => {
  const completion = new Completion(0x2000);
  const told: string[] = [];
  assertEquals([completion.done, completion.bytes], [true, 0x2000]);
  completion.whenDone(() => told.push("a"));
  completion.whenDone(() => told.push("b"));
  assertEquals(told, ["a", "b"]);
});

Deno.test("Completion waits for every hold, and calls back once, in order", () => {
  const completion = new Completion();
  const told: string[] = [];
  completion.hold();
  completion.hold();
  completion.whenDone(() => told.push("a"));
  completion.whenDone(() => told.push("b"));
  completion.settle();
  assertEquals([completion.done, told], [false, []]);
  completion.settle();
  assertEquals([completion.done, told], [true, ["a", "b"]]);
  completion.whenDone(() => told.push("late"));
  assertEquals(told, ["a", "b", "late"]);
});

Deno.test("Completion is done when it calls back", () => {
  const completion = new Completion();
  const told: boolean[] = [];
  completion.hold();
  completion.whenDone(() => {
    told.push(completion.done);
    completion.whenDone(() => told.push(completion.done));
  });
  completion.settle();
  assertEquals(told, [true, true]);
});

Deno.test("Completion can be awaited, before the end and after it", async () => {
  const completion = new Completion(7);
  completion.hold();
  let resolved = false;
  const waiting = completion.then((bytes) => {
    resolved = true;
    return bytes;
  });
  await Promise.resolve();
  assertEquals(resolved, false);
  completion.settle();
  assertEquals([await waiting, await completion], [7, 7]);
});

Deno.test("Completion: a callback that throws keeps no other from being told", () => {
  const completion = new Completion();
  const told: string[] = [];
  completion.hold();
  completion.whenDone(() => {
    throw new Error("broken");
  });
  completion.whenDone(() => told.push("other"));
  assertThrows(() => completion.settle(), Error, "broken");
  assertEquals([completion.done, told], [true, ["other"]]);
});
