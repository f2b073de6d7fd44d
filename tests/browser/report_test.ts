/// <reference lib="dom" />
/**
 * The page of `--html`, opened from a file: it asks for nothing, runs nothing but its own script,
 * can be read by everybody, and is of use without a mouse and without a script.
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { join, toFileUrl } from "@std/path";
import type { Locator, Page } from "playwright-core";
import { htmlReport } from "../../harness/report/html/html_report.ts";
import { NO_METRICS, type RunReport } from "../../harness/run/run_report.ts";
import { EXAMPLE_RUNS, EXAMPLE_SUMMARY } from "../golden/example_runs.ts";
import { violations } from "./accessibility.ts";
import { Chromium, hasChromium } from "./chromium.ts";
import { keepPicture } from "./screenshots.ts";

const browser = { ignore: !await hasChromium(), sanitizeOps: false, sanitizeResources: false };

/** A report in a file of its own, and a browser that may look at that file and at nothing else. */
class Opened implements AsyncDisposable {
  readonly url: string;
  readonly chromium: Chromium;
  readonly #folder: string;

  private constructor(folder: string, url: string, chromium: Chromium) {
    this.#folder = folder;
    this.url = url;
    this.chromium = chromium;
    // Of a file's origin, which is none, the page itself counts as elsewhere.
    chromium.expected = new RegExp(`^request to ${url.replaceAll(/[.+]/g, "\\$&")}(?:#.*)?$`);
  }

