import { assertEquals } from "@std/assert";
import { KeptMessages, NamedMessages } from "./kept_messages.ts";
import { MAX_LINE } from "./json_lines.ts";
import type { TappedMessage } from "./message_tap.ts";

Deno.test("KeptMessages.take() gives messages once, with their times from the beginning", () => {
  let nowMs = 1000;
  const kept = new KeptMessages(() => nowMs);
  const one = kept.observer(() => 1), two = kept.observer(() => 2);
  nowMs += 0.5;
  const bytes = new Uint8Array([1, 2, 3]);
  one.frame(">", bytes, 2);
  bytes.fill(9);
  two.frame("<", bytes, 0);
  assertEquals(kept.take(), {
    messages: [[1, 500_000, ">", 2, "AQID"], [2, 500_000, "<", 0, "CQkJ"]],
    messagesLost: 0,
  });
  assertEquals(kept.take(), { messages: [], messagesLost: 0 });
});

for (const [length, count] of [[2 ** 20, 40], [16, 70_000]] as const) {
  Deno.test(`KeptMessages counts those of ${length} bytes that have no room, and fits into a line`, () => {
    const kept = new KeptMessages();
    const observer = kept.observer(() => 1);
    const bytes = new Uint8Array(length).fill(0xff);
    for (let at = 0; at < count; at++) observer.frame(">", bytes, 0);
    const { messages, messagesLost } = kept.take();
    assertEquals(messages.length + messagesLost, count);
    assertEquals(messagesLost > 0 && messages.length > 0, true);
    assertEquals(JSON.stringify(messages).length < MAX_LINE / 2, true);
    observer.frame("<", bytes, 0);
    assertEquals([kept.take().messages.length, kept.take().messagesLost], [1, 0]);
  });
}

Deno.test("NamedMessages.take() holds messages back until their device has a name", () => {
  const told: [string, number][] = [];
  const tap = ({ connection, timeNs }: TappedMessage) => void told.push([connection, timeNs]);
  const messages = new NamedMessages(tap);
  messages.take([[1, 10, ">", 0, "AQID"], [2, 20, ">", 0, ""], [1, 30, "<", 1, ""]]);
  assertEquals(told, []);
  messages.name(1, "edu at 01:00.0");
  messages.take([[1, 40, ">", 0, ""]]);
  const one = "edu at 01:00.0";
  assertEquals(told.splice(0), [[one, 10], [one, 30], [one, 40]]);
  messages.end((number) => `number ${number}`);
  messages.end((number) => `number ${number}`);
  assertEquals(told, [["number 2", 20]]);
});
