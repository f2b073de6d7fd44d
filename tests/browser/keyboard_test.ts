/// <reference lib="dom" />
/**
 * Everything can be done from the keyboard, and one always sees where one is.
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import type { Page } from "playwright-core";
import type { EndpointDetail } from "../../web/api.ts";
import { PAGE_NAMES, untilSnapshot, untilState, untilWhole } from "./app_page.ts";
import { Chromium, hasChromium } from "./chromium.ts";
import { FakeDashboard } from "./fake_dashboard.ts";
import { Served } from "./served.ts";

const browser = { ignore: !await hasChromium(), sanitizeOps: false, sanitizeResources: false };

/** What has the focus: its name, and whether one sees that it has; whether it is the page as a whole. */
async function focus(
  page: Page,
): Promise<{ name: string; seen: boolean; id: string; isNowhere: boolean }> {
  return await page.evaluate(() => {
    const element = document.activeElement as HTMLElement;
    const { outlineStyle, outlineWidth } = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    // Where nothing has the focus the body stands in, and its text is all there is.
    const isNowhere = element === document.body;
    const text = isNowhere ? "" : element.textContent?.trim();
    return {
      isNowhere,
      name: element.getAttribute("aria-label") ?? text ?? "",
      id: element.id,
      seen: outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 && box.width > 1 &&
        box.height > 1,
    };
  });
}

/** Presses Tab until `isThere`. @throws {Error} after 300 times */
async function tabTo(page: Page, isThere: (name: string, id: string) => boolean): Promise<void> {
  for (let i = 0; i < 300; i++) {
    await page.keyboard.press("Tab");
    const { name, id } = await focus(page);
    if (isThere(name, id)) return;
  }
  throw new Error("Tab does not get there");
}

Deno.test({
  ...browser,
  name: "keys go to pages, pause, change range and theme, filter, and show themselves",
  fn: async () => {
    await using fake = await FakeDashboard.start();
    await using chromium = await Chromium.start();
    const page = await chromium.open(fake.url);
    await untilState(page, "live");

    await page.keyboard.press("Tab");
    const { name, seen } = await focus(page);
    assertEquals([name, seen], ["Skip to the page", true]);
    await page.keyboard.press("Enter");
    assertEquals((await focus(page)).id, "main");

    for (const [i, name] of PAGE_NAMES.entries()) {
      await page.keyboard.press(String(i + 1));
      await page.waitForFunction((title) => document.title.startsWith(title), name);
    }
    await page.keyboard.press("1");

    await page.keyboard.press(" ");
    await untilState(page, "paused");
    await page.keyboard.press(" ");
    await untilState(page, "live");

    // As the page has it: `page.url()` is told a moment later.
    const address = () => page.evaluate(() => location.hash);
    await page.keyboard.press("]");
    assertStringIncludes(await address(), "range=15m");
    await page.keyboard.press("[");
    await page.keyboard.press("[");
    assertStringIncludes(await address(), "range=1m");

    const theme = () => page.evaluate(() => document.documentElement.dataset["theme"]);
    assertEquals(await theme(), "dark");
    await page.keyboard.press("t");
    assertEquals(await theme(), "light");

    await page.keyboard.press("/");
    assertEquals((await focus(page)).id, "filter");
    await page.keyboard.type("device:streamer");
    await page.getByText("1 of 3 endpoints").waitFor();
    await page.keyboard.press("Escape");
    await page.getByText("3 endpoints", { exact: true }).waitFor();
    await page.keyboard.press("Escape");

    await page.keyboard.press("?");
    const dialog = page.getByRole("dialog");
    await dialog.waitFor();
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "hidden" });
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "Tab stops at every control of every page, in sight, and comes round",
  fn: async () => {
    await using fake = await FakeDashboard.start({ messages: 50 });
    await using chromium = await Chromium.start();
    const page = await chromium.open(fake.url);
    await untilState(page, "live");
    for (const [i, title] of PAGE_NAMES.entries()) {
      await page.keyboard.press(String(i + 1));
      await page.waitForFunction((name) => document.title.startsWith(name), title);
      await untilWhole(page, title);
      const unseen: string[] = [];
      const stops = new Set<string>();
      for (let stop = 0; stop < 120; stop++) {
        await page.keyboard.press("Tab");
        const { name, seen, isNowhere } = await focus(page);
        if (isNowhere) break;
        stops.add(name);
        if (!seen) unseen.push(name);
      }
      assertEquals(unseen, [], title);
      assert(stops.size >= 5, `${title} has the stops ${[...stops].join(", ")}`);
      await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur());
    }
  },
});

