/// <reference lib="dom" />
/**
 * The page beside devices that are served: what it says while nobody is connected, and what it shows
 * of a client.
 * @module
 */

import { assertEquals } from "@std/assert";
import { Access, type Gpa, type Iova } from "../../core/address.ts";
import { settled, withClient, withServer } from "../web/_served.ts";
import { violations } from "./accessibility.ts";
import { untilState, untilWhole, visit } from "./app_page.ts";
import { Chromium, hasChromium } from "./chromium.ts";
import { keepPicture } from "./screenshots.ts";

const browser = { ignore: !await hasChromium(), sanitizeOps: false, sanitizeResources: false };

Deno.test({
  ...browser,
  name: "the page of deno task serve --dashboard awaits a client, and shows what it does",
  fn: async (t) => {
    await using chromium = await Chromium.start();
    await withServer(["edu"], async ({ link, socket }) => {
      const page = await chromium.open(link);
      const row = page.getByRole("row", { name: /00:04\.0/ });
      await t.step("while nobody is connected it says who is awaited", async () => {
        await untilState(page, "live");
        await page.getByText("No client is connected").waitFor();
        await row.getByText("none yet").waitFor();
        await untilWhole(page, "Overview");
        assertEquals(await violations(page), []);
        await visit(page, "Messages");
        await page.getByText("No message yet").waitFor();
        await visit(page, "Faults");
        await page.getByText("No fault yet").waitFor();
        await visit(page, "Runs");
        await page.getByRole("heading", { name: "Run 1: serve edu" }).waitFor();
        await page.getByText(/^npx -y deno@\S+ task serve edu --dashboard=0/).waitFor();
        for (const name of ["Start", "Stop"]) {
          assertEquals(await page.getByRole("button", { name, exact: true }).count(), 0, name);
        }
        assertEquals(await page.getByRole("heading", { name: "Scenarios" }).count(), 0);
        assertEquals(await violations(page), []);
        await keepPicture(page, "served-runs");
      });
      await withClient(socket("edu"), async (driven) => {
        await t.step("a client's DMA, mappings, fault and messages are there", async () => {
          const { edu, forwarder, client } = driven;
          client.wait(forwarder.map(1, 0x8000 as Iova, 0x5000 as Gpa, 0x1000, Access.READ_WRITE));
          await edu.dmaToDevice(0x8000, 0, 512);
          await settled(driven);
          await edu.dmaToDevice(0x6_0000, 0, 64);
          await settled(driven);
          await visit(page, "Overview");
          await row.getByText("connected", { exact: true }).waitFor();
          assertEquals(await page.getByText("No client is connected").count(), 0);
          await page.locator('.tile data[value="512"]').waitFor();
          await keepPicture(page, "served");
          await visit(page, "Domains");
          await page.getByText("0x8000").first().waitFor();
          // No client says what guest address a mapping leads to.
          await page.getByRole("columnheader", { name: "Window" }).waitFor();
          assertEquals(await page.getByRole("columnheader", { name: "GPA" }).count(), 0);
          await visit(page, "Faults");
          await page.getByText("0x60000").first().waitFor();
          await visit(page, "Messages");
          await page.getByLabel("Filter Messages").fill("command:DMA_MAP");
          await page.getByRole("row", { name: /DMA_MAP/ }).first().waitFor();
          await visit(page, "Endpoint");
          await page.getByText("client: connected").waitFor();
        });
      });
      await t.step("when it has left, the page says so", async () => {
        await page.getByText("client: left").waitFor();
        await visit(page, "Overview");
        await page.getByText("1 client came and left").waitFor();
      });
      assertEquals(chromium.complaints, []);
      // The server goes, and with it what the page asks.
      chromium.expected = /./;
    });
  },
});
