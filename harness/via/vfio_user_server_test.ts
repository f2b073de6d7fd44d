import { existsSync } from "node:fs";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { denoArguments } from "../child/deno_process.ts";
import { connectUnix } from "../../protocols/linux/mod.ts";
import { eventually } from "./_test_eventually.ts";
import { JsonLines } from "./json_lines.ts";
import { controlSocket } from "./vfio_user_control.ts";

const SERVER = import.meta.resolve("./vfio_user_server.ts");

function start(directory: string): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: denoArguments(SERVER, [directory]),
    stdin: "piped",
    stdout: "null",
    stderr: "piped",
  }).spawn();
}

Deno.test("a server process whose parent has gone before it was up leaves no folder, unread as it is", async () => {
  const parent = await Deno.makeTempDir({ prefix: "viaduct-test-" });
  const child = start(join(parent, "sockets"));
  await child.stderr.cancel();
  await child.stdin.close();
  await child.status;
  assertEquals([...Deno.readDirSync(parent)], []);
  await Deno.remove(parent);
});

Deno.test("a server process whose parent goes once it listens removes its folder", async () => {
  const parent = await Deno.makeTempDir({ prefix: "viaduct-test-" });
  const directory = join(parent, "sockets");
  const child = start(directory);
  const names = () => [...Deno.readDirSync(directory)].map(({ name }) => name);
  await eventually("it listens", () => existsSync(controlSocket(directory)));
  const { mode } = await Deno.stat(directory);
  assertEquals((mode ?? 0) & 0o777, 0o700);
  assertEquals(names(), ["control.sock"]);
  await child.stdin.close();
  await child.status;
  await child.stderr.cancel();
  assertEquals([...Deno.readDirSync(parent)], []);
  await Deno.remove(parent);
});

Deno.test("a server process that is asked what it cannot read says so and ends, with its folder", async () => {
  const parent = await Deno.makeTempDir({ prefix: "viaduct-test-" });
  const directory = join(parent, "sockets");
  const child = start(directory);
  const printed = new Response(child.stderr).text();
  let lines: JsonLines | null = null;
  await eventually("it listens", () => {
    try {
      lines = new JsonLines(connectUnix(controlSocket(directory)));
    } catch {
      return false;
    }
    return true;
  });
  using control = lines! as JsonLines;
  control.send({ id: 0, request: { kind: "advance", ms: null } });
  assertEquals((await child.status).code, 1);
  assertStringIncludes(await printed, "Cannot read a request of the harness: request.ms");
  await child.stdin.close().catch(() => {});
  assertEquals([...Deno.readDirSync(parent)], []);
  await Deno.remove(parent);
});

Deno.test("a server process leaves a folder alone that is there already, and says so", async () => {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-test-" });
  const child = start(folder);
  const printed = new Response(child.stderr).text();
  assertEquals((await child.status).code, 1);
  assertStringIncludes(await printed, "AlreadyExists");
  await child.stdin.close().catch(() => {});
  await Deno.remove(folder);
});
