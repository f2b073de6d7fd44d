import { assert, assertEquals, assertRejects } from "@std/assert";
import { within } from "./deadline.ts";
import { OwnFolder } from "./own_folder.ts";

Deno.test("OwnFolder.close() removes it with what is in it", async () => {
  const folder = new OwnFolder("viaduct-test-");
  await Deno.writeTextFile(`${folder.path}/a`, "");
  folder.remove();
  await folder.close();
  await assertRejects(() => Deno.stat(folder.path), Deno.errors.NotFound);
});

Deno.test("OwnFolder goes with a process that is killed", async () => {
  const parent = await Deno.makeTempDir({ prefix: "viaduct-test-" });
  const module = import.meta.resolve("./own_folder.ts");
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "eval",
      `import { OwnFolder } from "${module}";
       const folder = new OwnFolder("x-");
       Deno.writeTextFileSync(folder.path + "/a", "");
       Deno.stdout.writeSync(new TextEncoder().encode(folder.path));
       setInterval(() => {}, 1000);`,
    ],
    env: { TMPDIR: parent },
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const reader = child.stdout.getReader();
  const path = new TextDecoder().decode((await reader.read()).value);
  assert(path.startsWith(`${parent}/x-`));
  const watcher = Deno.watchFs(parent, { recursive: false });
  const removed = (async () => {
    for await (const { kind } of watcher) if (kind === "remove") break;
    return true;
  })();
  child.kill("SIGKILL");
  await child.status;
  await reader.cancel();
  assert(await within(removed, 10_000, false), "it is still there");
  assertEquals([...Deno.readDirSync(parent)], []);
  await Deno.remove(parent);
});
