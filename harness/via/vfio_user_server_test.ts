import { assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { denoArguments } from "../child/deno_process.ts";

const SERVER = import.meta.resolve("./vfio_user_server.ts");

Deno.test("a server process whose parent has gone before it was up removes its folder, unread as it is", async () => {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-test-" });
  const child = new Deno.Command(Deno.execPath(), {
    args: denoArguments(SERVER, [join(folder, "control.sock"), "N0NCE"]),
    stdin: "piped",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  await child.stderr.cancel();
  await child.stdin.close();
  const { code } = await child.status;
  assertEquals(code, 1);
  await assertRejects(() => Deno.stat(folder), Deno.errors.NotFound);
});
