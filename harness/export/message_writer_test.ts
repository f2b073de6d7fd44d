import { assertEquals, assertMatch } from "@std/assert";
import { type MessageFormat, messageFormat, MessageWriter } from "./message_writer.ts";

/** VFIO_USER_DEVICE_RESET with ID 7, or its reply. */
function reset(timeNs: number, flags: 0 | 1) {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 7, true);
  view.setUint16(2, 13, true);
  view.setUint32(4, 16, true);
  view.setUint32(8, flags, true);
  return { timeNs, direction: flags === 0 ? ">" as const : "<" as const, bytes };
}

function withFile(
  format: MessageFormat,
  body: (writer: MessageWriter, written: () => Uint8Array) => void,
): void {
  const path = Deno.makeTempFileSync();
  try {
    Deno.writeTextFileSync(path, "what was there before, and is longer than a line");
    const file = Deno.openSync(path, { write: true });
    using writer = new MessageWriter(file, format, 1_700_000_000_900);
    body(writer, () => Deno.readFileSync(path));
  } finally {
    Deno.removeSync(path);
  }
}

Deno.test("MessageWriter puts a connection's prefix in front of each of its lines", () => {
  withFile("text", (writer, written) => {
    const edu = writer.connection("a.sock", { prefix: "edu " });
    const only = writer.connection("b.sock", { prefix: "" });
    writer.add(edu, reset(1_000, 0));
    writer.add(only, reset(2_000, 0));
    writer.add(edu, reset(4_000, 1));
    assertEquals(written().length, 0);
    writer.flush();
    assertEquals(new TextDecoder().decode(written()).trimEnd().split("\n"), [
      "edu 0.000001 > 0007 DEVICE_RESET len 16",
      "0.000002 > 0007 DEVICE_RESET len 16",
      "edu 0.000004 < 0007 DEVICE_RESET ok 3us",
    ]);
  });
});

Deno.test("MessageWriter puts a heading where the connection changes, also after one without", () => {
  withFile("text", (writer, written) => {
    const one = writer.connection("one", { heading: "one" });
    const none = writer.connection("none", { prefix: "" });
    for (const connection of [one, one, none, one]) writer.add(connection, reset(0, 0));
    writer.flush();
    const lines = new TextDecoder().decode(written()).trimEnd().split("\n");
    assertEquals(lines.map((line) => line[0]), ["#", "0", "0", "0", "#", "0"]);
  });
});

Deno.test("MessageWriter names a capture's interfaces, and dates it", () => {
  withFile("pcapng", (writer, written) => {
    const connection = writer.connection("/run/edu.sock", { prefix: "edu " });
    writer.add(connection, reset(0, 0));
    const bytes = written();
    assertEquals(new DataView(bytes.buffer).getUint32(0, true), 0x0a0d_0d0a);
    const text = new TextDecoder("latin1").decode(bytes);
    assertMatch(text, /\/run\/edu\.sock/);
    const seconds = new Uint8Array(8);
    new DataView(seconds.buffer).setUint32(0, 1_700_000_000, true);
    assertMatch(bytes.toHex(), new RegExp(seconds.toHex()));
  });
});

Deno.test("MessageWriter writes what is left when it is closed", () => {
  const path = Deno.makeTempFileSync();
  try {
    const writer = new MessageWriter(Deno.openSync(path, { write: true }), "text", 0);
    writer.add(writer.connection("a", { prefix: "" }), reset(0, 0));
    writer.close();
    assertMatch(Deno.readTextFileSync(path), /DEVICE_RESET/);
  } finally {
    Deno.removeSync(path);
  }
});

Deno.test("messageFormat() goes by the end of the name", () => {
  assertEquals(messageFormat("a/b.pcapng"), "pcapng");
  assertEquals(messageFormat("a.pcapng/b"), "text");
});

Deno.test("MessageWriter leaves messages out while its file is full, counts them, and says so where they were", () => {
  let text = "", isFull = false;
  const told: string[] = [];
  const writer = new MessageWriter(
    {
      truncateSync() {},
      writeSync(bytes) {
        text += new TextDecoder().decode(bytes);
        return bytes.length;
      },
      close: () => told.push("closed"),
      get isFull() {
        return isFull;
      },
      incomplete: (why) => void told.push(why),
    },
    "text",
    0,
  );
  const one = writer.connection("one", { heading: "one" });
  writer.add(one, reset(1_000, 0));
  isFull = true;
  // The reply to the command before, and a command of the same ID whose reply is seen.
  writer.add(one, reset(3_000, 1));
  writer.add(one, reset(4_000, 0));
  writer.flush();
  isFull = false;
  writer.add(one, reset(9_000, 1));
  assertEquals(writer.leftOut, 2);
  isFull = true;
  writer.add(one, reset(10_000, 0));
  writer.close();
  assertEquals(text.trimEnd().split("\n"), [
    "# one",
    "0.000001 > 0007 DEVICE_RESET len 16",
    "# 2 messages left out: the reader is too slow",
    "# one",
    "0.000009 < 0007 DEVICE_RESET ok 5us",
    "# 1 message left out: the reader is too slow",
  ]);
  assertEquals(told, ["3 messages left out: the reader is too slow", "closed"]);
});
