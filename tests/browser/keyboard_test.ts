/// <reference lib="dom" />
/**
 * Everything can be done from the keyboard, and one always sees where one is.
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { Page } from "playwright-core";
import type { EndpointDetail } from "../../web/api.ts";
import { PAGE_NAMES, untilState } from "./app_page.ts";
import { Chromium, hasChromium } from "./chromium.ts";
import { FakeDashboard } from "./fake_dashboard.ts";
import { Served } from "./served.ts";

const browser = { ignore: !await hasChromium(), sanitizeOps: false, sanitizeResources: false };

/** What has the focus: its name, and whether one sees that it has. */
async function focus(page: Page): Promise<{ name: string; seen: boolean; id: string }> {
  return await page.evaluate(() => {
    const element = document.activeElement as HTMLElement;
    const { outlineStyle, outlineWidth } = getComputedStyle(element);
    const box = element.getBoundingClientRect();
    // Where nothing has the focus the body stands in, and its text is all there is.
    const text = element === document.body ? "" : element.textContent?.trim();
    return {
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
    assertEquals(await focus(page), { name: "Skip to the page", id: "", seen: true });
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

    await page.keyboard.press("]");
    assert(page.url().includes("range=15m"));
    await page.keyboard.press("[");
    await page.keyboard.press("[");
    assert(page.url().includes("range=1m"));

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
      await page.waitForTimeout(700);
      const unseen: string[] = [];
      const stops = new Set<string>();
      for (let stop = 0; stop < 120; stop++) {
        await page.keyboard.press("Tab");
        const { name, seen } = await focus(page);
        const atEnd = await page.evaluate(() => document.activeElement === document.body);
        if (atEnd) break;
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

    await tabTo(page, (name) => name.startsWith("status"));
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    await page.locator("[data-path='/dma'][aria-expanded='true']:focus").waitFor();
    await page.keyboard.press("ArrowLeft");
    await page.locator("[data-path='/dma'][aria-expanded='false']").waitFor();

    await page.waitForFunction(() =>
      !document.querySelector<HTMLInputElement>("input[type=range]")!.disabled
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
  name: "the tree of a device's state keeps the focus when the item that has it goes",
  fn: async () => {
    await using fake = await FakeDashboard.start();
    await using chromium = await Chromium.start();
    const page = await chromium.open(`${fake.url}#/endpoint/00:01.0`);
    let isRunning = true;
    await page.route(/\/api\/endpoints\/[^/]+$/, async (route) => {
      const response = await route.fetch();
      const detail = await response.json() as EndpointDetail;
      const inspect = {
        ...detail.inspect,
        dma: isRunning ? { source: "0x100000", count: 4096 } : { source: "0x100000" },
        ...(isRunning ? {} : { queue: null }),
      };
      await route.fulfill({ response, json: { ...detail, inspect } });
    });
    await untilState(page, "live");
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
