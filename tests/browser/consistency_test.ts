/// <reference lib="dom" />
/**
 * Numbers that stand at two places of the page agree, and what is not exact says so.
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import type { Page, Route } from "playwright-core";
import type {
  FaultsPage,
  MessagesPage,
  RunDetail,
  Snapshot,
  TranslateResult,
} from "../../web/api.ts";
import { integer, untilSnapshot, untilState } from "./app_page.ts";
import { Chromium, hasChromium } from "./chromium.ts";
import { FakeDashboard } from "./fake_dashboard.ts";
import { keepPicture } from "./screenshots.ts";

const browser = { ignore: !await hasChromium(), sanitizeOps: false, sanitizeResources: false };

/** The numbers of a sentence, in order. */
function numbers(text: string | null): number[] {
  return [...(text ?? "").matchAll(/\d[\d\u202f]*/g)].map(([digits]) => integer(digits));
}

async function json<T>(url: string): Promise<T> {
  return await (await fetch(url)).json() as T;
}

Deno.test({
  ...browser,
  name: "Messages lets go of what the server has dropped, and says how much that is",
  fn: async () => {
    await using fake = await FakeDashboard.start({ messages: 9000 });
    await using chromium = await Chromium.start();
    // What the server keeps of them, as a busy run moves it on.
    let kept = { first: 0, end: 2500 };
    const answer = async (route: Route) => {
      const { first, end } = kept;
      const url = new URL(route.request().url());
      const cursor = Math.max(first, Number(url.searchParams.get("cursor") ?? 0));
      const limit = Math.min(Number(url.searchParams.get("limit")), end - cursor);
      url.searchParams.set("cursor", String(cursor));
      url.searchParams.set("limit", String(limit));
      const some = await json<MessagesPage>(url.href);
      const body: MessagesPage = {
        ...some,
        total: end - first,
        dropped: first,
        next: cursor + limit >= end ? null : String(cursor + limit),
      };
      await route.fulfill({ json: body });
    };
    const page = await chromium.open(`${fake.url}#/messages?row=message-2000`, {
      before: (page) => page.route(/\/api\/messages/, answer),
    });
    const grid = page.getByRole("grid", { name: "Messages" });
    const summary = page.locator("section", { hasText: "Messages" }).first().locator(".summary");
    const rows = async () => Number(await grid.getAttribute("aria-rowcount")) - 1;
    await page.getByText(/^2\s?500 messages$/).waitFor();
    assertEquals(await rows(), 2500);
    await page.getByText(/^message 2\s?000, /).waitFor();

    const windows = [[1500, 5200], [4000, 5600], [8000, 9000]] as const;
    for (const [first, end] of windows) {
      kept = { first, end };
      await page.waitForFunction(
        (total) =>
          document.querySelector("[role=grid]")?.getAttribute("aria-rowcount") === String(total),
        end - first + 1,
      );
      assertEquals(numbers(await summary.textContent()), [end - first, first]);
      await grid.evaluate((it) => it.scrollTop = 0);
      await grid.getByRole("row").nth(1).getByRole("gridcell").first().filter({
        hasText: new RegExp(`^${[...String(first)].join("\\s?")}$`),
      }).waitFor();
    }
    await page.getByText("The message that this link names is not kept any more").waitFor();
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name:
    "Messages never shows more rows than are kept, while a list is loaded that loses its beginning",
  fn: async () => {
    await using fake = await FakeDashboard.start({ messages: 60_000 });
    await using chromium = await Chromium.start();
    // Each answer finds the server further on.
    let end = 3000;
    const answer = async (route: Route) => {
      const url = new URL(route.request().url());
      end = Math.min(60_000, end + 900);
      const first = Math.max(0, end - 4000);
      const cursor = Math.max(first, Number(url.searchParams.get("cursor") ?? 0));
      const limit = Math.min(1000, end - cursor);
      url.searchParams.set("cursor", String(cursor));
      url.searchParams.set("limit", String(limit));
      const some = await json<MessagesPage>(url.href);
      await route.fulfill({
        json: {
          ...some,
          total: end - first,
          dropped: first,
          next: cursor + limit >= end ? null : String(cursor + limit),
        },
      });
    };
    const page = await chromium.open(`${fake.url}#/messages`, {
      before: (page) => page.route(/\/api\/messages/, answer),
    });
    const grid = page.getByRole("grid", { name: "Messages" });
    await grid.waitFor();
    for (;;) {
      const { rows, text } = await page.evaluate(() => ({
        rows: Number(document.querySelector("[role=grid]")!.getAttribute("aria-rowcount")) - 1,
        text: document.querySelector("#messages-title")!.nextElementSibling!.textContent!,
      }));
      const found = numbers(text);
      const [shown, total] = / of /.test(text) ? found : [rows, found[0]!];
      assert(shown! <= total! && rows <= 4000, `${rows} rows, and it says ${text}`);
      if (end === 60_000 && !/ of /.test(text)) break;
      // The next look is at another moment, and there is one only while the list goes on to change.
      await page.waitForFunction(
        (last) =>
          document.querySelector("#messages-title")!.nextElementSibling!.textContent !== last,
        text,
      );
    }
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "Messages shows rows and numbers of one moment, also while an answer is waited for",
  fn: async () => {
    await using fake = await FakeDashboard.start({ messages: 5000 });
    await using chromium = await Chromium.start();
    const held = Promise.withResolvers<void>();
    const isHeld = Promise.withResolvers<void>();
    let request = 0;
    const answer = async (route: Route) => {
      const end = request === 0 ? 1500 : 5000;
      if (request++ === 2) {
        isHeld.resolve();
        await held.promise;
      }
      const url = new URL(route.request().url());
      const cursor = Number(url.searchParams.get("cursor") ?? 0);
      const some = await json<MessagesPage>(url.href);
      await route.fulfill({
        json: { ...some, total: end, next: cursor + 1000 >= end ? null : String(cursor + 1000) },
      });
    };
    const page = await chromium.open(`${fake.url}#/messages`, {
      before: async (page) => {
        await page.route(/\/api\/messages/, answer);
        // No time goes by from one look of the loader at its clock to the next: the page that comes
        // second is not shown, however slowly it comes.
        await page.addInitScript(() => performance.now = () => 0);
      },
    });
    await isHeld.promise;
    // With each snapshot the page is drawn.
    await untilSnapshot(page, fake.sequence + 2);
    const shown = await page.evaluate(() => ({
      text: document.querySelector("#messages-title + .summary")!.textContent,
      rows: Number(document.querySelector("[role=grid]")!.getAttribute("aria-rowcount")) - 1,
    }));
    assertEquals([...numbers(shown.text), shown.rows], [1000, 1500, 1000]);
    held.resolve();
    await page.locator("#messages-title + .summary", { hasText: /^5\s?000 messages$/ }).waitFor();
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "a past run that is left and come back to has each of its events once",
  fn: async () => {
    await using fake = await FakeDashboard.start();
    await using chromium = await Chromium.start();
    const held = Promise.withResolvers<void>();
    const answered = Promise.withResolvers<void>();
    let asked = 0;
    const answer = async (route: Route) => {
      const isFirst = asked++ === 0;
      if (isFirst) await held.promise;
      const { timeline, run } = await json<Snapshot>(`${fake.url}api/state`);
      const events = timeline.events.slice(0, 5);
      await route.fulfill({ json: { run, events, next: null, dropped: 0 } });
      if (isFirst) answered.resolve();
    };
    const first = Promise.withResolvers<void>();
    const page = await chromium.open(`${fake.url}#/overview?run=7`, {
      before: async (page) => {
        const path = /\/api\/timeline\?.*\brun=7/;
        await page.route(path, answer);
        page.on("request", (request) => {
          if (path.test(request.url())) first.resolve();
        });
      },
    });
    await first.promise;
    await page.evaluate(() => location.hash = "#/overview");
    await untilState(page, "live");
    await page.evaluate(() => location.hash = "#/overview?run=7");
    const events = page.getByRole("grid", { name: "Events" }).and(
      page.locator("[aria-rowcount='6']"),
    );
    await events.waitFor();
    held.resolve();
    await answered.promise;
    await untilSnapshot(page, fake.sequence + 2);
    assertEquals(await events.count(), 1);
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "Domains has no mappings of the run before while those of the next are waited for",
  fn: async () => {
    await using fake = await FakeDashboard.start();
    await using chromium = await Chromium.start();
    const held = Promise.withResolvers<void>();
    let isHeld = false;
    const page = await chromium.open(`${fake.url}#/domains/1`, {
      before: (page) =>
        page.route(/\/mappings/, async (route) => {
          if (isHeld) await held.promise;
          await route.fallback();
        }),
    });
    const summary = page.locator("#mappings-title + .summary");
    await summary.filter({ hasText: /^40 mappings$/ }).waitFor();
    fake.stand();
    isHeld = true;
    fake.startRun();
    fake.tick();
    await untilSnapshot(page, fake.sequence);
    assertEquals(await summary.textContent(), "");
    held.resolve();
    await summary.filter({ hasText: /^40 mappings$/ }).waitFor();
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "a message ID has one form, in the list and beside it",
  fn: async () => {
    await using fake = await FakeDashboard.start({ messages: 20 });
    await using chromium = await Chromium.start();
    const page = await chromium.open(`${fake.url}#/messages?row=message-0`);
    const grid = page.getByRole("grid", { name: "Messages" });
    await grid.waitFor();
    const { messages } = await json<MessagesPage>(`${fake.url}api/messages`);
    const id = `0x${messages[0]!.id.toString(16).padStart(4, "0")}`;
    assertEquals(id, "0x9167");
    const cell = grid.getByRole("row").nth(1).getByText(id, { exact: true });
    await cell.waitFor();
    assertEquals(await cell.evaluate((it) => it.scrollWidth - it.clientWidth), 0);
    await page.locator(".fields").getByText(id, { exact: true }).waitFor();
    assertEquals(await page.getByText(String(messages[0]!.id), { exact: true }).count(), 0);
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "Faults counts as the navigation does, and catches up when what they were comes later",
  fn: async () => {
    await using fake = await FakeDashboard.start({ faults: 49 });
    await using chromium = await Chromium.start();
    let late = 3;
    const answer = async (route: Route) => {
      const list = await json<FaultsPage>(route.request().url());
      await route.fulfill({
        json: { ...list, total: list.total - late, faults: list.faults.slice(late) },
      });
    };
    const page = await chromium.open(`${fake.url}#/faults`, {
      before: (page) => page.route(/\/api\/faults/, answer),
    });
    const summary = page.locator("#faults-title + .summary");
    await summary.waitFor();
    const badge = async () =>
      integer(
        await page.getByRole("link", { name: "Faults" }).first().locator(".count").textContent(),
      );
    assertEquals([await badge(), ...numbers(await summary.textContent())], [49, 49, 3]);
    late = 0;
    await summary.filter({ hasText: /^49 faults$/ }).waitFor();
    assertEquals([await badge(), ...numbers(await summary.textContent())], [49, 49]);
    await page.getByRole("grid", { name: "Faults" }).and(page.locator("[aria-rowcount='50']"))
      .waitFor();
    await page.getByLabel("Filter Faults").fill("reason:permission");
    await summary.filter({ hasText: /^16 of 49 faults$/ }).waitFor();
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "a run's thresholds stand by themselves before its checks: met or missed, wanted, actual",
  fn: async () => {
    await using fake = await FakeDashboard.start({ faults: 12 });
    await using chromium = await Chromium.start();
    for (const width of [1440, 390]) {
      const page = await chromium.open(`${fake.url}#/runs/1`, { width });
      const list = page.getByRole("list", { name: "2 thresholds: 1 met, 1 missed" });
      await list.waitFor();
      assertEquals(await list.getByRole("listitem").allInnerTexts(), [
        "✗\nfaults missed\nwanted value==0, actual 12",
        "✓\ntranslationSeconds met\nwanted p(99)<50e-6, actual ≈ 3.10 µs, ≤ 4.10 µs",
      ]);
      const isBefore = await list.evaluate((it) =>
        (it.compareDocumentPosition(
          [...document.querySelectorAll("summary")].find((one) =>
            one.textContent!.includes("check")
          )!,
        ) & Node.DOCUMENT_POSITION_FOLLOWING) !== 0
      );
      assert(isBefore);
      await keepPicture(page, `thresholds-${width}-dark`);
      await page.close();
    }
    assertEquals(chromium.complaints, []);
  },
});

/** All that stands on the page, axes of charts left out: those are drawn. */
async function text(page: Page): Promise<string> {
  return await page.evaluate(() => document.querySelector("main")!.innerText);
}

for (const reducedMotion of ["reduce", "no-preference"] as const) {
  Deno.test({
    ...browser,
    name: `charts ${
      reducedMotion === "reduce" ? "stand still, and move on in steps" : "follow each snapshot"
    } where motion has ${reducedMotion}`,
    fn: async () => {
      await using fake = await FakeDashboard.start();
      await using chromium = await Chromium.start();
      const page = await chromium.open(`${fake.url}#/endpoint`, { reducedMotion });
      await page.getByRole("img", { name: /^Heat map: / }).waitFor();
      fake.stand();
      const ends = new Set<string | null>();
      for (let seconds = 0; seconds < 60; seconds += 5) {
        fake.tick(5000);
        await untilSnapshot(page, fake.sequence);
        ends.add(await page.locator(".scale-row span").last().textContent());
      }
      // Of five minutes a step is half of one.
      if (reducedMotion === "reduce") assert(ends.size <= 3, `${ends.size} places`);
      else assertEquals(ends.size, 12);
      assertEquals(chromium.complaints, []);
    },
  });
}

Deno.test({
  ...browser,
  name: "a run whose words are longer than the page does not widen it",
  fn: async () => {
    await using fake = await FakeDashboard.start();
    await using chromium = await Chromium.start();
    const word = "w".repeat(400);
    for (const width of [1440, 390]) {
      const page = await chromium.open(`${fake.url}#/runs/1`, {
        width,
        before: (page) =>
          page.route(/\/api\/runs\/1$/, async (route) => {
            const response = await route.fetch();
            const detail = await response.json() as RunDetail;
            await route.fulfill({
              response,
              json: {
                ...detail,
                run: { ...detail.run, scenario: word, title: word, reason: word },
                steps: detail.steps.map((step) => ({ ...step, name: word })),
                checks: detail.checks.map((check) => ({ ...check, name: word, detail: word })),
                log: [word],
                errors: [word],
                output: word,
                rerun: word,
              },
            });
          }),
      });
      await page.getByRole("heading", { name: "Run 1: www" }).waitFor();
      assertEquals(await page.evaluate(() => document.documentElement.scrollWidth), width);
    }
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "one of a kind is told as one",
  fn: async () => {
    await using fake = await FakeDashboard.start({ faults: 1 });
    await using chromium = await Chromium.start();
    const page = await chromium.open(`${fake.url}#/endpoint`);
    await page.getByRole("link", { name: "1 fault", exact: true }).waitFor();
    fake.stand();
    await untilSnapshot(page, fake.sequence);
    fake.skip(1);
    fake.tick();
    await page.getByText("1 snapshot was dropped", { exact: true }).waitFor();
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "percentiles are told as what they are: bounds",
  fn: async () => {
    await using fake = await FakeDashboard.start();
    await using chromium = await Chromium.start();
    const page = await chromium.open(`${fake.url}#/overview`);
    await untilState(page, "live");
    const latency = page.locator("section", { hasText: "Translation latency" }).last();
    await latency.locator(".legend .value", { hasText: /^≤ / }).first().waitFor();
    for (const value of await latency.locator(".legend .value").allTextContents()) {
      assertMatch(value, /^≤ (?:128|256) ns$|^≤ [\d.]+ µs$/);
    }
    assertMatch((await latency.locator(".summary").textContent())!, /^p99: last ≤ .*highest ≤ /);
    const row = page.getByRole("region", { name: "Endpoints, table" }).locator("tbody tr").first();
    assertMatch((await row.locator("td").nth(7).textContent())!, /^≤ [12]\.\d+ µs$/);
    await page.goto(`${fake.url}#/endpoint/00:01.0`);
    await page.getByText(/p99 ≤ [12]\.\d+ µs/).first().waitFor();
    for (const [name] of (await text(page)).matchAll(/p99[^\n]*/g)) {
      if (/\d/.test(name.slice(3))) assertMatch(name, /≤/);
    }
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "the heat map names the first and the last IOVA at the ends of its axis",
  fn: async () => {
    await using fake = await FakeDashboard.start();
    await using chromium = await Chromium.start();
    const page = await chromium.open(`${fake.url}#/endpoint/00:01.0`);
    await untilState(page, "live");
    const panel = page.locator("section[aria-labelledby=heat-title]");
    const last = panel.getByText(/^↑ last IOVA 0x[0-9a-f]+fff$/);
    const first = panel.getByText(/^↓ first IOVA 0x[0-9a-f]+000$/);
    await last.waitFor();
    await first.waitFor();
    // At one moment: what is above them may grow in between.
    const boxes = await panel.evaluate((it) => {
      const [last, first] = it.querySelectorAll(".scale-row");
      return [last!, it.querySelector("canvas")!, first!].map((one) => {
        const { x, top, bottom } = one.getBoundingClientRect();
        return { x, top, bottom };
      });
    });
    assert(boxes[0]!.top < boxes[1]!.top && boxes[1]!.bottom <= boxes[2]!.top + 1);
    assert(boxes[0]!.x === boxes[1]!.x && boxes[2]!.x === boxes[1]!.x);
    await keepPicture(page, "heat-1440-dark");
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "rows of the BAR and MSI-X tables have addresses of their own",
  fn: async () => {
    await using fake = await FakeDashboard.start();
    await using chromium = await Chromium.start();
    const page = await chromium.open(`${fake.url}#/endpoint/00:01.0?filter=kind%3Amap`);
    await untilState(page, "live");
    const rows = [
      ["Base address registers, table", "2", "bar-2"],
      ["MSI-X table", "3", "msix-3"],
    ] as const;
    for (const [table, name, key] of rows) {
      const region = page.getByRole("region", { name: table });
      await region.getByRole("link", { name, exact: true }).click();
      const chosen = region.locator("tr[aria-current=true]");
      await chosen.waitFor();
      assertEquals(await page.locator("tr[aria-current=true]").count(), 1);
      assertMatch(page.url(), new RegExp(`filter=kind%3Amap&row=${key}$`));
      await page.getByRole("button", { name: /^Copy a link to this (?:BAR|vector)$/ }).waitFor();

      const other = await chromium.open(page.url(), { width: 390 });
      const same = other.getByRole("region", { name: table }).locator("tr[aria-current=true]");
      await same.getByRole("link", { name, exact: true }).waitFor();
      await other.waitForFunction(() => {
        const box = document.querySelector("tr[aria-current=true]")!.getBoundingClientRect();
        return box.top >= 0 && box.bottom <= innerHeight;
      });
      await other.close();
    }
    await page.keyboard.press("Escape");
    assertEquals(chromium.complaints, []);
  },
});

Deno.test({
  ...browser,
  name: "the made-up numbers of these tests agree with each other as a server's do",
  fn: async () => {
    await using fake = await FakeDashboard.start({ messages: 60 });
    const { messages } = await json<MessagesPage>(`${fake.url}api/messages?limit=60`);
    for (const { bytes, length, id, errno, type } of messages) {
      assertEquals(bytes.length, 2 * length);
      const view = new DataView(Uint8Array.fromHex(bytes).buffer);
      assertEquals([view.getUint16(0, true), view.getUint32(4, true)], [id, length]);
      assertEquals(view.getUint32(12, true), errno ?? 0);
      assertEquals((view.getUint32(8, true) & 0xf) === 1 || errno === 22, type === "reply");
    }
    for (const index of [0, 1, 2]) {
      for (const access of ["r", "w", "rw"]) {
        const path = `api/endpoints/8/translate?iova=${
          0x10_0000 + index * 0x3000
        }&access=${access}`;
        const { gpa, fault, walk } = await json<TranslateResult>(fake.url + path);
        const mapping = walk.find((step) => step.step === "mapping")!.mapping!;
        const permission = walk.find((step) => step.step === "permission")!;
        assertEquals([permission.allowed, permission.wanted], [mapping.access, access]);
        const allows = [...access].every((right) => mapping.access.includes(right));
        assertEquals(permission.ok, allows);
        assertEquals([gpa !== null, fault], [allows, allows ? null : "permission"]);
      }
    }
  },
});
