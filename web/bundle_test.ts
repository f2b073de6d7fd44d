import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { bundleClient } from "./bundle.ts";
import { pageHtml } from "./page.ts";

Deno.test("bundleClient() makes one script and one sheet, and has them again from its folder", async () => {
  const cache = await Deno.makeTempDir();
  try {
    const made = await bundleClient(cache);
    assertMatch(made.script.path, /^\/assets\/main-[0-9a-f]{16}\.js$/);
    const code = new TextDecoder().decode(made.script.bytes);
    const imports = /(?:^|[;}\n])\s*import\s*(?:["{*(]|\w+\s+from\b)/;
    assert(imports.test('a();import{b}from"b"') && imports.test('import "b"'));
    assert(!imports.test(code), "nothing is imported when the page runs");
    const files = [...Deno.readDirSync(cache)].map(({ name }) => name);
    assertEquals(files.filter((name) => name.endsWith(".js")).length, 1);
    assertEquals(files.filter((name) => name.endsWith(".part")), []);

    const again = await bundleClient(cache);
    assertEquals([again.script.path, again.style?.path], [made.script.path, made.style?.path]);

    // It really comes from there: what is kept under the key is what is served.
    const kept = join(cache, files.find((name) => name.endsWith(".js"))!);
    await Deno.writeTextFile(kept, "kept()");
    assertEquals(new TextDecoder().decode((await bundleClient(cache)).script.bytes), "kept()");
  } finally {
    await Deno.remove(cache, { recursive: true });
  }
});

Deno.test("bundleClient() does without a folder that cannot be written", async () => {
  const bundle = await bundleClient("/proc/no/such/folder");
  assert(bundle.script.bytes.length > 0);
});

Deno.test("bundleClient() gives up when nobody wants it any more", async () => {
  const stop = new AbortController();
  const bundling = bundleClient(null, stop.signal);
  stop.abort(new Error("enough"));
  await assertRejects(() => bundling, Error, "enough");
  await assertRejects(() => bundleClient(null, stop.signal), Error, "enough");
});

Deno.test("pageHtml() has no inline code, which the policy would refuse, and names both files", () => {
  const asset = (path: string) => ({ path, mediaType: "", bytes: new Uint8Array() });
  const html = pageHtml({ script: asset("/assets/a.js"), style: asset("/assets/a.css") });
  assertMatch(html, /<script type="module" src="\/assets\/a\.js"><\/script>/);
  assertMatch(html, /<link rel="stylesheet" href="\/assets\/a\.css">/);
  assert(!/<style|<script>|\son\w+=|style=/.test(html));
  assert(!/https?:\/\/(?!www\.w3\.org\/2000\/svg)/.test(html), "nothing comes from elsewhere");
});
