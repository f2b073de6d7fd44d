/// <reference lib="dom" />
/**
 * axe-core finds nothing on any page, in both themes and at both widths, with and
 * without something to show; and nothing sticks out at the side.
 * @module
 */

import { assertEquals } from "@std/assert";
import type { Page } from "playwright-core";
import { violations } from "./accessibility.ts";
import { PAGE_NAMES, untilSnapshot, untilState, visit, visitWhole } from "./app_page.ts";
import { Chromium, hasChromium } from "./chromium.ts";
import { FakeDashboard } from "./fake_dashboard.ts";
import { keepPicture } from "./screenshots.ts";
import { Served } from "./served.ts";

const browser = { ignore: !await hasChromium(), sanitizeOps: false, sanitizeResources: false };

for (const theme of ["dark", "light"] as const) {
  for (const width of [1440, 390]) {
    Deno.test({
      ...browser,
      name: `axe-core finds nothing on any page, ${theme}, ${width} pixels wide`,
      fn: async () => {
        await using fake = await FakeDashboard.start({
          endpoints: 12,
          faults: 60,
          messages: 120,
          faultsPerSnapshot: 1,
        });
        await using chromium = await Chromium.start();
        const page = await chromium.open(fake.url, { theme, width, reducedMotion: "reduce" });
        await untilState(page, "live");
        // Some snapshots, so that there is something to see; then nothing moves while it is looked at.
        for (let i = 0; i < 20; i++) fake.tick(250);
        fake.stand();
        await untilSnapshot(page, fake.sequence);
        for (const name of PAGE_NAMES) {
          await visitWhole(page, name);
          if (name === "Overview") {
            await page.getByRole("button", { name: /as a table/ }).first().click();
            await page.getByRole("region", { name: /, table$/ }).first().waitFor();
          }
          if (name === "Domains") {
            await page.getByRole("grid", { name: "Mappings" }).getByRole("row").nth(2).click();
            await page.locator(".walk li").first().waitFor();
          }
          if (name === "Faults" || name === "Messages") {
            await page.getByRole("grid").getByRole("row").nth(3).click();
            await page.getByRole("row", { selected: true }).waitFor();
          }
          assertEquals(await violations(page), [], name);
          const out = await page.evaluate(() =>
            document.documentElement.scrollWidth - document.documentElement.clientWidth
          );
          assertEquals(out, 0, `${name} is ${out} pixels too wide`);
          await keepPicture(page, `${name.toLowerCase()}-${width}-${theme}`);
        }
        assertEquals(chromium.complaints, []);
      },
    });
  }

  Deno.test({
    ...browser,
    name:
      `axe-core finds nothing on pages without a run, on the list of keys, and on a broken stream, ${theme}`,
    fn: async () => {
      await using chromium = await Chromium.start();
      chromium.expected = /ERR_|network error/;
      let page: Page;
      {
        await using served = await Served.start();
        page = await chromium.open(served.link, { theme, reducedMotion: "reduce" });
        await untilState(page, "idle");
        for (const name of PAGE_NAMES) {
          await visit(page, name);
          await page.getByText("No run yet").first().waitFor();
          if (name === "Runs") await page.locator("#scenarios-title").waitFor();
          assertEquals(await violations(page), [], name);
          await keepPicture(page, `${name.toLowerCase()}-empty-1440-${theme}`);
        }
        await page.keyboard.press("?");
        await page.getByRole("dialog").waitFor();
        assertEquals(await violations(page), []);
        await keepPicture(page, `keys-1440-${theme}`);
        await page.keyboard.press("Escape");
      }
      await untilState(page, "disconnected");
      assertEquals(await violations(page), []);
      await keepPicture(page, `disconnected-1440-${theme}`);
      assertEquals(chromium.complaints, []);
    },
  });
}
