import { assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { ChildLines } from "./child_lines.ts";

function split(chunks: readonly Uint8Array[]): { messages: string[]; text: string } {
  const messages: string[] = [];
  let text = "";
  const lines = new ChildLines("N0NCE", (line) => messages.push(line), (part) => text += part);
  for (const chunk of chunks) lines.push(chunk);
  lines.end();
  return { messages, text };
}

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("ChildLines tells messages from what a scenario prints", () => {
  assertEquals(split([bytes('\nN0NCE {"a":1}\nhello\n\nN0NCE {"b":2}\n')]), {
    messages: ['{"a":1}', '{"b":2}'],
    text: "hello\n",
  });
});

Deno.test("ChildLines keeps a message after text without a line break", () => {
  assertEquals(split([bytes('rubbish\nN0NCE {"a":1}\n')]), {
    messages: ['{"a":1}'],
    text: "rubbish\n",
  });
});

Deno.test("ChildLines keeps empty lines that a scenario prints", () => {
  assertEquals(split([bytes("\n\n\na\n\nb\n")]).text, "\n\n\na\n\nb\n");
});

Deno.test("ChildLines takes a nonce inside a line, and a last line without a break, as text", () => {
  assertEquals(split([bytes("say N0NCE {}\nN0NCE half")]), {
    messages: [],
    text: "say N0NCE {}\nN0NCE half",
  });
});

Deno.test("ChildLines gives the same however the bytes are cut", () => {
  const whole = bytes('über\n\nN0NCE {"ä":"€"}\n\n\nx\nN0NCE {"b":2}\ny');
  const expected = split([whole]);
  assertEquals(expected.messages.length, 2);
  fc.assert(fc.property(fc.array(fc.nat(whole.length)), (cuts) => {
    const ends = [...cuts, whole.length].sort((a, b) => a - b);
    let at = 0;
    const chunks = ends.map((end) => whole.subarray(at, at = end));
    assertEquals(split(chunks), expected);
  }));
});

Deno.test("ChildLines gives a message without end as one that cannot be read, and goes on", () => {
  const flood = bytes("a".repeat(2 ** 20));
  const messages: number[] = [];
  let text = "";
  const lines = new ChildLines(
    "N0NCE",
    ({ length }) => messages.push(length),
    (part) => text += part,
  );
  lines.push(bytes("\nN0NCE "));
  for (let round = 0; round < 17; round++) lines.push(flood);
  lines.push(bytes("\nN0NCE {}\nhello"));
  lines.end();
  assertEquals(messages.length, 2);
  assertEquals(messages[0]! > 15 * 2 ** 20, true);
  assertEquals(text.endsWith("hello"), true);
});

Deno.test("ChildLines takes a line without end as text, in bounded memory", () => {
  const flood = new Uint8Array(2 ** 20).fill(0x61);
  let printed = 0;
  const lines = new ChildLines("N0NCE", () => {}, (part) => printed += part.length);
  for (let round = 0; round < 20; round++) lines.push(flood);
  assertEquals(printed >= 16 * 2 ** 20, true);
});
