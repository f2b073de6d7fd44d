import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import { PAGE_SIZE } from "../address.ts";
import { PageViews } from "./page_views.ts";

const PAGES = 4096;

Deno.test("PageViews.get() shows the page it was asked for, and the same view again", () => {
  const bytes = new Uint8Array(PAGES * PAGE_SIZE);
  const views = new PageViews(bytes);
  for (const page of [0, 1, 7, 511]) {
    const view = views.get(page)!;
    assertEquals([view.byteOffset, view.length], [page * PAGE_SIZE, PAGE_SIZE]);
    assertStrictEquals(views.get(page), view);
  }
});

Deno.test("PageViews.get() never shows another page, whatever pages rival for a place", () => {
  const views = new PageViews(new Uint8Array(PAGES * PAGE_SIZE));
  let shown = 0;
  for (let i = 0; i < 200_000; i++) {
    const page = i * 40_503 % PAGES;
    const view = views.get(page);
    if (view === null) continue;
    shown++;
    assert(view.byteOffset === page * PAGE_SIZE);
  }
  assert(shown > 0 && shown < 200_000);
});

Deno.test("PageViews.get() makes few views for pages that find no place", () => {
  const views = new PageViews(new Uint8Array(PAGES * PAGE_SIZE));
  const made = new Set<Uint8Array>();
  for (let i = 0; i < 500_000; i++) {
    // Long enough at each to look in use.
    const view = views.get((i >> 3) * 40_503 % PAGES);
    if (view !== null) made.add(view);
  }
  assert(made.size <= 512 + 500_000 / 8192 + 1, `${made.size} views`);
});

Deno.test("PageViews.get() gives a place to the pages that are in use now", () => {
  const views = new PageViews(new Uint8Array(PAGES * PAGE_SIZE));
  views.get(3);
  let calls = 0;
  while (views.get(3 + 512) === null) calls++;
  assert(calls >= 3 && calls < 10_000, `${calls} calls`);
  assertEquals(views.get(3 + 512)!.byteOffset, 515 * PAGE_SIZE);
  assertEquals(views.get(3), null);
});
