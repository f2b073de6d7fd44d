import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { SliceCursor } from "./slice_cursor.ts";

/** `bytes` cut into views at the given lengths, the rest as the last one. */
function cut(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  const slices: Uint8Array[] = [];
  let at = 0;
  for (const length of lengths) {
    slices.push(bytes.subarray(at, at + length));
    at = Math.min(bytes.length, at + length);
  }
  slices.push(bytes.subarray(at));
  return slices;
}

Deno.test("SliceCursor.copyFrom() moves every byte however both sides are cut", () => {
  const lengths = fc.array(fc.nat(9), { maxLength: 12 });
  fc.assert(fc.property(
    fc.uint8Array({ maxLength: 60 }),
    lengths,
    lengths,
    fc.integer({ min: 1, max: 20 }),
    (bytes, sourceCuts, targetCuts, chunk) => {
      const target = new Uint8Array(bytes.length);
      const from = new SliceCursor(cut(bytes, sourceCuts));
      const into = new SliceCursor(cut(target, targetCuts));
      let done = 0;
      while (done < bytes.length) {
        const moved = into.copyFrom(from, chunk);
        done += moved;
        assertEquals(moved, Math.min(chunk, bytes.length - (done - moved)));
        assertEquals(target.subarray(done), new Uint8Array(bytes.length - done));
      }
      assertEquals(target, bytes);
      assertEquals(into.copyFrom(from, chunk), 0);
    },
  ));
});

Deno.test("SliceCursor.copyFrom() stops at the end of the shorter side", () => {
  const into = new SliceCursor([new Uint8Array(3)]);
  assertEquals(into.copyFrom(new SliceCursor([new Uint8Array(2), new Uint8Array(2)]), 9), 3);
  assertEquals(new SliceCursor([]).copyFrom(new SliceCursor([new Uint8Array(2)]), 1), 0);
});
