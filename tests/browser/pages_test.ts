/// <reference lib="dom" />
/**
 * Every page shows a run as it goes on, and at its end the numbers that the API
 * and the run's own report have.
 * @module
 */

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import type { ElementHandle } from "playwright-core";
import type {
  DomainList,
  EndpointDetail,
  EndpointList,
  FaultsPage,
  MappingsPage,
  MessagesPage,
  Snapshot,
  TimelinePage,
  TranslateResult,
} from "../../web/api.ts";
import {
  cells,
  integer,
  snapshotShown,
  totals,
  untilSnapshot,
  untilState,
  visit,
} from "./app_page.ts";
import { Chromium, hasChromium } from "./chromium.ts";
import { FakeDashboard } from "./fake_dashboard.ts";
import { keepPicture, readmePicture } from "./screenshots.ts";
import { Served } from "./served.ts";

const browser = { ignore: !await hasChromium(), sanitizeOps: false, sanitizeResources: false };

Deno.test({
  ...browser,
  name: "each page follows a run live, and ends with the numbers of the API and of the report",
  fn: async (t) => {
    await using served = await Served.start();
    await using chromium = await Chromium.start();
    const page = await chromium.open(served.link);

    await t.step("the token leaves the address, and stays with the page", async () => {
      await page.locator(".tabs").waitFor();
      assertEquals(new URL(page.url()).search, "");
      assert(await page.evaluate(() => sessionStorage.getItem("viaduct-token")) !== null);
    });

    await t.step("before the first run, each page says what would fill it", async () => {
      await page.getByText("No run yet").first().waitFor();
      for (const name of ["Endpoint", "Domains", "Faults", "Messages"] as const) {
        await visit(page, name);
        await page.getByText("No run yet").waitFor();
      }
    });

    await t.step("Runs starts a run", async () => {
      await visit(page, "Runs");
      await page.getByRole("combobox", { name: "Scenario" }).selectOption("busy");
      await page.getByRole("button", { name: "Start" }).click();
      await page.getByRole("heading", { name: "Run 1: busy" }).waitFor();
      await untilState(page, "live");
      await page.getByRole("progressbar").waitFor();
    });

    await t.step("Overview follows it", async () => {
      await visit(page, "Overview");
      await page.locator(".tile").first().waitFor();
      let before = (await totals(page))["Translations"]!;
      for (let i = 0; i < 3; i++) {
        await page.waitForFunction(
          (least) => Number(document.querySelector<HTMLDataElement>(".tile data")?.value) > least,
          before,
        );
        const now = (await totals(page))["Translations"]!;
        assert(now > before);
        before = now;
      }
      const rows = await cells(page.getByRole("region", { name: "Endpoints, table" }));
      const { endpoints } = await served.get<EndpointList>("/api/endpoints");
      assertEquals(rows.map(([bdf]) => bdf), endpoints.map(({ bdf }) => bdf));
      // Some seconds of it, so that there is something to see.
      await untilSnapshot(page, await snapshotShown(page) + 20);
      await untilState(page, "live");
      const picture = await readmePicture(page);
      assert(picture.length < 300_000, `the README's picture has ${picture.length} bytes`);
      await keepPicture(page, "overview-live-1440-dark");
    });

    const { metrics, run } = await served.ended(1);
    assert(metrics !== null);
    await untilState(page, "ended");

    await t.step("Overview ends with the report's numbers", async () => {
      const state = await served.get<Snapshot>("/api/state");
      await page.waitForFunction(
        (all) => Number(document.querySelector<HTMLDataElement>(".tile data")?.value) === all,
        metrics.translations,
      );
      assertEquals(await totals(page), {
        "Translations": metrics.translations,
        "IOTLB hits": metrics.iotlbHits,
        "Faults": metrics.faults,
        "Read by devices": metrics.dmaReadBytes,
        "Written by devices": metrics.dmaWriteBytes,
        "Invalidations": metrics.invalidations,
      });
      assertEquals(state.totals.translations, metrics.translations);
      const rows = await cells(page.getByRole("region", { name: "Endpoints, table" }));
      assertEquals(
        rows.map((row) => [row[0]!, row[1]!, ...[2, 4, 6].map((i) => integer(row[i]!))]),
        state.endpoints.map(({ bdf, device, domain, counters }) => [
          bdf,
          device,
          domain ?? -1,
          counters.translations,
          counters.faults,
        ]),
      );
      const sum = rows.reduce((total, row) => total + integer(row[4]!), 0);
      assertEquals(sum, metrics.translations);
    });

    await t.step("every chart is a table as well, and the tables add up", async () => {
      // Over the run's own time a row is a quarter of a second, however long the page has been open.
      const fromMs = Math.floor(run.startedMs!) - 1000;
      const toMs = Math.ceil(run.startedMs! + run.durationMs) + 1000;
      await page.goto(`${served.origin}/#/overview?range=${fromMs}-${toMs}`);
      const buttons = page.getByRole("button", { name: /^Show .* as a table$/ });
      const plotsAre = (count: number) =>
        page.waitForFunction((it) => document.querySelectorAll(".plot").length === it, count);
      await plotsAre(5);
      assertEquals(await buttons.count(), 5);
      for (let i = 0; i < 5; i++) await buttons.nth(i).click();
      await plotsAre(0);
      const table = page.getByRole("region", { name: "Faults, table" });
      // The row of the run's end comes with what the server says next, two seconds later.
      await page.waitForFunction(
        ([table, all]) => {
          const rows = [...table.querySelectorAll("tbody tr")].map(({ children }) =>
            parseFloat(children[1]?.textContent ?? "") / 4
          );
          return Math.abs(rows.reduce((a, b) => a + b, 0) - all) <= all / 100;
        },
        [await table.elementHandle() as ElementHandle<Element>, metrics.faults] as const,
      );
      assert((await cells(table)).length > 20);
      for (let i = 0; i < 5; i++) await buttons.nth(i).click();
      await plotsAre(5);
    });

    await t.step("Endpoint shows what the API has of one", async () => {
      await page.getByRole("region", { name: "Endpoints, table" }).getByRole("link", {
        name: "00:05.0",
      })
        .click();
      const detail = await served.get<EndpointDetail>("/api/endpoints/00:05.0");
      await page.getByRole("heading", { name: "edu 00:05.0" }).waitFor();
      const config = page.locator("section", { hasText: "Configuration space" }).last();
      await config.getByText("0x1234:11e8").waitFor();
      assertEquals(detail.config?.vendorId, 0x1234);
      const bars = await cells(page.getByRole("region", { name: "Base address registers, table" }));
      assertEquals(bars.map(([index]) => Number(index)), detail.bars!.map(({ index }) => index));
      assert(bars[0]![2]!.includes(`0x${detail.bars![0]!.address!.toString(16)}`));
      const tree = page.getByRole("tree", { name: "Device state" });
      const names = Object.keys(detail.inspect!);
      for (const name of names) {
        await tree.getByText(name, { exact: true }).first().waitFor();
      }
      await page.getByText(
        `${detail.state.counters.faults} fault`,
      ).first().waitFor();
    });

    await t.step("Domains shows its mappings, and where an address goes", async () => {
      await visit(page, "Domains");
      const { domains } = await served.get<DomainList>("/api/domains");
      const first = domains[0]!;
      const all = await served.get<MappingsPage>(`/api/domains/${first.id}/mappings?limit=1000`);
      const grid = page.getByRole("grid", { name: "Mappings" });
      await grid.and(page.locator(`[aria-rowcount="${all.total + 1}"]`)).waitFor();
      const row = all.mappings[0]!;
      const text = `0x${row.iova.toString(16)}..0x${row.last.toString(16)}`;
      await grid.getByText(text).click();
      await page.getByRole("combobox", { name: "Access" }).selectOption(row.access);
      const endpoint = first.members[0]!.endpoint;
      const result = await served.get<TranslateResult>(
        `/api/endpoints/${endpoint}/translate?iova=0x${row.iova.toString(16)}&access=${row.access}`,
      );
      await page.getByText(`0x${result.gpa!.toString(16)}`, { exact: true }).first().waitFor();
      await page.waitForFunction(
        (steps) => document.querySelectorAll(".walk li").length === steps,
        result.walk.length,
      );

      await page.getByLabel("IOVA").fill("0x3");
      await page.getByRole("button", { name: "Translate" }).click();
      await page.locator(".walk li.bad").waitFor();
      await page.getByLabel("IOVA").fill("no address");
      await page.getByRole("button", { name: "Translate" }).click();
      await page.getByRole("alert").filter({ hasText: "hexadecimal" }).waitFor();
    });

    await t.step("Faults shows all that were kept, and each has an address", async () => {
      await visit(page, "Faults");
      const faults = await served.get<FaultsPage>("/api/faults?limit=1000");
      const grid = page.getByRole("grid", { name: "Faults" });
      await grid.waitFor();
      await page.waitForFunction(
        (rows) =>
          document.querySelector("[role=grid]")?.getAttribute("aria-rowcount") === String(rows),
        faults.total + 1,
      );
      assertEquals(faults.total + faults.dropped, metrics.faults);
      const groups = await cells(
        page.getByRole("region", { name: "Faults by reason and endpoint, table" }),
      );
      assertEquals(
        groups.map((row) => [row[0], row[1], integer(row[2]!)]),
        faults.groups.map(({ reason, bdf, count }) => [reason, bdf, count]),
      );
      const chosen = faults.faults[5]!;
      await grid.getByRole("row").nth(6).click();
      // The page groups digits by threes.
      const title = new RegExp(`^Fault ${[...String(chosen.sequence)].join("\\s?")}$`);
      await page.getByRole("heading", { name: title }).waitFor();
      const link = page.url();
      const other = await chromium.open(link, { theme: "light" });
      await other.getByRole("heading", { name: title }).waitFor();
      await other.locator("[role=row][aria-selected=true]").getByText(
        `0x${chosen.iova.toString(16)}`,
        { exact: true },
      ).waitFor();
      await keepPicture(other, "faults-1440-light");

      await page.getByLabel("Filter Faults").fill(`reason:${chosen.reason} endpoint:00:05.0`);
      const expected = faults.groups.find(({ reason, bdf }) =>
        reason === chosen.reason && bdf === "00:05.0"
      )!.count;
      await page.waitForFunction(
        (rows) =>
          document.querySelector("[role=grid]")?.getAttribute("aria-rowcount") === String(rows),
        expected + 1,
      );
    });

    await t.step("Runs ends with the report's numbers", async () => {
      await visit(page, "Runs");
      await page.locator(".metrics").waitFor();
      const shown = await page.locator("[data-metric]").evaluateAll((elements) =>
        elements.map((element) => {
          const { metric, value } = (element as HTMLElement).dataset;
          return [metric, Number(value)];
        })
      );
      assertEquals(Object.fromEntries(shown as [string, number][]), { ...metrics });
      await page.getByText("passed").first().waitFor();
    });

    await t.step("Messages says that a direct run has none", async () => {
      await visit(page, "Messages");
      await page.getByText("No message in this run").waitFor();
    });

    await t.step("nothing was complained of", () => assertEquals(chromium.complaints, []));
  },
});

