/// <reference lib="dom" />
/**
 * Lists and tables that do not fit a telephone say so, and are scrolled by mouse, finger and keyboard.
 * @module
 */

import { assert, assertEquals, assertGreater } from "@std/assert";
import type { Locator, Page } from "playwright-core";
import { untilState } from "./app_page.ts";
import { Chromium, hasChromium } from "./chromium.ts";
import { FakeDashboard } from "./fake_dashboard.ts";
import { keepPicture } from "./screenshots.ts";

const browser = { ignore: !await hasChromium(), sanitizeOps: false, sanitizeResources: false };

/** Which sides of a box say that there is more, as one sees it. */
async function hints(box: Locator): Promise<string[]> {
  return await box.evaluate(async (element) => {
    // Scrolling is told with the next picture.
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    const side = (pseudo: string) =>
      parseFloat(getComputedStyle(element.parentElement!, pseudo).width) > 20;
    return [...side("::before") ? ["left"] : [], ...side("::after") ? ["right"] : []];
  });
}

/** Whether the end of the first row, in its last column, is in sight. */
async function endShows(box: Locator): Promise<boolean> {
  return await box.evaluate((element) => {
    const row = element.querySelector("[role=gridcell], tbody td")!.parentElement!;
    const cell = row.lastElementChild!.getBoundingClientRect();
    const frame = element.getBoundingClientRect();
    return cell.right <= frame.right + 1;
  });
}

const LISTS: readonly (readonly [path: string, find: (page: Page) => Locator])[] = [
  ["faults", (page) => page.getByRole("grid", { name: "Faults" })],
  ["faults", (page) => page.getByRole("region", { name: "Faults by reason and endpoint, table" })],
  ["domains/1", (page) => page.getByRole("grid", { name: "Mappings" })],
  ["domains/1", (page) => page.getByRole("grid", { name: "Events" })],
  ["messages", (page) => page.getByRole("grid", { name: "Messages" })],
  ["overview", (page) => page.getByRole("region", { name: "Endpoints, table" })],
  ["overview", (page) => page.getByRole("grid", { name: "Events" })],
  ["runs", (page) => page.getByRole("region", { name: "Runs, table" })],
];

for (const theme of ["dark", "light"] as const) {
  Deno.test({
    ...browser,
    name: `lists show at 390 pixels that there is more at the side, and keys get there, ${theme}`,
    fn: async (t) => {
      await using fake = await FakeDashboard.start({
        faults: 60,
        messages: 60,
        faultsPerSnapshot: 1,
      });
      await using chromium = await Chromium.start();
      for (const [path, find] of LISTS) {
        const page = await chromium.open(`${fake.url}#/${path}`, { theme, width: 390 });
        await untilState(page, "live");
        const box = find(page);
        await box.waitFor();
        await box.scrollIntoViewIfNeeded();
        await t.step(`${path}: ${await box.getAttribute("aria-label")}`, async () => {
          assertEquals([await hints(box), await endShows(box)], [["right"], false]);
          await keepPicture(page, `narrow-${path.replaceAll("/", "-")}-390-${theme}`);
          await box.focus();
          await page.keyboard.press("ArrowRight");
          await page.waitForFunction(
            (element) => element!.scrollLeft > 0,
            await box.elementHandle(),
          );
          const width = await box.evaluate((element) => element.scrollWidth - element.clientWidth);
          assertGreater(width, 20);
          for (let i = 0; i < 40; i++) await page.keyboard.press("ArrowRight");
          await page.waitForFunction(
            (element) => element!.scrollLeft >= element!.scrollWidth - element!.clientWidth - 1,
            await box.elementHandle(),
          );
          assertEquals([await hints(box), await endShows(box)], [["left"], true]);
        });
        await page.close();
      }
      assertEquals(chromium.complaints, []);
    },
  });
}

Deno.test({
  ...browser,
  name: "the pages' names show at 390 pixels that there are more, and nothing does where all fits",
  fn: async () => {
    await using fake = await FakeDashboard.start({ faults: 60, messages: 60 });
    await using chromium = await Chromium.start();
    const narrow = await chromium.open(`${fake.url}#/faults`, { width: 390 });
    await untilState(narrow, "live");
    const tabs = narrow.getByRole("navigation", { name: "Pages" });
    assertGreater((await hints(tabs)).length, 0);
    const wide = await chromium.open(`${fake.url}#/faults`);
    await untilState(wide, "live");
    await wide.getByRole("grid", { name: "Faults" }).waitFor();
    assert(
      await wide.evaluate(() =>
        document.querySelectorAll("[data-more-left], [data-more-right]").length === 0
      ),
    );
    assertEquals(chromium.complaints, []);
  },
});
