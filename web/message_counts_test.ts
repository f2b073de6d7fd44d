import { assertEquals } from "@std/assert";
import type { MessageRow } from "./api.ts";
import { MessageCounts, REQUEST_BOUNDS } from "./message_counts.ts";

function row(number: number, part: Partial<MessageRow> = {}): MessageRow {
  return {
    number,
    timeMs: number,
    direction: ">",
    type: "command",
    id: number,
    connection: "edu",
    command: "DMA_MAP",
    length: 48,
    tookMs: null,
    errno: null,
    descriptors: 0,
    fields: [],
    bytes: "",
    ...part,
  };
}

const reply = (number: number, tookMs: number, errno = 0): MessageRow =>
  row(number, { direction: "<", type: "reply", tookMs, errno });

function totals(counts: MessageCounts): Record<string, number> {
  return Object.fromEntries(
    [...counts.messages].map(({ kind: { command, direction, errno }, count }) => [
      `${command} ${direction} ${errno}`,
      count,
    ]),
  );
}

Deno.test("MessageCounts.look() counts each message once, however often it looks", () => {
  const counts = new MessageCounts();
  const messages = [row(0), reply(1, 0.04), row(2)];
  counts.look({ messages, messagesDropped: 0 });
  counts.look({ messages, messagesDropped: 0 });
  messages.push(reply(3, 0.08, 22), row(4));
  counts.look({ messages, messagesDropped: 0 });
  assertEquals(totals(counts), {
    "DMA_MAP to-server ": 3,
    "DMA_MAP to-client 0": 1,
    "DMA_MAP to-client 22": 1,
  });
});

Deno.test("MessageCounts.look() counts none twice when more go between its two looks at a source", () => {
  const counts = new MessageCounts();
  const messages = [row(0), row(1)];
  counts.look({ messages, messagesDropped: 0 });
  // What is given is as long as it was, what has gone is of a moment later.
  messages.push(row(2), row(3));
  counts.look({ messages, messagesDropped: 2 });
  assertEquals(totals(counts), { "DMA_MAP to-server ": 4 });
  counts.look({ messages: [row(2), row(3), row(4)], messagesDropped: 4 });
  assertEquals(totals(counts), { "DMA_MAP to-server ": 5 });
});

Deno.test("MessageCounts.look() never falls when old messages go, and says how many it did not see", () => {
  const counts = new MessageCounts();
  counts.look({ messages: [row(0), row(1)], messagesDropped: 0 });
  counts.look({ messages: [row(1), row(2)], messagesDropped: 1 });
  assertEquals(totals(counts), { "DMA_MAP to-server ": 3 });
  counts.look({ messages: [row(10)], messagesDropped: 10 });
  assertEquals(totals(counts), { "DMA_MAP to-server ": 4, "unseen  ": 7 });
  counts.look({ messages: [], messagesDropped: 15 });
  counts.look({ messages: [], messagesDropped: 15 });
  assertEquals(totals(counts), { "DMA_MAP to-server ": 4, "unseen  ": 11 });
});

Deno.test("MessageCounts.look() times requests by command, in the bucket that holds them", () => {
  const counts = new MessageCounts();
  counts.look({
    messages: [reply(0, 0), reply(1, 0.002), reply(2, 0.0021), reply(3, 60_000)],
    messagesDropped: 0,
  });
  const [times] = counts.requests;
  assertEquals(times!.command, "DMA_MAP");
  assertEquals(times!.count, 4);
  assertEquals(times!.sumSeconds.toFixed(7), "60.0000041");
  const filled = REQUEST_BOUNDS.map((bound, at) => [bound, times!.counts[at]]).filter(([, n]) => n);
  assertEquals(filled, [[1.024e-6, 1], [2.048e-6, 1], [4.096e-6, 1]]);
});

Deno.test("MessageCounts.look() makes few labels, whatever a peer sends", () => {
  const counts = new MessageCounts();
  const messages = Array.from({ length: 1000 }, (_, number) =>
    row(number, {
      direction: "<",
      command: `COMMAND_${number}`,
      errno: 1000 + number,
    }));
  counts.look({ messages, messagesDropped: 0 });
  assertEquals(totals(counts), { "unknown to-client unknown": 1000 });
});
