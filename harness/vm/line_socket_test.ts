import { assertEquals, assertStringIncludes } from "@std/assert";
import { withPair } from "./_test_pair.ts";
import { LineSocket } from "./line_socket.ts";

/** Feeds `pieces`, one write each, then ends the stream; gives what was heard. */
async function heard(
  pieces: readonly Uint8Array[],
  limit: number,
): Promise<{ lines: string[]; reasons: string[] }> {
  const lines: string[] = [];
  const reasons: string[] = [];
  await withPair(async ({ ours, theirs }) => {
    const socket = new LineSocket(ours, limit, {
      line: (text) => lines.push(text),
      end: (reason) => reasons.push(reason),
    });
    for (const piece of pieces) await theirs.write(piece).catch(() => {});
    theirs.close();
    await socket.ended;
  });
  return { lines, reasons };
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

Deno.test("LineSocket joins a line that comes in pieces, within a character too", async () => {
  const euro = bytes("€");
  const { lines, reasons } = await heard(
    [bytes("a"), euro.subarray(0, 1), euro.subarray(1), bytes("b\nc\n\nd")],
    100,
  );
  // What no line break ended was no line.
  assertEquals(lines, ["a€b", "c", ""]);
  assertEquals(reasons.length, 1);
});

Deno.test("LineSocket ends the stream when a line is longer than the limit", async () => {
  const { lines, reasons } = await heard(
    [bytes("ok\n"), bytes("x".repeat(101)), bytes("y\n")],
    100,
  );
  assertEquals(lines, ["ok"]);
  assertStringIncludes(reasons[0]!, "longer than 100 characters");
});

Deno.test("LineSocket.send() writes whole lines in order", async () => {
  await withPair(async ({ ours, theirs }) => {
    const socket = new LineSocket(ours, 100, { line() {}, end() {} });
    const long = "x".repeat(300_000);
    socket.send(long);
    socket.send("end");
    let text = "";
    const chunk = new Uint8Array(65536);
    while (!text.endsWith("end\n")) {
      const length = await theirs.read(chunk);
      text += new TextDecoder().decode(chunk.subarray(0, length!));
    }
    assertEquals(text, `${long}\nend\n`);
    socket.close();
    await socket.ended;
  });
});

Deno.test("LineSocket.send() to a peer that is gone throws nothing", async () => {
  await withPair(async ({ ours, theirs }) => {
    const reasons: string[] = [];
    const socket = new LineSocket(ours, 100, { line() {}, end: (reason) => reasons.push(reason) });
    theirs.close();
    await socket.ended;
    socket.send("x");
    assertEquals(reasons.length, 1);
  });
});

Deno.test("LineSocket ends when whoever has opened its connection closes that", async () => {
  await withPair(async ({ ours }) => {
    const reasons: string[] = [];
    const socket = new LineSocket(ours, 100, { line() {}, end: (reason) => reasons.push(reason) });
    ours.close();
    await socket.ended;
    socket.close();
    assertEquals(reasons.length, 1);
  });
});
