import { assert, assertEquals } from "@std/assert";
import { backoffMs } from "./backoff.ts";

Deno.test("backoffMs() doubles from half a second to fifteen", () => {
  assertEquals([0, 1, 2, 5, 6, 1000].map((attempt) => backoffMs(attempt, 1)), [
    500,
    1000,
    2000,
    15_000,
    15_000,
    15_000,
  ]);
});

Deno.test("backoffMs() leaves a quarter to chance", () => {
  assertEquals(backoffMs(1, 0), 750);
  assert(backoffMs(1, 0.5) > 750 && backoffMs(1, 0.5) < 1000);
});