  static async write(runs: readonly RunReport[]): Promise<Opened> {
    const folder = await Deno.makeTempDir({ prefix: "viaduct-report-" });
    const file = join(folder, "report.html");
    const files = [{ flag: "--trace", path: "out/trace.json" }];
    await Deno.writeTextFile(file, htmlReport({ ...EXAMPLE_SUMMARY, runs }, files));
    return new Opened(folder, toFileUrl(file).href, await Chromium.start());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.chromium[Symbol.asyncDispose]();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** Runs that fill every chart, with variants, thresholds and repeats. */
function manyRuns(count: number): RunReport[] {
  return Array.from({ length: count }, (_, at) => {
    const failed = at % 10 === 3;
    const via = at % 4 < 2 ? "direct" : "vfio-user";
    return {
      scenario: `scenario-${Math.floor(at / 8)}`,
      mode: at % 2 === 0 ? "identity" : "remap",
      via,
      ...(at % 8 > 5 ? { variant: "messages" as const } : {}),
      status: failed ? "failed" : "passed",
      ...(failed ? { reason: `Check ${at} failed`, rerun: `deno task scenario --seed ${at}` } : {}),
      durationMs: 1 + (at * 7919) % 2000,
      checks: [
        { name: "holds", ok: !failed, ...(failed ? { detail: "was 0x1000" } : {}) },
        { name: "threshold faults: value<9", ok: at % 20 !== 3 },
      ],
      metrics: {
        ...NO_METRICS,
        translations: (at * 97) % 5000,
        iotlbHits: (at * 89) % 4000,
        iotlbMisses: at % 300,
        faults: at % 3,
        dmaReadBytes: at * 4096,
        dmaWriteBytes: at * 512,
      },
      seed: at,
    };
  });
}

function rows(page: Page): Locator {
  return page.locator("#runs tbody tr:visible");
}

for (const theme of ["dark", "light"] as const) {
  for (const width of [1440, 390]) {
    Deno.test({
      ...browser,
      name:
        `the report opens from a file and axe-core finds nothing, ${theme}, ${width} pixels wide`,
      fn: async () => {
        await using opened = await Opened.write([...EXAMPLE_RUNS, ...manyRuns(32)]);
        const page = await opened.chromium.open(opened.url, { theme, width });
        await page.getByRole("heading", { name: /^Viaduct scenario runs/ }).waitFor();
        assertEquals(await violations(page), []);
        const out = await page.evaluate(() =>
          document.documentElement.scrollWidth - document.documentElement.clientWidth
        );
        assertEquals(out, 0, `it is ${out} pixels too wide`);
        await keepPicture(page, `report-${width}-${theme}`);
        for (const summary of await page.locator(".chart summary").all()) await summary.click();
        assertEquals(await violations(page), []);
        assertEquals(opened.chromium.complaints, []);
      },
    });
  }
}

Deno.test({
  ...browser,
  name: "the report's filter works by keyboard, on failures, matrix and runs alike",
  fn: async () => {
    await using opened = await Opened.write(manyRuns(80));
    const page = await opened.chromium.open(opened.url);
    const count = page.locator("#filter-count");
    await count.filter({ hasText: "80 runs" }).waitFor();
    const articles = page.locator("#failures article:visible");
    assertEquals(await articles.count(), 8);

    await page.keyboard.press("/");
    await page.keyboard.type("SCENARIO-1 check");
    await count.filter({ hasText: /^1 of 80 runs$/ }).waitFor();
    assertEquals([await rows(page).count(), await articles.count()], [1, 1]);
    assertStringIncludes(await rows(page).first().innerText(), "scenario-1");
    await page.keyboard.press("Escape");
    await count.filter({ hasText: /^80 runs$/ }).waitFor();

    await page.keyboard.press("Tab");
    assertEquals(await page.evaluate(() => document.activeElement!.id), "filter-status");
    await page.keyboard.type("failed");
    await count.filter({ hasText: /^8 of 80 runs$/ }).waitFor();
    await page.keyboard.press("Tab");
    await page.keyboard.press("Tab");
    await page.keyboard.type("vfio");
    await count.filter({ hasText: /^4 of 80 runs$/ }).waitFor();
    assertEquals(await articles.count(), 4);
    assertEquals(
      await page.locator("#matrix thead th:visible").allInnerTexts(),
      ["Scenario", "identity via vfio-user", "remap via vfio-user"],
    );
    assertEquals(
      await page.locator("#matrix tbody tr:visible td:visible").evaluateAll((cells) =>
        cells.every((cell) => (cell as HTMLElement).dataset["via"] === "vfio-user")
      ),
      true,
    );

    await page.keyboard.press("/");
    await page.keyboard.type("nothing like it");
    await count.filter({ hasText: /^0 of 80 runs$/ }).waitFor();
    await page.getByText("No failed run passes the filter").waitFor();
    await page.getByText("No run passes the filter", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Clear" }).focus();
    await page.keyboard.press("Enter");
    await count.filter({ hasText: /^80 runs$/ }).waitFor();
    assertEquals(await page.evaluate(() => document.activeElement!.id), "filter-text");
    assertEquals(opened.chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "Tab stops at every control of the report, in sight, and a copy button copies its command",
  fn: async () => {
    await using opened = await Opened.write(EXAMPLE_RUNS);
    const page = await opened.chromium.open(opened.url);
    await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
    const stops: string[] = [];
    for (let stop = 0; stop < 60; stop++) {
      await page.keyboard.press("Tab");
      const { name, seen, end } = await page.evaluate(() => {
        const element = document.activeElement as HTMLElement;
        const { outlineStyle, outlineWidth } = getComputedStyle(element);
        const { top, bottom } = element.getBoundingClientRect();
        return {
          name: element.getAttribute("aria-label") ?? element.textContent ?? "",
          seen: outlineStyle !== "none" && parseFloat(outlineWidth) >= 1 && bottom > 0 &&
            top < innerHeight,
          end: element === document.body,
        };
      });
      if (end) break;
      stops.push(name);
      assert(seen, name);
      if (name.startsWith("Copy the command")) {
        await page.keyboard.press("Enter");
        await page.getByRole("status").filter({ hasText: "Copied" }).waitFor();
        assertEquals(
          await page.evaluate(() => navigator.clipboard.readText()),
          EXAMPLE_RUNS[3]!.rerun!,
        );
      }
    }
    for (
      const name of ["Skip to the results", "Clear", "Log of run 4", "Matrix, table", "failed"]
    ) {
      assert(stops.includes(name), `${name} is not among ${stops.join(", ")}`);
    }
    await page.getByRole("link", { name: "failed" }).press("Enter");
    // As the page has it: `page.url()` is told a moment later.
    await page.waitForFunction(() => location.hash === "#run-4");
    assertEquals(opened.chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "nothing of what a run said runs, loads or changes the report",
  fn: async () => {
    const hostile = `"'></pre></script></style></title><script>top.hit=1</script>` +
      `<img src=x onerror="top.hit=1"><svg onload="top.hit=1"><style>*{display:none}</style>` +
      `<meta http-equiv=refresh content="0;url=http://127.0.0.1:9/">\u0000\u202e`;
    const steps = [{ name: hostile, depth: 0, ok: false, durationMs: 1 }];
    await using opened = await Opened.write([{
      ...EXAMPLE_RUNS[3]!,
      scenario: hostile,
      reason: hostile,
      checks: [
        { name: hostile, ok: false, detail: hostile },
        { name: `threshold ${hostile}`, ok: false, detail: hostile },
      ],
      errors: [hostile],
      log: [hostile],
      output: hostile,
      rerun: hostile,
      steps,
    }]);
    const page = await opened.chromium.open(opened.url);
    await page.locator("#filter-count").filter({ hasText: "1 runs" }).waitFor();
    for (const summary of await page.locator("summary").all()) await summary.click();
    assertEquals(
      await page.evaluate(() => [
        (globalThis as unknown as { hit?: number }).hit ?? null,
        document.querySelectorAll("img, script:not(body > script), style:not(head > style)").length,
        document.querySelectorAll("script").length,
      ]),
      [null, 0, 1],
    );
    assertStringIncludes(
      await page.locator("article .reason").innerText(),
      '<img src=x onerror="top.hit=1">',
    );
    assertEquals(opened.chromium.complaints, []);
    // And were there a hole in the escaping, the policy would stop it.
    opened.chromium.expected = /Content Security Policy|TrustedScript|violates|request to file/;
    const stopped = await page.evaluate(() => {
      const hit = globalThis as unknown as { hit?: number };
      const script = document.createElement("script");
      try {
        script.text = "top.hit=1";
      } catch {
        // By trusted types.
      }
      document.body.append(script);
      const image = document.createElement("img");
      try {
        image.setAttribute("onerror", "top.hit=1");
      } catch {
        // By trusted types.
      }
      return new Promise<number | null>((resolve) => {
        image.addEventListener("error", () => resolve(hit.hit ?? null));
        image.setAttribute("src", "x");
        document.body.append(image);
      });
    });
    assertEquals(stopped, null);
    assertEquals(opened.chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "the report is whole without its script, and shows no control that would do nothing",
  fn: async () => {
    await using opened = await Opened.write(EXAMPLE_RUNS);
    const context = await opened.chromium.browser.newContext({ javaScriptEnabled: false });
    const page = await context.newPage();
    await page.goto(opened.url);
    assertEquals(await rows(page).count(), EXAMPLE_RUNS.length);
    assertEquals(await page.locator("article:visible").count(), 1);
    assertEquals(await page.locator("#filter:visible, button:visible, input:visible").count(), 0);
    assertEquals(await page.locator(".picture:visible").count(), 6);
    await context.close();
  },
});

Deno.test({
  ...browser,
  name: "a report of 10 000 runs is filtered within a second",
  fn: async () => {
    await using opened = await Opened.write(manyRuns(10_000));
    const page = await opened.chromium.open(opened.url);
    const count = page.locator("#filter-count");
    await count.filter({ hasText: "10000 runs, the first 1000 listed" }).waitFor();
    await page.keyboard.press("/");
    await page.keyboard.type("scenario-77");
    await count.filter({ hasText: /^88 of 10000 runs$/ }).waitFor();
    const tookMs = await page.evaluate(() => {
      const status = document.getElementById("filter-status") as HTMLSelectElement;
      const started = performance.now();
      status.value = "passed";
      status.dispatchEvent(new Event("change"));
      // Reading it makes the layout.
      document.documentElement.getBoundingClientRect();
      return performance.now() - started;
    });
    assert(tookMs < 1000, `it took ${tookMs} ms`);
    await count.filter({ hasText: /^79 of 10000 runs$/ }).waitFor();
    await page.keyboard.press("Escape");
    await count.filter({ hasText: "9000 of 10000 runs, the first 1000 listed" }).waitFor();
    assertEquals(await rows(page).count(), 1000);
    assertEquals(opened.chromium.complaints, []);
  },
});
