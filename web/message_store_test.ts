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

Deno.test("MessageStore.miss() counts messages that nobody has, and keeps none from before", () => {
  const store = new MessageStore();
  store.add([message(1), message(2)]);
  assertEquals(store.rows.map(({ number }) => number), [0, 1]);
  store.add([message(3)]);
  store.miss(10);
  assertEquals([store.rows, store.dropped], [[], 13]);
  store.add([message(4)]);
  assertEquals(store.rows.map(({ number, id }) => [number, id]), [[13, 4]]);
  assertEquals(store.dropped, 13);
});

Deno.test("MessageStore gives no reply after a gap the time since a command before it", () => {
  const store = new MessageStore();
  const reply = (timeNs: number): MessageEvent => {
    const bytes = new Uint8Array(16);
    new DataView(bytes.buffer).setUint32(8, 1, true);
    return { ...message(0), timeNs, direction: "<", bytes: bytes.toBase64() };
  };
  store.add([message(0), reply(5000)]);
  assertEquals(store.rows.map(({ tookMs }) => tookMs), [null, 0.005]);
  store.add([message(0)]);
  store.miss(1);
  store.add([reply(9000)]);
  assertEquals(store.rows.map(({ tookMs }) => tookMs), [null]);
});

Deno.test("MessageStore shows a message of which the beginning is kept alone in its whole length", () => {
  const store = new MessageStore();
  // REGION_WRITE of 1 MiB: header, offset, region, count, data.
  const count = 2 ** 20, length = 32 + count;
  const bytes = new Uint8Array(4096).fill(0xab);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, 10 << 16, true);
  view.setUint32(4, length, true);
  view.setUint32(8, 0, true);
  view.setUint32(12, 0, true);
  view.setBigUint64(16, 0x40n, true);
  view.setUint32(24, 0, true);
  view.setUint32(28, count, true);
  for (let at = 0; at < 2; at++) {
    store.add([{ ...message(0), bytes: bytes.toBase64(), length }, message(1)]);
  }
  for (const at of [0, 2]) {
    const row = store.rows[at]!;
    assertEquals([row.command, row.length, row.bytes.length], ["REGION_WRITE", length, 8192]);
    const names = row.fields.map(({ name }) => name);
    assertEquals(names, ["len", "region", "offset", "count", "data"]);
    assertEquals(store.rows[at + 1]!.length, 16);
  }
});
