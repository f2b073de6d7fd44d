/// <reference lib="dom" />
/**
 * A run whose devices are in another process, on the pages: live by endpoint, and at its end with
 * the numbers of its report.
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import type { EndpointDetail, FaultsPage, MappingsPage, Snapshot } from "../../web/api.ts";
import { cells, integer, totals, untilState, visit } from "./app_page.ts";
import { Chromium, hasChromium } from "./chromium.ts";
import { Served } from "./served.ts";

const browser = { ignore: !await hasChromium(), sanitizeOps: false, sanitizeResources: false };

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
      const detail = await served.get<EndpointDetail>("/api/endpoints/00:01.0");
      assert(detail.state.latency !== null && detail.state.latency.samples > 0);
      assert(detail.state.heat !== null);
    });

    await t.step("Faults has them while the run goes on", async () => {
      await visit(page, "Faults");
      await page.getByRole("grid", { name: "Faults" }).getByRole("row").nth(1).waitFor();
      assertEquals((await served.get<Snapshot>("/api/state")).state, "live");
    });

    const { metrics, run } = await served.ended(id);
    assertEquals(run.state, "passed");
    assert(metrics !== null);
    await untilState(page, "ended");

    await t.step("Overview ends with the report's numbers", async () => {
      await visit(page, "Overview");
      await page.waitForFunction(
        (all) => Number(document.querySelector<HTMLDataElement>(".tile data")!.value) === all,
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

    await t.step("Domains has the hits of each mapping, as the API", async () => {
      await visit(page, "Domains");
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