Deno.test({
  ...browser,
  name: "Messages shows a run via vfio-user in three panes, and filters it as the API does",
  fn: async () => {
    await using served = await Served.start();
    await using chromium = await Chromium.start();
    const { id } = await served.run({
      scenario: "edu-dma-scatter",
      mode: "remap",
      via: "vfio-user",
    });
    await served.ended(id);
    const page = await chromium.open(`${served.origin}/#/messages`);
    const grid = page.getByRole("grid", { name: "Messages" });
    await grid.waitFor();
    const rowsAre = (count: number) =>
      page.waitForFunction(
        (rows) =>
          document.querySelector("[role=grid]")?.getAttribute("aria-rowcount") === String(rows),
        count + 1,
      );
    const all = await served.get<MessagesPage>("/api/messages?limit=1000");
    assert(all.total > 20);
    await rowsAre(all.total);

    await grid.getByRole("row").nth(1).click();
    const first = all.messages[0]!;
    await page.getByText(`message ${first.number}, ${first.command} ${first.type}`).waitFor();
    const bytes = await page.locator("pre.bytes").textContent();
    const shown = [...bytes!.matchAll(/^[0-9a-f]{4} {2}(.{48})/gm)]
      .map((match) => match[1]!.replaceAll(" ", "")).join("");
    assertEquals(shown, first.bytes);

    for (
      const filter of ["command:DMA_MAP", "type:reply errno:0", "command:!REGION_* direction:>"]
    ) {
      await page.getByLabel("Filter Messages").fill(filter);
      const some = await served.get<MessagesPage>(
        `/api/messages?limit=1000&filter=${encodeURIComponent(filter)}`,
      );
      assert(some.total > 0 && some.total < all.total, filter);
      await rowsAre(some.total);
    }
    await page.getByLabel("Filter Messages").fill("command:NOT_THERE");
    await page.getByText("No message passes the filter").waitFor();
    chromium.expected = /status of 400/;
    await page.getByLabel("Filter Messages").fill("length:>x");
    await page.getByText("The filter cannot be read").waitFor();
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "Domains shows how fast mappings come and go, and what would answer an access",
  fn: async () => {
    await using fake = await FakeDashboard.start();
    await using chromium = await Chromium.start();
    const page = await chromium.open(`${fake.url}#/domains/1?iova=0x100010`);
    await untilState(page, "live");
    const chart = page.locator("section", { hasText: "Maps and unmaps" }).last();
    await chart.getByRole("button", { name: "Show Maps and unmaps as a table" }).click();
    // 40 maps and 39 unmaps come with each snapshot, four a second.
    await page.waitForFunction(() =>
      [...document.querySelectorAll("#mapping-rate-table tbody tr")].some((row) => {
        const [, maps, unmaps] = [...row.children].map((cell) => parseFloat(cell.textContent!));
        return maps! > 80 && maps! < 320 && unmaps! > 0 && unmaps! < maps!;
      })
    );
    await page.locator(".walk").getByText("in the page cache: answered without a walk").waitFor();
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "a run that is over keeps its timeline, also when others came after it",
  fn: async () => {
    await using served = await Served.start();
    await using chromium = await Chromium.start();
    for (const scenario of ["edu-unmapped", "edu-dma-scatter"]) {
      const { id } = await served.run({ scenario, mode: "remap", via: "direct" });
      await served.ended(id);
    }
    const timeline = (run: number) =>
      served.get<TimelinePage>(`/api/timeline?run=${run}&limit=5000`);
    assertNotEquals((await timeline(1)).events.length, (await timeline(2)).events.length);
    for (const run of [1, 2]) {
      const page = await chromium.open(`${served.origin}/#/overview?run=${run}`);
      const grid = page.getByRole("grid", { name: "Events" });
      await grid.waitFor();
      const rows = (await timeline(run)).events.length + 1;
      await page.waitForFunction(
        (count) =>
          document.querySelector("[role=grid][aria-label=Events]")?.getAttribute(
            "aria-rowcount",
          ) === String(count),
        Math.min(rows, 201),
      );
      await page.close();
    }
    const { faults } = await served.get<FaultsPage>("/api/faults?run=1");
    const page = await chromium.open(
      `${served.origin}/#/faults?run=1&row=fault-${faults[0]!.sequence}`,
    );
    await page.locator(".around [aria-current=true]").getByText("fault").waitFor();
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "a page that comes to a run late has its timeline from the beginning, each event once",
  fn: async () => {
    await using fake = await FakeDashboard.start();
    await using chromium = await Chromium.start();
    for (let i = 0; i < 3; i++) fake.tick();
    const page = await chromium.open(`${fake.url}#/overview`);
    await untilState(page, "live");
    fake.stand();
    await page.getByText(/^Events 0 to \d+ of /).waitFor();
    fake.tick();
    await untilSnapshot(page, fake.sequence);
    const { events } = await (await fetch(`${fake.url}api/timeline?limit=5000`))
      .json() as TimelinePage;
    await page.getByRole("grid", { name: "Events" })
      .and(page.locator(`[aria-rowcount="${events.length + 1}"]`)).waitFor();
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "a browser that lets pages keep nothing shows the page all the same, and starts runs",
  fn: async () => {
    await using served = await Served.start();
    await using chromium = await Chromium.start();
    const page = await chromium.open(served.link, {
      before: (page) =>
        page.addInitScript(() => {
          for (const storage of ["localStorage", "sessionStorage"]) {
            Object.defineProperty(globalThis, storage, {
              get: () => {
                throw new DOMException("Access is denied for this document", "SecurityError");
              },
            });
          }
        }),
    });
    await visit(page, "Runs");
    await page.getByRole("button", { name: "Light theme" }).click();
    await page.getByRole("button", { name: "Dark theme" }).waitFor();
    await page.getByRole("combobox", { name: "Scenario" }).selectOption("edu-unmapped");
    await page.getByRole("button", { name: "Start", exact: true }).click();
    await page.getByRole("heading", { name: "Run 1: edu-unmapped" }).waitFor();
    await served.ended(1);
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "times of weeks are shown in full, on a wide screen and on a narrow one",
  fn: async () => {
    await using fake = await FakeDashboard.start({ faults: 30 });
    await using chromium = await Chromium.start();
    for (const width of [1440, 390]) {
      const page = await chromium.open(`${fake.url}#/faults`, {
        width,
        before: (page) =>
          page.route(/\/api\/faults/, async (route) => {
            const response = await route.fetch();
            const list = await response.json() as FaultsPage;
            const faults = list.faults.map((row) => ({ ...row, timeNs: row.timeNs + 3e15 }));
            await route.fulfill({ response, json: { ...list, faults } });
          }),
      });
      const cell = page.getByRole("grid", { name: "Faults" }).getByText(/^3000000\.\d{6}$/).first();
      await cell.waitFor();
      assertEquals(await cell.evaluate((it) => it.scrollWidth - it.clientWidth), 0, `at ${width}`);
    }
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "numbers of millions and times of days are shown in full among the messages",
  fn: async () => {
    await using fake = await FakeDashboard.start({ messages: 40 });
    await using chromium = await Chromium.start();
    const page = await chromium.open(`${fake.url}#/messages`, {
      before: (page) =>
        page.route(/\/api\/messages/, async (route) => {
          const response = await route.fetch();
          const list = await response.json() as MessagesPage;
          const messages = list.messages.map((row) => ({
            ...row,
            number: row.number + 12_000_000,
            timeMs: row.timeMs + 1e9,
          }));
          await route.fulfill({ response, json: { ...list, messages } });
        }),
    });
    const grid = page.getByRole("grid", { name: "Messages" });
    for (const text of [/^12\s000\s\d{3}$/, /^1\d{9}\.\d{3}$/]) {
      const cell = grid.getByText(text).first();
      await cell.waitFor();
      assertEquals(await cell.evaluate((it) => it.scrollWidth - it.clientWidth), 0);
    }
    assertEquals(chromium.complaints, []);
  },
});
