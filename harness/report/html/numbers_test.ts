import { assertEquals } from "@std/assert";
import { byteCount, counted, integer } from "./numbers.ts";

Deno.test("integer() groups digits by three", () => {
  const numbers = [0, 999, 1000, 1_234_567, Number.MAX_SAFE_INTEGER];
  assertEquals(numbers.map((n) => integer(n).replaceAll("\u202f", "_")), [
    "0",
    "999",
    "1_000",
    "1_234_567",
    "9_007_199_254_740_991",
  ]);
});

Deno.test("byteCount() tells in the unit that reads best", () => {
  const counts = [0, 1023, 1024, 65_536, 1_048_575, 1_048_576, 3 * 2 ** 30, 2 ** 53];
  assertEquals(counts.map(byteCount), [
    "0 B",
    "1023 B",
    "1.0 KiB",
    "64.0 KiB",
    "1.0 MiB",
    "1.0 MiB",
    "3.0 GiB",
    "8.0 PiB",
  ]);
});

Deno.test("counted() says one without an s", () => {
  assertEquals([0, 1, 2].map((n) => counted(n, "run")), ["0 runs", "1 run", "2 runs"]);
});
