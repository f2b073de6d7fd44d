import { assertEquals } from "@std/assert";
import { EndRequests } from "./end_signals.ts";

Deno.test("EndRequests.take() tells the first signal, its echoes, and who asks again", () => {
  const requests = new EndRequests();
  const taken = [1000, 1000, 1002.5, 1499, 1500, 1501, 9000].map((nowMs) => requests.take(nowMs));
  assertEquals(taken, ["first", "echo", "echo", "echo", "again", "again", "again"]);
});
