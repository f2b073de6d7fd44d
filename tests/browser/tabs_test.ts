/// <reference lib="dom" />
/**
 * Many tabs of one browser, which opens six connections to a server and no more.
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { totals, untilState, visit } from "./app_page.ts";
import { Chromium, hasChromium } from "./chromium.ts";
import { Served } from "./served.ts";

const browser = { ignore: !await hasChromium(), sanitizeOps: false, sanitizeResources: false };
const TABS = 8;

Deno.test({
  ...browser,
  name: "all tabs of a browser share one stream, and another takes over from the one that goes",
  fn: async () => {
    await using served = await Served.start();
    await using chromium = await Chromium.start();
    const context = await chromium.browser.newContext();
    const pages = [];
    for (let tab = 0; tab < TABS; tab++) {
      const page = await context.newPage();
      await page.goto(served.link);
      await untilState(page, "idle");
      pages.push(page);
    }
    assertEquals(served.streams, 1);

    // The first has the stream.
    await pages.shift()!.close();
    const { id } = await served.run({ scenario: "edu-unmapped", mode: "remap", via: "direct" });
    const { metrics } = await served.ended(id);
    for (const page of pages) {
      await untilState(page, "ended");
      assertEquals((await totals(page))["Translations"], metrics!.translations);
      const told = await page.locator("[aria-live=polite]").last().textContent();
      assert(!/connected/i.test(told!), `${told}`);
    }
    assertEquals(served.streams, 1);
    // What is asked for beside the stream gets through.
    await visit(pages[0]!, "Runs");
    await pages[0]!.getByRole("heading", { name: "Run 1: edu-unmapped" }).waitFor();
  },
});

Deno.test({
  ...browser,
  name: "all tabs say that the server is gone, and find its successor on one stream",
  fn: async () => {
    await using chromium = await Chromium.start();
    const context = await chromium.browser.newContext();
    const pages = [];
    let port: number;
    {
      await using served = await Served.start();
      port = Number(new URL(served.link).port);
      for (let tab = 0; tab < 3; tab++) {
        const page = await context.newPage();
        await page.goto(served.link);
        await untilState(page, "idle");
        pages.push(page);
      }
    }
    for (const page of pages) await untilState(page, "disconnected");
    await using successor = await Served.start(port);
    for (const page of pages) await untilState(page, "idle");
    assertEquals(successor.streams, 1);
  },
});
