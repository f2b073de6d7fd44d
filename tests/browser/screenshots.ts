/// <reference lib="dom" />
/**
 * Where pictures of the page go.
 * @module
 */

import { fromFileUrl, join, resolve } from "@std/path";
import type { Page } from "playwright-core";

const ROOT = resolve(fromFileUrl(import.meta.url), "..", "..", "..");
/** Ignored by git. */
const FOLDER = join(ROOT, ".cache", "screenshots");
/** The picture of the README. */
const README_PICTURE = join(ROOT, ".github", "dashboard.png");

/** Keeps a picture of the whole page, for people to look at. @returns its bytes */
export async function keepPicture(page: Page, name: string): Promise<Uint8Array> {
  await Deno.mkdir(FOLDER, { recursive: true });
  // Charts out of sight are not drawn.
  await page.evaluate(async () => {
    for (let y = 0; y < document.body.scrollHeight; y += 400) {
      scrollTo(0, y);
      await new Promise((resolve) => requestAnimationFrame(resolve));
    }
    scrollTo(0, 0);
  });
  return await page.screenshot({
    path: join(FOLDER, `${name}.png`),
    fullPage: true,
    animations: "disabled",
  });
}

/**
 * Makes the README's picture, down to the end of the endpoints, where there is none yet: delete the
 * file to have it made anew. @returns its bytes, of the file that is there now
 */
export async function readmePicture(page: Page): Promise<Uint8Array> {
  try {
    return await Deno.readFile(README_PICTURE);
  } catch {
    await Deno.mkdir(join(README_PICTURE, ".."), { recursive: true });
    const end = await page.locator("section", { hasText: "Endpoints" }).last().boundingBox();
    return await page.screenshot({
      path: README_PICTURE,
      fullPage: true,
      clip: { x: 0, y: 0, width: 1440, height: Math.ceil(end!.y + end!.height + 16) },
      animations: "disabled",
    });
  }
}
