import { assertEquals, assertMatch } from "@std/assert";
import { MessageFile } from "./message_file.ts";

/** VFIO_USER_DEVICE_RESET with ID 7, or its reply. */
function reset(flags: number): string {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 7, true);
  view.setUint16(2, 13, true);
  view.setUint32(4, 16, true);
  view.setUint32(8, flags, true);
  return bytes.toBase64();
}

const event = (connection: string, timeNs: number, flags: number) => ({
  connection,
  timeNs,
  direction: flags === 0 ? ">" as const : "<" as const,
  descriptors: 0,
  bytes: reset(flags),
});

function written(body: (file: MessageFile) => void): string {
  const path = Deno.makeTempFileSync();
  try {
    const file = new MessageFile(Deno.openSync(path, { write: true }), "text");
    body(file);
    file.close();
    return Deno.readTextFileSync(path);
  } finally {
    Deno.removeSync(path);
  }
}

Deno.test("MessageFile says which run and connection lines belong to, when that changes", () => {
  const startedMs = performance.now();
  const one = { label: "one", startedMs }, two = { label: "two", startedMs };
  const text = written((file) => {
    file.add(one, [event("a", 1_000, 0), event("a", 3_000, 1), event("b", 4_000, 0)]);
    file.add(two, [event("b", 5_000, 0)]);
    file.add(one, [event("b", 9_000, 1)]);
  });
  const lines = text.trimEnd().split("\n").map((line) => line.replace(/^\d+\.\d{6} /, ""));
  assertEquals(lines, [
    "# one: a",
    "> 0007 DEVICE_RESET len 16",
    "< 0007 DEVICE_RESET ok 2us",
    "# one: b",
    "> 0007 DEVICE_RESET len 16",
    "# two: b",
    "> 0007 DEVICE_RESET len 16",
    "# one: b",
    "< 0007 DEVICE_RESET ok 5us",
  ]);
});

Deno.test("MessageFile counts time from its own start, whenever a run began", () => {
  const text = written((file) => {
    file.add({ label: "late", startedMs: performance.now() + 5000 }, [event("a", 0, 0)]);
  });
  assertMatch(text, /^# late: a\n[45]\.\d{6} > 0007/);
});

Deno.test("MessageFile replies to a command of an ended run are not told from it", () => {
  const run = { label: "one", startedMs: performance.now() };
  const text = written((file) => {
    file.add(run, [event("a", 0, 0)]);
    file.end(run);
    file.add(run, [event("a", 1_000, 1)]);
  });
  assertMatch(text, /< 0007 DEVICE_RESET ok\n$/);
});
