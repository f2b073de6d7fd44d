/**
 * The house stands in layers, and imports run one way. The top level holds what
 * the design lists, and nothing more.
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { fromFileUrl, join, relative, resolve } from "@std/path";

const ROOT = resolve(fromFileUrl(import.meta.url), "..", "..");

/** Each layer may import itself and those before it. */
const LAYERS = ["core", "devices", "protocols", "harness", "web"];
/** Outside packages that a layer may use. Tests may use any. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  core: [],
  devices: [],
  protocols: ["valibot", "@std/path"],
  harness: ["valibot", "@commander-js/extra-typings", "@std/path", "@std/fmt/colors"],
  web: [
    "valibot",
    "@std/path",
    "hono",
    "prom-client",
    "esbuild",
    "preact",
    "preact/hooks",
    "@preact/signals",
    "uplot",
  ],
};
const TOP_LEVEL = new Set([
  ...LAYERS,
  "tests",
  "mod.ts",
  "deno.json",
  "deno.lock",
  "README.md",
  "LICENSE",
]);

async function trackedFiles(): Promise<string[]> {
  const { success, stdout, stderr } = await new Deno.Command("git", {
    args: ["ls-files", "--cached", "--others", "--exclude-standard"],
    cwd: ROOT,
  }).output();
  if (success) {
    return new TextDecoder().decode(stdout).trim().split("\n").filter((file) => file !== "");
  }
  throw new Error(`Cannot list the files of the tree: ${new TextDecoder().decode(stderr)}`);
}

/**
 * Specifiers of every static and dynamic import and re-export, and of every module that is started in a
 * thread or process of its own; comments left out.
 */
function importsOf(source: string): string[] {
  const code = source.replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/^\s*\/\/.*$/gm, "");
  const pattern =
    /(?:^|[\s;])(?:import|export)\s[^;"']*?from\s*["']([^"']+)["']|(?:^|[\s;])import\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']|\bimport\.meta\.resolve\(\s*["']([^"']+)["']|\bnew URL\(\s*["']([^"']+\.tsx?)["']/g;
  return [...code.matchAll(pattern)].map((match) => match.slice(1).find((part) => part)!);
}

Deno.test("importsOf() sees every form of import", () => {
  const source = `import a from "./a.ts";
import type { B } from "./b.ts";
import {
  c,
} from "../c.ts";
import "./d.ts";
export * from "./e.ts";
const f = await import("./f.ts");
new Worker(import.meta.resolve("./i.ts"), { type: "module" });
new Worker(new URL("../j.tsx", import.meta.url), { type: "module" });
new URL("../scenarios", import.meta.url);
// import g from "./g.ts";
/* import h from "./h.ts"; */`;
  assertEquals(importsOf(source), [
    "./a.ts",
    "./b.ts",
    "../c.ts",
    "./d.ts",
    "./e.ts",
    "./f.ts",
    "./i.ts",
    "../j.tsx",
  ]);
});

Deno.test("imports run one way: core <- devices <- protocols <- harness <- web", async () => {
  const wrong: string[] = [];
  let files = 0;
  for (const file of await trackedFiles()) {
    const layer = file.split("/")[0]!;
    const rank = LAYERS.indexOf(layer);
    if (rank < 0 || !/\.tsx?$/.test(file) || file.endsWith(".d.ts")) continue;
    files++;
    const isTest = /_test\.tsx?$/.test(file);
    for (const specifier of importsOf(await Deno.readTextFile(join(ROOT, file)))) {
      if (!specifier.startsWith(".")) {
        const known = PACKAGES[layer]!.includes(specifier) || specifier.startsWith("node:");
        if (!isTest && !known) wrong.push(`${file} imports the package ${specifier}`);
        continue;
      }
      const target = relative(ROOT, resolve(ROOT, file, "..", specifier)).split("/")[0]!;
      const targetRank = LAYERS.indexOf(target);
      if (target === "tests") wrong.push(`${file} imports tests: ${specifier}`);
      else if (targetRank < 0) wrong.push(`${file} imports from outside the layers: ${specifier}`);
      else if (targetRank > rank) wrong.push(`${file} imports upwards: ${specifier}`);
    }
  }
  assert(files > 0);
  assertEquals(wrong, []);
});

Deno.test("core does no I/O and never waits: no Deno, no node:, no async", async () => {
  const wrong: string[] = [];
  for (const file of await trackedFiles()) {
    if (!file.startsWith("core/") || !file.endsWith(".ts") || file.endsWith("_test.ts")) continue;
    const code = (await Deno.readTextFile(join(ROOT, file)))
      .replaceAll(/\/\*[\s\S]*?\*\//g, "").replaceAll(/\/\/.*$/gm, "");
    for (const word of [/\bDeno\./, /"node:/, /\basync\b/, /\bawait\b/, /\bsetTimeout\b/]) {
      if (word.test(code)) wrong.push(`${file} has ${word}`);
    }
  }
  assertEquals(wrong, []);
});

Deno.test("the top level holds what the design lists, and nothing more", async () => {
  const entries = new Set((await trackedFiles()).map((file) => file.split("/")[0]!));
  const extra = [...entries].filter((entry) => !TOP_LEVEL.has(entry) && !entry.startsWith("."));
  assertEquals(extra, []);
});

Deno.test("no file of the tree is called utils", async () => {
  const wrong = (await trackedFiles()).filter((file) => /(^|\/)_?utils?\b/.test(file));
  assertEquals(wrong, []);
});
