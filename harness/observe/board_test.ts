import { assert, assertEquals } from "@std/assert";
import { Board, DOMAINS_KEPT, EVENTS_KEPT } from "./board.ts";

function event(board: Board, iova: number): void {
  board.event(7, 1, 8, 2, -1, iova, 4096, 3, 1);
}

Deno.test("Board.read() gives each event once, with every field whole", () => {
  const board = new Board();
  board.event(2 ** 53 - 1, 6, 0xffff_ffff, -1, 0xf_ffff, 2 ** 52 - 1, 2 ** 52, -7, 3);
  const other = new Board(board.buffer);
  const first = other.read(0);
  assertEquals(first, {
    events: [[0, 2 ** 53 - 1, 6, 0xffff_ffff, -1, 0xf_ffff, 2 ** 52 - 1, 2 ** 52, -7, 3]],
    recorded: 1,
  });
  assertEquals(other.read(first.recorded), { events: [], recorded: 1 });
});

Deno.test("Board.read() gives the newest events when the ring has gone round, and counts all", () => {
  const board = new Board();
  const count = EVENTS_KEPT + 100;
  for (let at = 0; at < count; at++) event(board, at);
  const { events, recorded } = board.read(0);
  assertEquals(recorded, count);
  // The place that the writer would go over next is left out.
  assertEquals(events[0]![0], count - EVENTS_KEPT + 1);
  assertEquals(events.at(-1)![0], count - 1);
  for (const [number, , , , , , iova] of events) assertEquals(number, iova);
  assertEquals(board.read(count - 2).events.map(([number]) => number), [count - 2, count - 1]);
  assertEquals(board.read(0, 3).events.length, 3);
});

Deno.test("Board.domains() gives sizes to the other thread, and says how many it leaves out", () => {
  const board = new Board();
  for (let at = 0; at < DOMAINS_KEPT + 5; at++) board.setDomain(at, at + 1, at * 2, at * 4096);
  board.setDomains(DOMAINS_KEPT + 5);
  const other = new Board(board.buffer);
  assertEquals(other.domains().length, DOMAINS_KEPT);
  assertEquals(other.domains()[3], [4, 6, 3 * 4096]);
  assertEquals(other.domainsLeftOut, 5);
});

Deno.test("Board.nudge() is true once until the nudge has arrived", () => {
  const board = new Board();
  assertEquals([board.nudge(), board.nudge()], [true, false]);
  board.unnudge();
  assert(board.nudge());
});

Deno.test("Board.due is set by the one thread and cleared by the other", () => {
  const board = new Board();
  const other = new Board(board.buffer);
  assertEquals(board.due, false);
  other.ask();
  assertEquals(board.due, true);
  board.answered();
  assertEquals(other.due, false);
});
