import { assertEquals, assertThrows } from "@std/assert";
import { RamPin } from "./ram_pin.ts";

function pin(access: "read" | "write") {
  const marked: [number, number][] = [];
  const mark = (offset: number, length: number) => void marked.push([offset, length]);
  return { marked, pin: new RamPin([new Uint8Array(8)], 8, access === "write" ? mark : null) };
}

Deno.test("RamPin.wrote() marks what was written, and release() all that may have been", () => {
  const { marked, pin: written } = pin("write");
  assertEquals([written.wrote(2, 3), written.wrote(8, 0), written.wrote(0, 8)], [0, 0, 0]);
  assertEquals(marked.splice(0), [[2, 3], [0, 8]]);
  written.release();
  written.release();
  assertEquals(marked, [[0, 8]]);
});

Deno.test("RamPin.wrote() refuses what the holder cannot have written", () => {
  const { marked, pin: written } = pin("write");
  for (const [offset, length] of [[0, 9], [8, 1], [-1, 1], [0, -1], [NaN, 1], [0, NaN]] as const) {
    assertThrows(() => written.wrote(offset, length), RangeError, "it has 8 bytes");
  }
  assertEquals(marked, []);
  written.release();
  assertThrows(() => written.wrote(0, 1), RangeError, "was released");
  assertThrows(() => pin("read").pin.wrote(0, 1), RangeError, "taken without WRITE");
});
