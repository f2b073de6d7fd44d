/// <reference lib="dom" />
/**
 * The page outlives its server: it says that it is gone, keeps what came last, and
 * goes on by itself when it is back, with a gap where nothing was known.
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { cells, untilSnapshot, untilState, visit } from "./app_page.ts";
import { Chromium, hasChromium } from "./chromium.ts";
import { FakeDashboard } from "./fake_dashboard.ts";
import { Served } from "./served.ts";

/** How long there is no server, by its own clock. */
const GAP_MS = 60_000;

const browser = { ignore: !await hasChromium(), sanitizeOps: false, sanitizeResources: false };

Deno.test({
  ...browser,
  name: "the page says that the server is gone, counts down, and goes on with its successor",
  fn: async () => {
    await using chromium = await Chromium.start();
    // Which of them depends on how far its server had come with ending.
    chromium.expected = /net::ERR_|network error/;
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
    // What screen readers are told: no run of this server has started.
    assertEquals(await page.locator("p[aria-live]").textContent(), "Connected again");
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
    chromium.expected = /status of 503/;
    const page = await chromium.open(fake.url);
    await untilState(page, "live");
    fake.stand();
    for (let i = 0; i < 4; i++) fake.tick(250);
    await untilSnapshot(page, fake.sequence);
    // Told to come again in a minute, it does not come by itself.
    fake.turnAway();
    const banner = page.locator(".banner");
    await banner.getByText("Disconnected: the server has as many pages open as it allows")
      .waitFor();
    await untilState(page, "disconnected");
    fake.letIn();
    await banner.getByRole("button", { name: "Try now" }).click();
    await untilState(page, "live");
    fake.tick(GAP_MS);
    for (let i = 0; i < 4; i++) fake.tick(250);
    await untilSnapshot(page, fake.sequence);
    await page.getByRole("button", { name: "Show DMA as a table" }).click();
    const rows = await cells(page.getByRole("region", { name: "DMA, table" }));
    const times = rows.map(([time]) => seconds(time!)).reverse();
    const longest = times.slice(1).reduce((most, time, i) => Math.max(most, time - times[i]!), 0);
    // Clocks on the page have whole seconds.
    assert(longest >= GAP_MS / 1000 - 1, `there are rows at ${times.join(", ")}`);
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
    fake.stand();
    await untilSnapshot(page, fake.sequence);
    assertEquals(await page.getByText("snapshots were dropped").count(), 0);
    fake.skip(3);
    fake.tick();
    await page.getByText("3 snapshots were dropped").waitFor();

    await page.getByRole("button", { name: "Pause" }).click();
    await untilState(page, "paused");
    const value = () => page.locator(".tile data").first().getAttribute("value");
    const before = await value();
    fake.skip(1);
    fake.tick();
    // Counted with the snapshot that came instead: so that is there.
    await page.getByText("4 snapshots were dropped").waitFor();
    assertEquals(await value(), before);
    await page.getByRole("button", { name: "Paused" }).click();
    await untilState(page, "live");
    assert(Number(await value()) > Number(before));
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "what could not be had while the server was away is asked for again when it is back",
  fn: async () => {
    await using fake = await FakeDashboard.start();
    await using chromium = await Chromium.start();
    chromium.expected = /net::ERR_FAILED|status of 503/;
    let isAway = true;
    const page = await chromium.open(fake.url, {
      before: (page) =>
        page.route(
          /\/api\/(?:faults|runs\/1)/,
          (route) => isAway ? route.abort() : route.fallback(),
        ),
    });
    await untilState(page, "live");
    fake.stand();
    for (const [place, there] of [["faults", "[role=grid]"], ["runs/1", ".artifacts"]] as const) {
      isAway = true;
      await page.goto(`${fake.url}#/${place}`);
      await page.getByRole("alert").getByText("The server cannot be reached").waitFor();
      fake.turnAway();
      await page.locator(".banner").getByText("as many pages open as it allows").waitFor();
      isAway = false;
      fake.letIn();
      await page.getByRole("button", { name: "Try now" }).click();
      await page.locator(there).waitFor();
    }
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "a past run of a server goes with it: its successor has runs of its own",
  fn: async () => {
    await using fake = await FakeDashboard.start();
    await using chromium = await Chromium.start();
    chromium.expected = /status of 404/;
    let isSuccessor = false;
    const page = await chromium.open(`${fake.url}#/overview?run=7`, {
      before: async (page) => {
        await page.route(
          /\/api\/state\?run=7/,
          (route) => isSuccessor ? route.fulfill({ status: 404, json: null }) : route.fallback(),
        );
        await page.route(
          /\/api\/timeline/,
          (route) => route.fulfill({ json: { run: null, events: [], next: null, dropped: 0 } }),
        );
      },
    });
    const banner = page.getByRole("region", { name: "Past run" });
    await banner.getByText("This is what run 7 left").waitFor();
    await untilState(page, "ended");
    isSuccessor = true;
    fake.startAnew();
    await banner.waitFor({ state: "detached" });
    await untilState(page, "live");
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
