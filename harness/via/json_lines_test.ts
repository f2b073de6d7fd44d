import { assert, assertEquals, assertThrows } from "@std/assert";
import { UnixStream } from "../../protocols/linux/mod.ts";
import { JsonLines, MAX_LINE } from "./json_lines.ts";

function pair(receiveLimit?: number): [JsonLines, JsonLines] {
  const options = receiveLimit === undefined ? {} : { receiveLimit };
  const [near, far] = UnixStream.pair(options);
  return [new JsonLines(near), new JsonLines(far)];
}

/** The next `count` lines, however many pieces they come in. */
function take(near: JsonLines, far: JsonLines, count: number): string[] {
  const lines: string[] = [];
  while (lines.length < count) {
    near.stream.flush();
    const got = far.receive();
    if (got === null) throw new Error("closed");
    lines.push(...got);
  }
  return lines;
}

Deno.test("JsonLines carries values in their order, several at a time", () => {
  const [near, far] = pair();
  using _near = near, _far = far;
  assertEquals(far.receive(), []);
  near.send({ a: 1 });
  near.send(["ü\n"]);
  assertEquals(far.receive()!.map((line) => JSON.parse(line)), [{ a: 1 }, ["ü\n"]]);
  assertEquals(far.receive(), []);
});

Deno.test("JsonLines carries a line that is longer than a socket takes at once", () => {
  const [near, far] = pair(MAX_LINE);
  using _near = near, _far = far;
  const long = "x".repeat(3_000_000);
  near.send(long);
  near.send("short");
  const [first, second] = take(near, far, 2);
  assert(first === JSON.stringify(long));
  assertEquals(second, '"short"');
});

Deno.test("JsonLines puts a line together that comes byte by byte", () => {
  const [near, far] = pair();
  using _near = near, _far = far;
  const bytes = new TextEncoder().encode('{"a":[1,2]}\n"b"\n');
  const lines: string[] = [];
  for (const byte of bytes) {
    near.stream.headBytes[0] = byte;
    near.stream.send(1);
    lines.push(...far.receive()!);
  }
  assertEquals(lines, ['{"a":[1,2]}', '"b"']);
});

Deno.test("JsonLines.receive() tells the end, and JsonLines.send() that nobody is there", () => {
  const [near, far] = pair();
  using _far = far;
  near.close();
  assertEquals(far.receive(), null);
  assertThrows(() => far.send(1), Error, "EPIPE");
});

Deno.test("JsonLines.receive() gives a peer up whose line has no end", () => {
  const [near, far] = pair(1 << 17);
  using _near = near, _far = far;
  near.send("x".repeat(1 << 18));
  let got: string[] | null = [];
  for (let turn = 0; turn < 100 && got !== null; turn++) {
    near.stream.flush();
    got = far.receive();
  }
  assertEquals(got, null);
});
