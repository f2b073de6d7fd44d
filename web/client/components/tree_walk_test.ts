import { assertEquals } from "@std/assert";
import { itemsInSight, pathOf, standingOn, stepOf } from "./tree_walk.ts";

const STATE = {
  status: 128,
  factorial: 1,
  dma: { source: "0x1000", chain: [7, 8] },
  empty: {},
};
const OPEN = itemsInSight(STATE, new Set());
const CLOSED = itemsInSight(STATE, new Set(["/dma"]));

Deno.test("itemsInSight() lists items as they stand, without what closed ones hold", () => {
  assertEquals(
    OPEN.map(({ path }) => path),
    [
      "/status",
      "/factorial",
      "/dma",
      "/dma/source",
      "/dma/chain",
      "/dma/chain/0",
      "/dma/chain/1",
      "/empty",
    ],
  );
  assertEquals(CLOSED.map(({ path }) => path), ["/status", "/factorial", "/dma", "/empty"]);
  assertEquals(CLOSED[2], { path: "/dma", isBranch: true, isOpen: false });
  assertEquals(CLOSED[3], { path: "/empty", isBranch: false, isOpen: false });
  assertEquals(itemsInSight(null, new Set()), []);
});

Deno.test("pathOf() tells names with slashes and tildes apart", () => {
  assertEquals(pathOf("/a", "b/c"), "/a/b~1c");
  assertEquals(pathOf("/a", "b~1c"), "/a/b~01c");
});

Deno.test("stepOf() does what the keys of a tree view do", () => {
  const cases: readonly [readonly typeof OPEN[number][], string, string, string | null][] = [
    [OPEN, "/status", "ArrowDown", "stand /factorial"],
    [OPEN, "/factorial", "ArrowDown", "stand /dma"],
    [OPEN, "/dma", "ArrowLeft", "toggle /dma"],
    [CLOSED, "/dma", "ArrowLeft", "stand null"],
    [CLOSED, "/dma", "ArrowRight", "toggle /dma"],
    [OPEN, "/dma", "ArrowRight", "stand /dma/source"],
    [OPEN, "/dma/source", "ArrowRight", "stand null"],
    [OPEN, "/dma/chain/1", "ArrowLeft", "stand /dma/chain"],
    [OPEN, "/dma/chain/1", "ArrowDown", "stand /empty"],
    [CLOSED, "/dma", "ArrowDown", "stand /empty"],
    [OPEN, "/status", "ArrowUp", "stand null"],
    [OPEN, "/empty", "ArrowDown", "stand null"],
    [OPEN, "/dma", "Home", "stand /status"],
    [OPEN, "/dma", "End", "stand /empty"],
    [OPEN, "/dma", "Enter", "toggle /dma"],
    [OPEN, "/status", "Enter", null],
    [OPEN, "/status", "1", null],
    [OPEN, "/gone", "ArrowDown", null],
    [[], "", "ArrowDown", null],
  ];
  for (const [items, path, key, wanted] of cases) {
    const step = stepOf(items, path, key);
    assertEquals(step === null ? null : `${step.kind} ${step.path}`, wanted, `${key} on ${path}`);
  }
});

Deno.test("standingOn() goes to what is around an item that is gone", () => {
  assertEquals(standingOn(OPEN, "/dma/chain/1"), "/dma/chain/1");
  assertEquals(standingOn(OPEN, "/dma/chain/2"), "/dma/chain");
  assertEquals(standingOn(CLOSED, "/dma/chain/1"), "/dma");
  assertEquals(standingOn(OPEN, "/gone/away"), "/status");
  assertEquals(standingOn(OPEN, ""), "/status");
  assertEquals(standingOn([], "/dma"), "");
});