Deno.test({
  ...browser,
  name: "lists are walked, tables sorted and timelines scrubbed from the keyboard",
  fn: async () => {
    await using fake = await FakeDashboard.start({ faults: 500, messages: 300 });
    await using chromium = await Chromium.start();
    const page = await chromium.open(`${fake.url}#/faults`);
    await untilState(page, "live");
    await page.getByRole("grid", { name: "Faults" }).waitFor();
    await tabTo(page, (name) => name === "Faults");
    await page.keyboard.press("ArrowDown");
    await page.getByRole("heading", { name: "Fault 499" }).waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    await page.getByRole("heading", { name: "Fault 497" }).waitFor();
    await page.keyboard.press("End");
    await page.getByRole("heading", { name: "Fault 0", exact: true }).waitFor();
    const active = await page.evaluate(() =>
      document.getElementById(
        document.activeElement!.getAttribute("aria-activedescendant") ?? "",
      )?.getAttribute("aria-rowindex")
    );
    assertEquals(active, "501");
    await page.keyboard.press("Escape");
    await page.getByText("Choose a fault").waitFor();

    await page.keyboard.press("1");
    await page.getByRole("region", { name: "Endpoints, table" }).waitFor();
    await tabTo(page, (name) => name === "Translations");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Enter");
    const first = page.getByRole("region", { name: "Endpoints, table" }).locator("tbody tr")
      .first();
    await first.getByText("00:03.0").waitFor();
    await tabTo(page, (name) => name === "00:03.0");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "streamer 00:03.0" }).waitFor();

    await page.getByRole("tree", { name: "Device state" }).waitFor();
    await tabTo(page, (name) => name.startsWith("status"));
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    await page.locator("[data-path='/dma'][aria-expanded='true']:focus").waitFor();
    await page.keyboard.press("ArrowLeft");
    await page.locator("[data-path='/dma'][aria-expanded='false']").waitFor();

    // More events than are in sight, and no more while they are scrubbed through.
    for (let i = 0; i < 60; i++) fake.tick();
    fake.stand();
    await untilSnapshot(page, fake.sequence);
    assertEquals(
      await page.getByRole("slider", { name: "Scrub through the timeline" }).isDisabled(),
      false,
    );
    await tabTo(page, (name) => name === "Scrub through the timeline");
    await page.keyboard.press("Home");
    await page.getByRole("button", { name: "Follow", exact: true }).waitFor();
    await page.keyboard.press("End");
    await page.getByRole("button", { name: "Following" }).waitFor();
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "a page that a key turns to has the focus as soon as it is there",
  fn: async () => {
    await using fake = await FakeDashboard.start();
    await using chromium = await Chromium.start();
    const page = await chromium.open(fake.url);
    await untilState(page, "live");
    for (const key of ["3", "1", "2"]) {
      const focused = await page.evaluate(async (key) => {
        (document.activeElement as HTMLElement | null)?.blur();
        const before = document.querySelector("main > *");
        document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
        while (document.querySelector("main > *") === before) await Promise.resolve();
        // The task of the key goes on: no other key can have come between.
        await Promise.resolve();
        return document.activeElement?.id;
      }, key);
      assertEquals(focused, "main", `after ${key}`);
    }
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "the row that a key chooses is there with the choice, however far away it is",
  fn: async () => {
    await using fake = await FakeDashboard.start({ faults: 500 });
    await using chromium = await Chromium.start();
    const page = await chromium.open(`${fake.url}#/faults`);
    const grid = page.getByRole("grid", { name: "Faults" });
    for (const [key, row] of [["End", "501"], ["Home", "2"]] as const) {
      const chosen = await grid.evaluate(async (it, key) => {
        it.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
        // The task of the key goes on: no picture has come between.
        for (let turn = 0; turn < 50; turn++) await Promise.resolve();
        const id = it.getAttribute("aria-activedescendant") ?? "";
        return document.getElementById(id)?.getAttribute("aria-rowindex");
      }, key);
      assertEquals(chosen, row, key);
    }
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "the tree of a device's state keeps the focus when the item that has it goes",
  fn: async () => {
    await using fake = await FakeDashboard.start();
    await using chromium = await Chromium.start();
    let isRunning = true;
    const page = await chromium.open(`${fake.url}#/endpoint/00:01.0`, {
      before: (page) =>
        page.route(/\/api\/endpoints\/[^/]+$/, async (route) => {
          const response = await route.fetch();
          const detail = await response.json() as EndpointDetail;
          const inspect = {
            ...detail.inspect,
            dma: isRunning ? { source: "0x100000", count: 4096 } : { source: "0x100000" },
            ...(isRunning ? {} : { queue: null }),
          };
          await route.fulfill({ response, json: { ...detail, inspect } });
        }),
    });
    await page.getByRole("tree", { name: "Device state" }).waitFor();
    const at = (path: string) => page.locator(`[data-path='${path}']:focus`).waitFor();

    await tabTo(page, (name) => name.startsWith("status"));
    for (let i = 0; i < 4; i++) await page.keyboard.press("ArrowDown");
    await at("/dma/count");
    isRunning = false;
    await at("/dma");
    await page.keyboard.press("ArrowLeft");
    await page.locator("[data-path='/dma'][aria-expanded='false']").waitFor();

    isRunning = true;
    await page.locator("[data-path='/queue/2']").waitFor();
    await page.keyboard.press("End");
    await at("/queue/2");
    isRunning = false;
    await at("/queue");
    await page.keyboard.press("Home");
    await at("/status");
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "a filtered list keeps the focus, and what is in sight, while more comes",
  fn: async () => {
    await using fake = await FakeDashboard.start({ faults: 300, faultsPerSnapshot: 3 });
    await using chromium = await Chromium.start();
    const page = await chromium.open(fake.url);
    await untilState(page, "live");
    fake.stand();
    await page.goto(`${fake.url}#/faults?filter=reason%3Apermission`);
    // One of three, and the head.
    const rowsAre = (count: number) =>
      page.getByRole("grid", { name: "Faults" })
        .and(page.locator(`[aria-rowcount="${Math.floor(count / 3) + 1}"]`)).waitFor();
    await rowsAre(fake.faults);
    const grid = page.getByRole("grid", { name: "Faults" });
    await grid.focus();
    await grid.evaluate((it) => it.scrollTop = 28 * 40);
    const numberInSight = () =>
      grid.evaluate((it) => {
        const { x, y } = it.querySelector("[role=columnheader]")!.getBoundingClientRect();
        return document.elementFromPoint(x + 5, y + 28 * 1.5)!.textContent;
      });
    await page.getByRole("row").and(page.locator(`[aria-rowindex="42"]`)).waitFor();
    const before = await numberInSight();
    fake.tick();
    await rowsAre(fake.faults);
    assertEquals([(await focus(page)).name, await numberInSight()], ["Faults", before]);
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "a run is started, and its fault translated, without a mouse",
  fn: async () => {
    await using served = await Served.start();
    await using chromium = await Chromium.start();
    const page = await chromium.open(served.link);
    await page.locator(".tabs").waitFor();
    await page.keyboard.press("6");
    await page.locator("#start-scenario").waitFor();
    await tabTo(page, (_, id) => id === "start-scenario");
    await page.keyboard.type("edu-unmapped");
    await tabTo(page, (name) => name === "Start");
    await page.keyboard.press("Enter");
    await page.getByRole("heading", { name: "Run 1: edu-unmapped" }).waitFor();
    await served.ended(1);
    await page.keyboard.press("4");
    await page.getByRole("grid", { name: "Faults" }).waitFor();
    await tabTo(page, (name) => name === "Faults");
    await page.keyboard.press("ArrowDown");
    await tabTo(page, (name) => name.includes("translate this address"));
    await page.keyboard.press("Enter");
    await page.locator(".walk li").first().waitFor();
    assertEquals(chromium.complaints, []);
  },
});
