/// <reference lib="dom" />
/**
 * A run whose devices are in another process, on the pages: live by endpoint, and at its end with
 * the numbers of its report.
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type {
  DomainList,
  EndpointDetail,
  FaultsPage,
  MappingsPage,
  MessagesPage,
} from "../../web/api.ts";
import { cells, integer, totals, untilState, visit } from "./app_page.ts";
import { Chromium, hasChromium } from "./chromium.ts";
import { Served } from "./served.ts";

const browser = { ignore: !await hasChromium(), sanitizeOps: false, sanitizeResources: false };

/** `1 200 of 35 400 messages, 345 983 before them were too many to keep`. */
const MESSAGES =
  /^(?:([\d\u202f]+) of )?([\d\u202f]+) messages?(?:, ([\d\u202f]+) before them .*)?$/;

Deno.test({
  ...browser,
  name: "the pages show a run via vfio-user live by endpoint, and end with the report's numbers",
  fn: async (t) => {
    await using served = await Served.start();
    await using chromium = await Chromium.start();
    const { id } = await served.run({ scenario: "busy", mode: "remap", via: "vfio-user" });
    const page = await chromium.open(served.link);
    await untilState(page, "live");

    await t.step("Overview follows each endpoint", async () => {
      const region = page.getByRole("region", { name: "Endpoints, table" });
      await region.waitFor();
      await page.waitForFunction(
        (rows) =>
          document.querySelectorAll('[aria-label="Endpoints, table"] tbody tr').length === rows,
        5,
      );
      const before = (await cells(region)).map((row) => integer(row[4]!));
      // The streamers are at work all the time.
      await page.waitForFunction(
        (before) =>
          [...document.querySelectorAll('[aria-label="Endpoints, table"] tbody tr')].filter((
            { children },
            at,
          ) => Number(children[4]!.textContent!.replace(/\D/g, "")) > before[at]!).length >= 4,
        before,
      );
    });

    await t.step("Endpoint has latencies, and a heat map", async () => {
      await visit(page, "Endpoint");
      // Both are of samples: they come some time after what is counted.
      await page.getByText(/ p99 ≤ [\d.]+ [nµm]s /).waitFor();
      await page.getByRole("img", { name: /^Heat map: / }).waitFor();
      const detail = await served.get<EndpointDetail>("/api/endpoints/00:01.0");
      assert(detail.state.latency !== null && detail.state.latency.samples > 0);
      assert(detail.state.heat !== null);
    });

    await t.step("Faults has them while the run goes on", async () => {
      await visit(page, "Faults");
      await page.waitForFunction(() =>
        document.querySelector("[role=grid][aria-label=Faults] [role=gridcell]") !== null &&
        document.querySelector(".top .pill")!.textContent === "live"
      );
    });

    await t.step(
      "Messages never has more than the server keeps, and says what that is not",
      async () => {
        await visit(page, "Messages");
        await page.getByRole("grid", { name: "Messages" }).waitFor();
        let mostDropped = 0;
        for (;;) {
          const look = await page.evaluate(() => ({
            text: document.querySelector("#messages-title")!.nextElementSibling!.textContent!,
            rows: Number(document.querySelector("[role=grid]")!.getAttribute("aria-rowcount")) - 1,
            state: document.querySelector(".top .pill")!.textContent,
          }));
          const { text, rows, state } = look;
          const match = MESSAGES.exec(text);
          assert(match !== null, text);
          const [, some, all, dropped] = match.map((digits) => integer(digits ?? ""));
          assertEquals(rows, match[1] === undefined ? all! : some!, text);
          assert(rows <= all!, `${rows} rows, and it says ${text}`);
          if (state === "ended") break;
          mostDropped = Math.max(mostDropped, dropped!);
          await page.waitForFunction(
            ({ text, state }) =>
              document.querySelector("#messages-title")!.nextElementSibling!.textContent !== text ||
              document.querySelector(".top .pill")!.textContent !== state,
            look,
          );
        }
        // Or nothing of what this is about has happened while the page looked on.
        assert(mostDropped > 0, "nothing was dropped");
      },
    );

    const { metrics, run } = await served.ended(id);
    assertEquals(run.state, "passed");
    assert(metrics !== null);
    await untilState(page, "ended");

    await t.step("Overview ends with the report's numbers", async () => {
      await visit(page, "Overview");
      await page.waitForFunction(
        (all) => Number(document.querySelector<HTMLDataElement>(".tile data")?.value) === all,
        metrics.translations,
      );
      const shown = await totals(page);
      assertEquals([shown["Translations"], shown["IOTLB hits"], shown["Faults"]], [
        metrics.translations,
        metrics.iotlbHits,
        metrics.faults,
      ]);
      const rows = await cells(page.getByRole("region", { name: "Endpoints, table" }));
      assertEquals(rows.reduce((sum, row) => sum + integer(row[4]!), 0), metrics.translations);
      assertEquals(rows.reduce((sum, row) => sum + integer(row[6]!), 0), metrics.faults);
      const faults = await served.get<FaultsPage>("/api/faults?limit=1");
      assertEquals(faults.total + faults.dropped, metrics.faults);
    });

    await t.step("Messages ends with the API's numbers", async () => {
      await visit(page, "Messages");
      const { total, dropped } = await served.get<MessagesPage>("/api/messages?limit=1");
      assert(total > 1000 && dropped > 0, `${total} messages, ${dropped} dropped`);
      await page.waitForFunction(
        (total) =>
          document.querySelector("[role=grid]")?.getAttribute("aria-rowcount") === String(total),
        total + 1,
      );
      const text = await page.locator("#messages-title + .summary").textContent();
      assertEquals(MESSAGES.exec(text!)?.slice(1).map((digits) => integer(digits ?? "")), [
        0,
        total,
        dropped,
      ]);
      // The list begins where what is kept does, and ends with the last message of all.
      const grid = page.getByRole("grid", { name: "Messages" });
      await grid.focus();
      for (const [key, number] of [["Home", dropped], ["End", dropped + total - 1]] as const) {
        await page.keyboard.press(key);
        await page.locator("#fields-title + .summary", {
          hasText: new RegExp(`^message ${[...String(number)].join("\\s?")}, `),
        }).waitFor();
      }
    });

    await t.step("Domains has the numbers of the API", async () => {
      await visit(page, "Domains");
      const { domains } = await served.get<DomainList>("/api/domains");
      assert(domains.length > 0);
      assertEquals(
        integer(await page.getByRole("link", { name: "Domains" }).locator(".count").textContent()),
        domains.length,
      );
      for (const { id, mappings } of domains) {
        const all = await served.get<MappingsPage>(`/api/domains/${id}/mappings?limit=1000`);
        assertEquals([all.total, all.mappings.length, all.leftOut], [mappings, mappings, 0]);
        await page.getByRole("combobox", { name: "Domain" }).selectOption(String(id));
        await page.getByRole("heading", { name: `Domain ${id}`, exact: true }).waitFor();
        await page.locator("#mappings-title + .summary", {
          hasText: new RegExp(`^${mappings} mappings?$`),
        }).waitFor();
        const grid = page.getByRole("grid", { name: "Mappings" });
        assertEquals(Number(await grid.getAttribute("aria-rowcount")), mappings + 1);
        const { iova, last } = all.mappings[0]!;
        await grid.getByText(`0x${iova.toString(16)}..0x${last.toString(16)}`, { exact: true })
          .waitFor();
      }
    });

    await t.step("Domains has the hits of each mapping, as the API", async () => {
      await visit(page, "Domains");
      await page.getByRole("combobox", { name: "Domain" }).selectOption("1");
      await page.getByRole("heading", { name: "Domain 1", exact: true }).waitFor();
      const grid = page.getByRole("grid", { name: "Mappings" });
      await grid.getByRole("columnheader", { name: "Hits (sampled)" }).waitFor();
      const { mappings } = await served.get<MappingsPage>("/api/domains/1/mappings?limit=1000");
      assert(mappings.some(({ hits }) => hits !== null && hits > 0));
      const first = await grid.getByRole("row").nth(1).getByRole("gridcell").last().textContent();
      assertEquals<number | null>(integer(first), mappings[0]!.hits);
    });

    await t.step("nothing was complained of", () => assertEquals(chromium.complaints, []));
  },
});
