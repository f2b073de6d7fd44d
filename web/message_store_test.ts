import { assertEquals, assertLessOrEqual } from "@std/assert";
import type { MessageEvent } from "../harness/run/run_events.ts";
import { MessageStore } from "./message_store.ts";

function message(id: number, length = 16): MessageEvent {
  const bytes = new Uint8Array(length);
  new DataView(bytes.buffer).setUint16(0, id & 0xffff, true);
  return { connection: "a", timeNs: id, direction: ">", descriptors: 0, bytes: bytes.toBase64() };
}

Deno.test("MessageStore numbers messages from the first, also those that it no longer has", () => {
  for (const look of ["now and then", "at the end"]) {
    const store = new MessageStore();
    for (let at = 0; at < 100_000; at++) {
      store.add([message(at)]);
      if (look === "now and then" && at % 9999 === 0) void store.rows;
    }
    const { rows, dropped } = store;
    assertLessOrEqual(rows.length, 60_000);
    assertEquals(rows.length + dropped, 100_000);
    assertEquals(rows[0]!.number, dropped);
    for (const { number, id } of rows) assertEquals(id, number & 0xffff);
    assertEquals(rows.at(-1)!.number, 99_999);
  }
});

Deno.test("MessageStore keeps less of long messages, and shows the beginning of each", () => {
  const store = new MessageStore();
  for (let at = 0; at < 300; at++) store.add([message(at, 2 ** 20)]);
  const { rows, dropped } = store;
  assertEquals(rows.length + dropped, 300);
  assertLessOrEqual(rows.length, 100);
  assertEquals([rows[0]!.length, rows[0]!.bytes.length], [2 ** 20, 8192]);
});
