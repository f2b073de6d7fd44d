import { assert, assertEquals, assertRejects } from "@std/assert";
import { within } from "../vm/deadline.ts";
import { OwnFolder } from "./own_folder.ts";

Deno.test("OwnFolder.close() removes it with what is in it", async () => {
  const folder = new OwnFolder("viaduct-test-");
  await Deno.writeTextFile(`${folder.path}/a`, "");
  folder.remove();
  await folder.close();
  await assertRejects(() => Deno.stat(folder.path), Deno.errors.NotFound);
});

/** A process that is there for its folder alone, as a terminal would have started it: with a group of its own. */
async function holder(parent: string): Promise<{ child: Deno.ChildProcess; path: string }> {
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
    detached: true,
  }).spawn();
  const reader = child.stdout.getReader();
  const path = new TextDecoder().decode((await reader.read()).value);
  await reader.cancel();
  assert(path.startsWith(`${parent}/x-`));
  return { child, path };
}

for (
  const [what, signal, group] of [
    ["that is killed", "SIGKILL", ""],
    ["whose whole group is interrupted, as by Ctrl-C", "SIGINT", "-"],
    ["whose whole group is ended", "SIGTERM", "-"],
  ] as const
) {
  Deno.test(`OwnFolder goes with a process ${what}`, async () => {
    const parent = await Deno.makeTempDir({ prefix: "viaduct-test-" });
    const { child } = await holder(parent);
    const watcher = Deno.watchFs(parent, { recursive: false });
    const removed = (async () => {
      for await (const { kind } of watcher) if (kind === "remove") break;
      return true;
    })();
    kill(`${group}${child.pid}`, signal);
    await child.status;
    assert(await within(removed, 10_000, false), "it is still there");
    assertEquals([...Deno.readDirSync(parent)], []);
    await Deno.remove(parent);
  });
}

Deno.test("OwnFolder is its user's alone, and of a name that nobody can guess", async () => {
  await using stack = new AsyncDisposableStack();
  const [one, other] = [0, 1].map(() => {
    const folder = new OwnFolder("viaduct-test-");
    stack.defer(() => folder.close());
    return folder;
  });
  assertEquals(Deno.statSync(one!.path).mode! & 0o777, 0o700);
  assert(one!.path !== other!.path);
});

function kill(target: string, signal: Deno.Signal): void {
  const { success } = new Deno.Command("kill", {
    args: ["-s", signal.slice(3), "--", target],
  }).outputSync();
  assert(success);
}
