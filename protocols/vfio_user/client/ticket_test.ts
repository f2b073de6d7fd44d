import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { joinTickets, mapTicket, settledTicket, Ticket } from "./ticket.ts";

Deno.test("Ticket.value throws while pending, and what made it fail after", () => {
  const ticket = new Ticket<number>(9);
  assertThrows(() => ticket.value, Error, "it is pending");
  ticket.fail(new TypeError("no"));
  ticket.settle(4);
  assertThrows(() => ticket.value, TypeError, "no");
  assertEquals([ticket.command, ticket.done], [9, true]);
});

Deno.test("Ticket.whenDone() calls back once, at once when it is done", () => {
  const ticket = new Ticket<number>();
  const seen: string[] = [];
  ticket.whenDone(() => seen.push("before"));
  ticket.settle(1);
  ticket.settle(2);
  ticket.whenDone(() => seen.push("after"));
  assertEquals([seen, ticket.value, ticket.error], [["before", "after"], 1, null]);
});

Deno.test("Ticket can be awaited", async () => {
  assertEquals(await settledTicket(3), 3);
  const ticket = new Ticket<number>();
  ticket.fail(new RangeError("far"));
  await assertRejects(async () => await ticket, RangeError, "far");
});

Deno.test("joinTickets() waits for all, and fails with the first in order", () => {
  const [a, b] = [new Ticket<void>(), new Ticket<void>()];
  const joined = joinTickets([a, b], () => "both");
  b.fail(new Error("b"));
  assertEquals(joined.done, false);
  a.fail(new Error("a"));
  assertThrows(() => joined.value, Error, "a");
  assertEquals(joinTickets([], () => "none").value, "none");
  assertThrows(
    () =>
      joinTickets([settledTicket(1)], () => {
        throw new TypeError("made badly");
      }).value,
    TypeError,
    "made badly",
  );
});

Deno.test("Ticket.abandon() reaches what it is made of, also what comes later", () => {
  const [a, b, late] = [new Ticket<void>(), new Ticket<void>(), new Ticket<void>()];
  const whole = mapTicket(joinTickets([a, b], () => 1), (one) => one + 1);
  whole.abandon();
  assertEquals([a.abandoned, b.abandoned], [true, true]);
  whole.dependOn(late);
  assertEquals(late.abandoned, true);
});

Deno.test("mapTicket() makes the answer, and fails as the first does or as making it does", () => {
  assertEquals(mapTicket(settledTicket(2), (two) => two * 2).value, 4);
  const bad = new Ticket<number>();
  const mapped = mapTicket(bad, (value) => value);
  bad.fail(new Error("bad"));
  assertThrows(() => mapped.value, Error, "bad");
});

Deno.test("a callback that throws keeps nobody else from the answer", () => {
  const ticket = new Ticket<number>();
  let told = 0;
  ticket.whenDone(() => {
    throw new TypeError("broken");
  });
  ticket.whenDone(() => told++);
  assertThrows(() => ticket.settle(1), TypeError, "broken");
  assertEquals(told, 1);
});
