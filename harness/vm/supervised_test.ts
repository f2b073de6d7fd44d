import { assert, assertEquals } from "@std/assert";
import { within } from "./deadline.ts";
import { exists } from "./fetch/cache.ts";
import { Supervised } from "./supervised.ts";

/** At a process that should end at once. */
const LOOKS = 10_000;

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-test-" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true }).catch(() => {});
  }
}

Deno.test("Supervised is the program itself: its process ID, its exit code, what it prints", () =>
  withFolder(async (folder) => {
    const process = new Supervised("/bin/sh", ["-c", "echo $$ $X >&2; exit 7"], {
      folder,
      env: { X: "y z" },
    });
    const { code, signal } = await process.ended;
    assertEquals([code, signal], [7, null]);
    assertEquals(await process.output, `${process.pid} y z\n`);
    assertEquals(process.alive, false);
    process.kill("SIGKILL");
    assert(await exists(folder));
  }));

Deno.test("Supervised.output holds the last of what is printed, however much that is", () =>
  withFolder(async (folder) => {
    const script = "yes complaint | head -c 3000000 >&2; echo the last word >&2";
    const process = new Supervised("/bin/sh", ["-c", script], { folder, env: {} });
    await process.ended;
    const output = await process.output;
    assertEquals(output.length, 65536);
    assert(output.endsWith("complaint\nthe last word\n"));
  }));

Deno.test("Supervised.kill() ends it", () =>
  withFolder(async (folder) => {
    const process = new Supervised("/bin/sleep", ["600"], { folder, env: {} });
    process.kill("SIGKILL");
    assertEquals((await process.ended).signal, "SIGKILL");
    assertEquals(await process.output, "");
  }));

for (
  const [what, signal, group] of [
    ["process that started it, killed as it may be", "KILL", ""],
    ["whole command that started it, killed as it may be", "KILL", "-"],
    ["whole command that started it, when that is interrupted", "INT", "-"],
  ] as const
) {
  Deno.test(`Supervised ends with the ${what}`, () =>
    withFolder(async (folder) => {
      const source = `
        import { Supervised } from ${JSON.stringify(import.meta.resolve("./supervised.ts"))};
        const process = new Supervised("/bin/sleep", ["600"], {
          folder: ${JSON.stringify(folder)}, env: {},
        });
        console.log(process.pid);
        setInterval(() => {}, 1000);
      `;
      const parent = new Deno.Command(Deno.execPath(), {
        args: ["eval", "--no-config", source],
        stdout: "piped",
        stderr: "null",
        // With a group of its own, as a shell would start it.
        detached: true,
      }).spawn();
      const reader = parent.stdout.getReader();
      const { value } = await reader.read();
      const pid = Number(new TextDecoder().decode(value));
      assert(await exists(`/proc/${pid}`));
      // The watchdog's last deed is to remove the folder: no clock is needed to see it.
      const watcher = Deno.watchFs(folder);
      const killed = await new Deno.Command("kill", {
        args: ["-s", signal, "--", `${group}${parent.pid}`],
      }).output();
      assert(killed.success);
      assert(await within(removal(watcher), 10_000, false), "the folder is still there");
      await parent.status;
      await reader.cancel();
      // What has been killed takes a moment to be gone.
      for (let looks = 0; looks < LOOKS && await isRunning(pid); looks++);
      assertEquals(await isRunning(pid), false);
    }));
}

async function removal(watcher: Deno.FsWatcher): Promise<true> {
  for await (const event of watcher) if (event.kind === "remove") break;
  return true;
}

/** Whether a process runs; one that has ended and waits to be reaped does not. */
async function isRunning(pid: number): Promise<boolean> {
  const status = await Deno.readTextFile(`/proc/${pid}/status`).catch(() => "");
  return status !== "" && !/^State:\s+Z/m.test(status);
}
