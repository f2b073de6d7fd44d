import { assertEquals } from "@std/assert";
import { UnseenFaults } from "./unseen_faults.ts";

Deno.test("UnseenFaults.of() gives reasons time to come, and never falls", () => {
  let nowMs = 0;
  const unseen = new UnseenFaults(() => nowMs);
  assertEquals(unseen.of("a", 3, 1, "live"), 0);
  nowMs += 999;
  assertEquals(unseen.of("a", 5, 1, "live"), 0);
  nowMs += 1;
  assertEquals(unseen.of("a", 5, 2, "live"), 1);
  assertEquals(unseen.of("a", 9, 2, "live"), 1);
  nowMs += 1000;
  assertEquals(unseen.of("a", 9, 3, "live"), 2);
  nowMs += 1000;
  assertEquals(unseen.of("a", 9, 9, "live"), 2);
  assertEquals(unseen.of("b", 9, 4, "live"), 0);
});

Deno.test("UnseenFaults.of() does not wait once no reason comes any more", () => {
  assertEquals(new UnseenFaults().of("a", 3, 1, "over"), 2);
});
