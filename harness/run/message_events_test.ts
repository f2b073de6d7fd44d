import { assert, assertEquals } from "@std/assert";
import { type ChildMessage, MAX_LINE } from "../child/child_protocol.ts";
import { parseChildMessage } from "../child/child_schema.ts";
import { OUR_CAPABILITIES } from "../../protocols/vfio_user/capabilities.ts";
import { SERVER_CAPABILITIES } from "../../protocols/vfio_user/server/mod.ts";
import { messageLimit } from "../../protocols/vfio_user/messages/header.ts";
import { MessageEvents } from "./message_events.ts";
import type { MessageEvent } from "./run_events.ts";

/** Bytes of the longest message that passes between the two ends of a run. */
const LONGEST = messageLimit(
  Math.max(OUR_CAPABILITIES.max_data_xfer_size, SERVER_CAPABILITIES.max_data_xfer_size),
) + 0x1000;

function events(): { readonly told: string[]; readonly events: MessageEvents } {
  const told: string[] = [];
  const made = new MessageEvents((event) => {
    const message: ChildMessage = { kind: "event", id: 0, event };
    told.push(JSON.stringify(message));
  });
  return { told, events: made };
}

function messagesIn(line: string): readonly MessageEvent[] {
  const message = parseChildMessage(line);
  assert(message?.kind === "event" && message.event.kind === "messages");
  return message.event.messages;
}

Deno.test("MessageEvents tells of the longest messages in lines that its parent takes", () => {
  const { told, events: made } = events();
  const bytes = new Uint8Array(LONGEST).fill(0xff);
  for (let timeNs = 0; timeNs < 30; timeNs++) {
    made.tap({ connection: "edu at 00:01.0", timeNs, direction: ">", bytes, descriptors: 0 });
  }
  made.flush();
  assertEquals(told.filter((line) => line.length > MAX_LINE / 2), []);
  const all = told.flatMap(messagesIn);
  assertEquals(all.map(({ timeNs }) => timeNs), Array.from({ length: 30 }, (_, at) => at));
  assertEquals(Uint8Array.fromBase64(all[29]!.bytes).length, LONGEST);
});

Deno.test("MessageEvents tells of no more than 200 messages at once, and bounds their connection's name", () => {
  const { told, events: made } = events();
  const connection = "a".repeat(100_000);
  for (let timeNs = 0; timeNs < 401; timeNs++) {
    made.tap({ connection, timeNs, direction: "<", bytes: new Uint8Array(16), descriptors: 0 });
  }
  made.flush();
  const counts = told.map((line) => messagesIn(line).length);
  assert(counts.every((count) => count <= 200), counts.join());
  assertEquals(counts.reduce((sum, count) => sum + count), 401);
  assertEquals(messagesIn(told[0]!)[0]!.connection.length < 2000, true);
});
