import { assertEquals } from "@std/assert";
import { timeWidth } from "./time_column.ts";

Deno.test("timeWidth() grows with the digits of the longest time, and is never too small", () => {
  assertEquals(timeWidth(0), "88px");
  assertEquals(timeWidth(999.999999e9), "88px");
  assertEquals(timeWidth(10_086.004213e9), "96px");
  assertEquals(timeWidth(1_234_567.891011e9), "112px");
});
