import { assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { loadCatalog } from "./catalog.ts";
import { UsageError } from "../cli/usage_error.ts";

async function withFiles(
  files: Readonly<Record<string, string>>,
  body: (folder: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-catalog-" });
  try {
    for (const [name, source] of Object.entries(files)) {
      await Deno.writeTextFile(join(folder, name), source);
    }
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const source = (name: string) =>
  `export default { name: "${name}", options: { title: "t" }, run: async () => {} };`;

async function names(args: readonly string[], folder: string): Promise<string[]> {
  const { entries, child } = await loadCatalog(args, { folder });
  child.kill();
  await child.ended;
  return entries.map(({ name, argument }) => `${name} as ${argument}`);
}

Deno.test("loadCatalog() finds by name, by path and by folder, and passes tests and private files over", async () => {
  await withFiles({
    "a.ts": source("one"),
    "b.ts": source("two"),
    "b_test.ts": "throw new Error('a test');",
    "_shared.ts": "export const a = 1;",
    "notes.txt": "no scenario",
  }, async (folder) => {
    assertEquals(await names([], folder), ["one as one", "two as two"]);
    assertEquals(await names(["two"], folder), ["two as two"]);
    assertEquals(await names([join(folder, "b.ts"), "two"], folder), ["two as two"]);
    assertEquals(await names([folder], join(folder)), ["one as one", "two as two"]);
  });
});

Deno.test("loadCatalog() passes over what editors leave beside a file, and names a link to nowhere", async () => {
  await withFiles({ "a.ts": source("one"), "._a.ts": "no TypeScript" }, async (folder) => {
    // Emacs marks a file that is being edited so.
    await Deno.symlink("me@host.1234", join(folder, ".#a.ts"));
    assertEquals(await names([], folder), ["one as one"]);
    await Deno.symlink("gone.ts", join(folder, "b.ts"));
    await assertRejects(
      () => loadCatalog([], { folder }),
      UsageError,
      `Cannot load ${join(folder, "b.ts")}: No such file`,
    );
  });
});

Deno.test("loadCatalog() names a file that loops, or never finishes, as it loads", async () => {
  for (const endless of ["for (;;);", "await new Promise(() => {});"]) {
    await withFiles({ "a.ts": source("one"), "endless.ts": endless }, async (folder) => {
      await assertRejects(
        () => loadCatalog([], { folder, loadMs: 300 }),
        UsageError,
        "endless.ts: it has not finished after 300 ms",
      );
    });
  }
});

Deno.test("loadCatalog() names every file that does not load", async () => {
  await withFiles(
    { "a.ts": "throw 1;", "b.ts": "export {}", "c.ts": source("c") },
    async (folder) => {
      const error = await assertRejects(() => loadCatalog([], { folder }), UsageError, "a.ts: 1");
      assertEquals(/b\.ts: it has no default export/.test(error.message), true);
    },
  );
});
