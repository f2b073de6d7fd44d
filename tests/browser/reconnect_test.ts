/// <reference lib="dom" />
/**
 * The page outlives its server: it says that it is gone, keeps what came last, and
 * goes on by itself when it is back, with a gap where nothing was known.
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { cells, untilState, visit } from "./app_page.ts";
import { Chromium, hasChromium } from "./chromium.ts";
import { FakeDashboard } from "./fake_dashboard.ts";
import { Served } from "./served.ts";

const browser = { ignore: !await hasChromium(), sanitizeOps: false, sanitizeResources: false };

Deno.test({
  ...browser,
  name: "the page says that the server is gone, counts down, and goes on with its successor",
  fn: async () => {
    await using chromium = await Chromium.start();
    chromium.expected = /ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|network error/;
    const { page, port } = await (async () => {
      await using served = await Served.start();
      const page = await chromium.open(served.link);
      const { id } = await served.run({ scenario: "edu-unmapped", mode: "remap", via: "direct" });
      const { metrics } = await served.ended(id);
      await page.waitForFunction(
        (all) => Number(document.querySelector<HTMLDataElement>(".tile data")?.value) === all,
        metrics!.translations,
      );
      return { page, port: Number(new URL(served.link).port) };
    })();
    const banner = page.locator(".banner");
    await banner.getByText(/^Disconnected: /).waitFor();
    await banner.getByText(/Trying again in \d+ s/).waitFor();
    await untilState(page, "disconnected");
    assert(await page.locator(".frame.stale").count() === 1);
    assert(Number(await page.locator(".tile data").first().getAttribute("value")) > 0);

    await using served = await Served.start(port);
    await banner.waitFor({ state: "detached" });
    await untilState(page, "idle");
    await page.getByText("No run yet").waitFor();
    const { id } = await served.run({ scenario: "edu-unmapped", mode: "remap", via: "direct" });
    const { metrics } = await served.ended(id);
    await page.waitForFunction(
      (all) => Number(document.querySelector<HTMLDataElement>(".tile data")?.value) === all,
      metrics!.translations,
    );
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "Try now connects at once, and the time without a server is a gap in every chart",
  fn: async () => {
    await using fake = await FakeDashboard.start();
    await using chromium = await Chromium.start();
    chromium.expected = /ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|network error/;
    const page = await chromium.open(fake.url);
    await untilState(page, "live");
    await page.waitForTimeout(1500);
    await fake.stop();
    await untilState(page, "disconnected");
    await page.waitForTimeout(2000);
    fake.listen();
    await page.getByRole("button", { name: "Try now" }).click();
    await untilState(page, "live");
    await page.waitForTimeout(1500);
    await page.getByRole("button", { name: "Show DMA as a table" }).click();
    const rows = await cells(page.getByRole("region", { name: "DMA, table" }));
    const times = rows.map(([time]) => seconds(time!)).reverse();
    const longest = times.slice(1).reduce((most, time, i) => Math.max(most, time - times[i]!), 0);
    assert(longest >= 2, `there are rows at ${times.join(", ")}`);
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "snapshots that never came are counted, and a paused page stands still while they come",
  fn: async () => {
    await using fake = await FakeDashboard.start();
    await using chromium = await Chromium.start();
    const page = await chromium.open(fake.url);
    await untilState(page, "live");
    assertEquals(await page.getByText("snapshots were dropped").count(), 0);
    fake.skip(3);
    await page.getByText("3 snapshots were dropped").waitFor();

    await page.getByRole("button", { name: "Pause" }).click();
    await untilState(page, "paused");
    const value = () => page.locator(".tile data").first().getAttribute("value");
    const before = await value();
    await page.waitForTimeout(1000);
    assertEquals(await value(), before);
    await page.getByRole("button", { name: "Paused" }).click();
    await untilState(page, "live");
    assert(Number(await value()) > Number(before));
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "a link to what is not there says so",
  fn: async () => {
    await using fake = await FakeDashboard.start();
    await using chromium = await Chromium.start();
    chromium.expected = /status of 404/;
    const page = await chromium.open(`${fake.url}#/runs/7`);
    await page.getByRole("alert").getByText("Cannot show this").waitFor();
    await page.goto(`${fake.url}#/endpoint/00:1e.0`);
    await page.getByText("There is no endpoint 00:1e.0 in this run").waitFor();
    await page.goto(`${fake.url}#/domains/99`);
    await page.getByText("There is no domain 99 in this run").waitFor();
    await visit(page, "Overview");
    assertEquals(chromium.complaints, []);
  },
});

function seconds(clock: string): number {
  const [hours = 0, minutes = 0, rest = 0] = clock.split(":").map(Number);
  return hours * 3600 + minutes * 60 + rest;
}
