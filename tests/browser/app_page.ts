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

/** Goes to a page by its link in the navigation. */
export async function visit(page: Page, name: typeof PAGE_NAMES[number]): Promise<void> {
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

/** Exact numbers of the overview's totals, by name. */
export async function totals(page: Page): Promise<Record<string, number>> {
  const tiles = await page.locator(".tile").evaluateAll((elements) =>
    elements.map((tile) => [
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

/** Text of every cell of a table, by row. */
export async function cells(region: Locator): Promise<string[][]> {
  return await region.locator("tbody tr").evaluateAll((rows) =>
    rows.map((row) => [...row.children].map((cell) => cell.textContent ?? ""))
  );
}
