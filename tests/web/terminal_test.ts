/**
 * `deno task scenario --dashboard` on a terminal: it stays until somebody has looked.
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl } from "@std/path";
import type { RunDetail, RunList } from "../../web/api.ts";
import { type Client, clientOf, PATIENCE_MS } from "./_command.ts";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));
const FIXTURES = "tests/conformance/cli_scenarios/";
/** Gives a command a terminal; of util-linux, which every Debian has. */
const SCRIPT = "/usr/bin/script";
const LINK = /dashboard (http:\S+)/;
const STAYS = /The dashboard stays until .*Ctrl-C/;

async function isThere(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch {
    Deno.stderr.writeSync(new TextEncoder().encode(`SKIPPED: tests of a terminal, no ${path}\n`));
    return false;
  }
}

/** A command on a terminal of its own, whose keys the test presses. */
class OnTerminal {
  readonly #process: Deno.ChildProcess;
  readonly #keys: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  readonly #reading: Promise<void>;
  #told: () => void = () => {};
  #isOver = false;
  text = "";

  constructor(args: readonly string[]) {
    const words = [Deno.execPath(), "run", "-A", "--quiet", "web/scenario.ts", ...args];
    this.#process = new Deno.Command(SCRIPT, {
      // Without exec the shell would have the Ctrl-C as well, and its own exit code for it.
      args: ["-qec", `exec ${words.map((word) => `'${word}'`).join(" ")}`, "/dev/null"],
      cwd: ROOT,
      env: { SHELL: "/bin/sh", TERM: "dumb" },
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#keys = this.#process.stdin.getWriter();
    this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    for await (const text of this.#process.stdout.pipeThrough(new TextDecoderStream())) {
      this.text += text;
      this.#told();
    }
    this.#isOver = true;
    this.#told();
  }

  /** The match of `pattern` in what is shown, once it is. */
  async until(pattern: RegExp): Promise<RegExpMatchArray> {
    for (;;) {
      const match = this.text.match(pattern);
      if (match !== null) return match;
      if (this.#isOver) throw new Error(`It ended without ${pattern}: ${this.text}`);
      await new Promise<void>((resolve) => this.#told = resolve);
    }
  }

  /** Ctrl-C. */
  async interrupt(): Promise<void> {
    await this.#keys.write(new Uint8Array([3]));
  }

  /** Its exit code, once it has ended. */
  async code(): Promise<number> {
    const { code } = await this.#process.status;
    await this.#reading;
    // The terminal may have gone first.
    await this.#keys.close().catch(() => {});
    return code;
  }
}

/**
 * Opens the page's stream, and waits for the first of it. @returns how to close it, which keeps it: a
 * body that nobody holds is closed when it is collected as garbage
 */
async function openPage({ base }: Client): Promise<() => Promise<void>> {
  const { body } = await fetch(`${base}/api/stream`);
  const reader = body!.getReader();
  await reader.read();
  return () => reader.cancel();
}

const terminal = { ignore: !await isThere(SCRIPT), sanitizeResources: false };

Deno.test({
  ...terminal,
  name:
    "deno task scenario --dashboard stays on a terminal until a page was open, and has been closed",
  fn: async () => {
    const command = new OnTerminal(["edu-identify", "--via", "direct", "--dashboard"]);
    const [, link] = await command.until(LINK);
    await command.until(STAYS);
    // Long after the run.
    const client = clientOf(link!);
    const { runs } = await client.json<RunList>("/api/runs");
    assert(runs.length > 0 && runs.every(({ state }) => state === "passed"));
    const closePage = await openPage(client);
    assertEquals((await client.json<RunDetail>(`/api/runs/${runs[0]!.id}`)).run.state, "passed");
    const started = performance.now();
    await closePage();
    assertEquals(await command.code(), 0);
    assert(performance.now() - started < PATIENCE_MS);
    // Whoever reads it there can open it there.
    assertMatch(
      command.text,
      new RegExp(`stays until its page was opened and closed.*${RegExp.escape(link!)}`),
    );
  },
});

Deno.test({
  ...terminal,
  name:
    "deno task scenario --dashboard on a terminal ends with Ctrl-C, and the exit code of the runs",
  fn: async () => {
    const cases = [["edu-identify", 0], [`${FIXTURES}fails.ts`, 1]] as const;
    for (const [scenario, code] of cases) {
      const command = new OnTerminal([scenario, "--via", "direct", "--dashboard"]);
      await command.until(STAYS);
      await command.interrupt();
      assertEquals(await command.code(), code);
    }
  },
});

Deno.test({
  ...terminal,
  name:
    "deno task scenario --dashboard on a terminal ends at once when the runs are interrupted, or there are none",
  fn: async () => {
    const endless = new OnTerminal([`${FIXTURES}loops.ts`, "--via", "direct", "--dashboard"]);
    const [, link] = await endless.until(LINK);
    const client = clientOf(link!);
    while ((await client.json<RunList>("/api/runs")).runs[0]?.state !== "running");
    await endless.interrupt();
    assertEquals([await endless.code(), STAYS.test(endless.text)], [130, false]);

    const refused = new OnTerminal([
      "edu-identify",
      "--via",
      "direct",
      "--dashboard",
      "--json",
      "/nowhere/at/all.json",
    ]);
    assertEquals([await refused.code(), STAYS.test(refused.text)], [2, false]);
  },
});
