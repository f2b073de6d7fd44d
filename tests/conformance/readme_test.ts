/**
 * What the README shows must work as it stands there.
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { fromFileUrl, join, resolve } from "@std/path";

const ROOT = resolve(fromFileUrl(import.meta.url), "..", "..", "..");

/** Files that the README shows: blocks marked ```` ```ts ignore NAME ````. */
async function shownFiles(): Promise<Map<string, string>> {
  const text = await Deno.readTextFile(join(ROOT, "README.md"));
  const blocks = text.matchAll(/^```ts ignore (\S+)\n([\s\S]*?)^```$/gm);
  return new Map([...blocks].map((block) => [block[1]!, block[2]!]));
}

async function deno(...args: string[]): Promise<{ code: number; output: string }> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder();
  return { code, output: text.decode(stdout) + text.decode(stderr) };
}

Deno.test("README: its device and its scenario type-check, and pass in every mode", async () => {
  const files = await shownFiles();
  const folder = await Deno.makeTempDir();
  try {
    for (const [name, source] of files) await Deno.writeTextFile(join(folder, name), source);
    const paths = [...files.keys()].map((name) => join(folder, name));
    const check = await deno("check", "--config", "deno.json", ...paths);
    assertEquals(check.code, 0, check.output);
    const run = await deno(
      "task",
      "--quiet",
      "scenario",
      join(folder, "doorbell_scenario.ts"),
      "--reporter",
      "jsonl",
    );
    assertEquals(run.code, 0, run.output);
    const statuses = run.output.split("\n").filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as { status: string; mode: string });
    assert(statuses.length >= 2, run.output);
    assert(statuses.every(({ status }) => status === "passed"), run.output);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("README: a complete useful device fits in 50 lines", async () => {
  const source = (await shownFiles()).get("doorbell.ts")!;
  assert(source.trimEnd().split("\n").length <= 50);
});

Deno.test("README: every task it names is one of deno.json", async () => {
  const text = await Deno.readTextFile(join(ROOT, "README.md"));
  const { tasks } = JSON.parse(await Deno.readTextFile(join(ROOT, "deno.json"))) as {
    tasks: Record<string, string>;
  };
  const named = new Set([...text.matchAll(/deno(?:@[\d.]+)? task ([a-z]+)/g)].map((m) => m[1]!));
  assert(named.size > 0);
  assertEquals([...named].filter((name) => !(name in tasks)), []);
});
