import { assertEquals } from "@std/assert";
import { millisecondsWidth, numberWidth, timeWidth } from "./time_column.ts";

Deno.test("timeWidth() grows with the digits of the longest time, and is never too small", () => {
  assertEquals(timeWidth(0), "88px");
  assertEquals(timeWidth(999.999999e9), "88px");
  assertEquals(timeWidth(10_086.004213e9), "96px");
  assertEquals(timeWidth(1_234_567.891011e9), "112px");
});

Deno.test("millisecondsWidth() and numberWidth() grow with the digits of the greatest", () => {
  assertEquals([0, 9_999_999.999, 86_400_000].map(millisecondsWidth), ["88px", "88px", "96px"]);
  assertEquals([0, 999_999, 1_234_567].map(numberWidth), ["64px", "64px", "72px"]);
});
