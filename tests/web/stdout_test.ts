/**
 * The dashboard whose stdout cannot be written: nobody gets its link.
 * @module
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";

const ROOT = fromFileUrl(new URL("../..", import.meta.url));

/** `DASHBOARD` in `script` starts one. */
async function shell(script: string, cwd = ROOT): Promise<{ code: number; stderr: string }> {
  const dashboard = `${Deno.execPath()} run -A --quiet ${join(ROOT, "web/main.ts")}`;
  const { code, stderr } = await new Deno.Command("bash", {
    args: ["-c", script.replaceAll("DASHBOARD", dashboard)],
    cwd,
    stdin: "null",
    stdout: "null",
  }).output();
  return { code, stderr: new TextDecoder().decode(stderr) };
}

Deno.test("deno task dashboard ends with 3 and says why when its link cannot be written", async () => {
  for (const flags of ["--port 0", "--help"]) {
    const { code, stderr } = await shell(`exec DASHBOARD ${flags} >/dev/full`);
    assertEquals(code, 3, stderr);
    assertStringIncludes(stderr, "Cannot write all of it to stdout: No space left on device");
  }
});

Deno.test("deno task dashboard ends with 3 when nobody can read its link any more", async () => {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-stdout-" });
  try {
    // A pipe that has had a reader, and has none.
    const script = "mkfifo pipe && exec 3<>pipe 4>pipe 3>&- && exec DASHBOARD --port 0 >&4 4>&-";
    const { code, stderr } = await shell(script, folder);
    assertEquals(code, 3, stderr);
    assertEquals(stderr, "Cannot write the dashboard's link to stdout: its reader has gone\n");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
