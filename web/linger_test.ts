import { assertEquals } from "@std/assert";
import { lingered } from "./linger.ts";

const never = new Promise<void>(() => {});

/** Pages as they are at each look: how many are open, and how many ever were. */
async function looks(
  pages: readonly (readonly [streams: number, opened: number])[],
  interruptedAt = Infinity,
): Promise<number> {
  const onlookers = { streams: 0, opened: 0 };
  const interrupted = Promise.withResolvers<void>();
  let look = 0;
  await lingered(onlookers, interrupted.promise, () => {
    [onlookers.streams, onlookers.opened] = pages[Math.min(look, pages.length - 1)]!;
    if (look++ === interruptedAt) {
      interrupted.resolve();
      return never;
    }
    if (look > 1000) throw new Error("It stays forever");
    return Promise.resolve();
  });
  return look;
}

Deno.test("lingered() waits for a page that nobody has opened yet, until it is interrupted", async () => {
  assertEquals(await looks([[0, 0]], 500), 501);
});

Deno.test("lingered() ends soon after the last page has been closed", async () => {
  assertEquals(await looks([[0, 0], [1, 1], [2, 2], [1, 2], [0, 2]]), 4 + 8);
});

Deno.test("lingered() ends soon when a page was there while the runs went on, and has been closed", async () => {
  assertEquals(await looks([[0, 1]]), 8);
});

Deno.test("lingered() takes a page that is loaded again for one that stays", async () => {
  assertEquals(await looks([[1, 1], [0, 1], [0, 1], [1, 2], [0, 2]]), 4 + 8);
});

Deno.test("lingered() ends at once when it was interrupted before", async () => {
  await lingered({ streams: 1, opened: 1 }, Promise.resolve(), () => never);
});
