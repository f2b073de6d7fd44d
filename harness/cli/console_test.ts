import { assertEquals } from "@std/assert";
import { ConsoleKeys } from "./console.ts";

/** Keys in pieces: what reaches the guest, and in which piece it is left. */
function typed(...pieces: readonly string[]): [string, number | null] {
  const keys = new ConsoleKeys();
  let text = "";
  for (const [at, piece] of pieces.entries()) {
    const { bytes, leaves } = keys.take(new TextEncoder().encode(piece));
    text += new TextDecoder().decode(bytes);
    if (leaves) return [text, at];
  }
  return [text, null];
}

Deno.test("ConsoleKeys.take() gives the guest what is typed", () => {
  assertEquals(typed("ls\r", "x\x03", "X"), ["ls\rx\x03X", null]);
});

Deno.test("ConsoleKeys.take() leaves at Ctrl-A X, in one piece or two, and drops what follows", () => {
  assertEquals(typed("a\x01xb"), ["a", 0]);
  assertEquals(typed("a\x01", "X"), ["a", 1]);
});

Deno.test("ConsoleKeys.take() gives the guest one Ctrl-A for two, and drops one before another key", () => {
  assertEquals(typed("\x01\x01x"), ["\x01x", null]);
  assertEquals(typed("\x01bx"), ["bx", null]);
});
