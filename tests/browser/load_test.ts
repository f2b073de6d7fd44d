/**
 * A crowd does not slow the page down: no task of its main thread lasts 100 ms.
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { integer, PAGE_NAMES, untilSnapshot, untilState, visit } from "./app_page.ts";
import { Chromium, hasChromium } from "./chromium.ts";
import { FakeDashboard } from "./fake_dashboard.ts";
import { startNoting, stopNoting } from "./main_thread.ts";
import { Served } from "./served.ts";

const browser = { ignore: !await hasChromium(), sanitizeOps: false, sanitizeResources: false };

/** Milliseconds beyond which people notice. */
const LONG_MS = 100;
const MAPPINGS = 65_536;
const FAULTS = 10_000;

/** Fails when a task took too long. Their number says that they were noted at all. */
async function assertBrief(chromium: Chromium): Promise<void> {
  const tasks = await stopNoting(chromium.browser);
  assert(tasks.length > 1000, `${tasks.length} tasks were noted`);
  const long = tasks.filter(({ cpuMs }) => cpuMs >= LONG_MS);
  assertEquals(long, [], `the longest took ${tasks[0]!.cpuMs} ms`);
}

Deno.test({
  ...browser,
  name: "a real run with 65 536 mappings and 10 000 faults leaves the page responsive",
  fn: async () => {
    await using served = await Served.start();
    await using chromium = await Chromium.start();
    const page = await chromium.open(served.link);
    await untilState(page, "idle");
    await startNoting(chromium.browser, page);
    const { id } = await served.run({ scenario: "crowded", mode: "remap", via: "direct" });
    await untilState(page, "live");
    // While it goes on, the reader goes round.
    const end = served.ended(id);
    let ended = false;
    end.then(() => ended = true, () => ended = true);
    do {
      for (const name of PAGE_NAMES) {
        await visit(page, name);
        await page.waitForTimeout(250);
      }
    } while (!ended);
    const { run, metrics } = await end;
    assertEquals(run.state, "passed");
    assertEquals(metrics!.faults, FAULTS);

    await visit(page, "Domains");
    await page.getByRole("status").getByText(/^65\D536 mappings$/).waitFor();
    const mappings = page.getByRole("grid", { name: "Mappings" });
    assertEquals(Number(await mappings.getAttribute("aria-rowcount")), MAPPINGS + 1);
    await mappings.focus();
    await page.keyboard.press("End");
    await page.locator(`[aria-rowindex="${MAPPINGS + 1}"]`).waitFor();
    for (let i = 0; i < 20; i++) await page.keyboard.press("PageUp");
    await page.getByLabel("Filter Domains").fill("iova:0x40*");
    // 16 MiB of them, 8 KiB from one to the next, and the head.
    await mappings.and(page.locator('[aria-rowcount="2049"]')).waitFor();
    await page.getByLabel("Filter Domains").fill("");

    await visit(page, "Faults");
    const faults = page.getByRole("grid", { name: "Faults" });
    await faults.waitFor();
    assert(integer(await page.locator("#faults-title + p").textContent()) > 1000);
    await faults.focus();
    await page.keyboard.press("End");
    for (let i = 0; i < 20; i++) await page.keyboard.press("PageUp");
    await page.getByLabel("Filter Faults").fill("reason:unmapped");
    await page.getByText(/^10\D000 of 10\D000 faults$/).waitFor();

    await assertBrief(chromium);
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "a thousand endpoints, with faults by the hundred, leave the page responsive and readable",
  fn: async () => {
    await using fake = await FakeDashboard.start({
      endpoints: 1000,
      mappings: MAPPINGS,
      faults: FAULTS,
      messages: 20_000,
      faultsPerSnapshot: 100,
    });
    await using chromium = await Chromium.start();
    const page = await chromium.open(fake.url);
    await untilState(page, "live");
    await page.locator(".legend").first().waitFor();
    await startNoting(chromium.browser, page);
    for (const name of PAGE_NAMES) {
      await visit(page, name);
      await untilSnapshot(page, fake.sequence + 6);
    }
    await visit(page, "Overview");
    // The busiest by name, and one series for all the others.
    const legend = page.locator(".legend").first();
    await legend.getByText("993 others", { exact: true }).waitFor();
    const names = await legend.locator(".name, a").allTextContents();
    assertEquals(names.length, 8);
    assertEquals(names[7], "993 others");
    await assertBrief(chromium);
    assertEquals(chromium.complaints, []);
  },
});
