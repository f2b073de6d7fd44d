/**
 * A real Chromium, from Debian's packages, with a page that may not complain.
 * @module
 */

import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { isInstalled } from "../packages.ts";

// What a machine without a display, a sandbox and a way out needs.
const ARGUMENTS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** How a page is opened. */
export interface PageOptions {
  readonly width?: number;
  readonly theme?: "dark" | "light";
  readonly reducedMotion?: "reduce" | "no-preference";
  /** What is done with it before it goes to its address: what it asks for first is answered already. */
  readonly before?: (page: Page) => Promise<unknown>;
}

/** Whether there is a Chromium. Says loudly when there is none; in CI that is a failure. */
export async function hasChromium(): Promise<boolean> {
  if (await isInstalled("chromium")) return true;
  const message = "SKIPPED: the browser tests, without chromium: apt-get install chromium";
  if ((Deno.env.get("CI") ?? "") !== "") throw new Error(message);
  Deno.stderr.writeSync(new TextEncoder().encode(`${message}\n`));
  return false;
}

/** A browser of its own, with an empty profile that goes when it does. */
export class Chromium implements AsyncDisposable {
  /** The browser itself. */
  readonly browser: Browser;
  readonly #contexts: BrowserContext[] = [];
  /** What pages have complained of: console errors, exceptions, requests to elsewhere. */
  readonly complaints: string[] = [];
  /** Complaints that a test foresees. */
  expected: RegExp | null = null;

  private constructor(browser: Browser) {
    this.browser = browser;
  }

  /** Starts one. */
  static async start(): Promise<Chromium> {
    return new Chromium(
      await chromium.launch({ executablePath: "/usr/bin/chromium", args: ARGUMENTS }),
    );
  }

  /** A page on `url`, watched for complaints. */
  async open(url: string, options: PageOptions = {}): Promise<Page> {
    const { width = 1440, theme = "dark", reducedMotion = "no-preference" } = options;
    const context = await this.browser.newContext({
      viewport: { width, height: width < 600 ? 844 : 900 },
      colorScheme: theme,
      reducedMotion,
    });
    this.#contexts.push(context);
    const page = await context.newPage();
    const complain = (text: string) => {
      if (this.expected === null || !this.expected.test(text)) this.complaints.push(text);
    };
    page.on("console", (message) => {
      if (message.type() === "error" || message.type() === "warning") complain(message.text());
    });
    page.on("pageerror", (error) => complain(String(error)));
    const { origin } = new URL(url);
    page.on("request", (request) => {
      const to = request.url();
      if (!to.startsWith(origin) && !/^(?:data|blob):/.test(to)) complain(`request to ${to}`);
    });
    page.setDefaultTimeout(15_000);
    await options.before?.(page);
    await page.goto(url);
    return page;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const context of this.#contexts) {
      // A page asks until it goes, and what a test was about to answer then has nobody to go to.
      for (const page of context.pages()) await page.unrouteAll({ behavior: "ignoreErrors" });
      await context.close();
    }
    await this.browser.close();
  }
}
