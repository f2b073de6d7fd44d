/// <reference lib="dom" />
/**
 * The page as a reader goes about on it.
 * @module
 */

import type { Locator, Page } from "playwright-core";

/** The pages, by the names of the navigation. */
export const PAGE_NAMES = [
  "Overview",
  "Endpoint",
  "Domains",
  "Faults",
  "Messages",
  "Runs",
] as const;

/** A page. */
export type PageName = typeof PAGE_NAMES[number];

/** Goes to a page by its link in the navigation. */
export async function visit(page: Page, name: PageName): Promise<void> {
  await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name }).click();
  await page.waitForFunction((title) => document.title.startsWith(title), name);
}

/** The pill of the top bar. */
export function statePill(page: Page): Locator {
  return page.locator(".top .pill");
}

/** Resolves once the pill says `text`. */
export async function untilState(page: Page, text: string): Promise<void> {
  await statePill(page).filter({ hasText: new RegExp(`^${text}$`) }).waitFor();
}

/** What comes last of each page while a run goes on: drawn after the rest, or with the server's answer. */
const LAST: Readonly<Record<PageName, readonly string[]>> = {
  Overview: ["#timeline-title"],
  Endpoint: ["#timeline-title", "#msix-title"],
  Domains: ["#timeline-title", "[role=grid][aria-label=Mappings]"],
  Faults: ["[role=grid][aria-label=Faults]"],
  Messages: ["[role=grid][aria-label=Messages]"],
  Runs: ["#scenarios-title", ".artifacts"],
};

/** Goes to a page as {@linkcode visit}, and resolves when all parts of it are there. */
export async function visitWhole(page: Page, name: PageName): Promise<void> {
  await visit(page, name);
  await untilWhole(page, name);
}

/** Resolves when all parts of the page are there that it has while a run goes on. */
export async function untilWhole(page: Page, name: PageName): Promise<void> {
  for (const part of LAST[name]) await page.locator(part).waitFor();
}

/** Number of the snapshot that the page shows. */
export async function snapshotShown(page: Page): Promise<number> {
  const text = await page.locator(".foot").getByText(/^Snapshot /).textContent();
  return integer(text!.split(",", 1)[0]!);
}

/** Resolves when the page shows the snapshot of that number, or a later one. */
export async function untilSnapshot(page: Page, sequence: number): Promise<void> {
  await page.waitForFunction((least) => {
    const text = document.querySelector(".foot span")!.textContent!;
    return Number(text.split(",", 1)[0]!.replaceAll(/\D/g, "")) >= least;
  }, sequence);
}

/** Exact numbers of the overview's totals, by name. */
export async function totals(page: Page): Promise<Record<string, number>> {
  const tiles = await page.locator(".tiles").evaluate((list) =>
    [...list.querySelectorAll(".tile")].map((tile) => [
      tile.querySelector("dt")!.textContent ?? "",
      Number(tile.querySelector("data")!.value),
    ])
  );
  return Object.fromEntries(tiles as [string, number][]);
}

/** An integer as it stands on the page, its groups of digits apart. */
export function integer(text: string | null): number {
  return Number((text ?? "").replaceAll(/[^\d]/g, ""));
}

/** Text of every cell of a table, by row, at one moment: waits for the table, which may come after its page. */
export async function cells(region: Locator): Promise<string[][]> {
  return await region.evaluate((element) =>
    [...element.querySelectorAll("tbody tr")].map((row) =>
      [...row.children].map((cell) => cell.textContent ?? "")
    )
  );
}
