import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { denoArguments } from "../child/deno_process.ts";
import { eventually } from "./_test_eventually.ts";
import { group, ServerProcess } from "./vfio_user_process.ts";

const MODULE = import.meta.resolve("./vfio_user_process.ts");

/** Runs `code`, a module's, in a process of its own, whose temporary folders are in `folder`. */
async function inProcess(
  code: string,
  folder: string,
  body: (process: Deno.ChildProcess) => Promise<void>,
): Promise<void> {
  const url = `data:application/javascript,${encodeURIComponent(code)}`;
  const process = new Deno.Command(Deno.execPath(), {
    args: denoArguments(url),
    env: { TMPDIR: folder },
    stdout: "piped",
    stderr: "inherit",
    // Of a group of its own, as what a shell starts is.
    detached: true,
  }).spawn();
  try {
    await body(process);
  } finally {
    await process.status;
    await process.stdout.cancel();
  }
}

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "viaduct-test-" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const names = (folder: string): string[] => [...Deno.readDirSync(folder)].map(({ name }) => name);

Deno.test("ServerProcess.start() leaves no folder when this process is killed before the other is there", async () => {
  await withFolder(async (folder) => {
    const code = `
      import { ServerProcess } from "${MODULE}";
      Deno.Command = class {
        spawn() {
          Deno.kill(Deno.pid, "SIGKILL");
        }
      };
      await ServerProcess.start();`;
    await inProcess(code, folder, async (process) => {
      assertEquals((await process.status).signal, "SIGKILL");
    });
    assertEquals(names(folder), []);
  });
});

Deno.test("a server process tidies up after a Ctrl-C whose command is killed for it at once", async () => {
  await withFolder(async (folder) => {
    const code = `
      import { ServerProcess } from "${MODULE}";
      Deno.addSignalListener("SIGINT", () => {});
      await ServerProcess.start();
      Deno.stdout.writeSync(new Uint8Array(1));`;
    await inProcess(code, folder, async (process) => {
      const reader = process.stdout.getReader();
      await reader.read();
      reader.releaseLock();
      assertEquals(names(folder).length, 1);
      // Stopped it takes notice of nothing, however quickly the server process goes.
      process.kill("SIGSTOP");
      const { success } = await new Deno.Command("/bin/sh", {
        args: ["-c", `kill -INT -${process.pid}`],
      }).output();
      assert(success);
      process.kill("SIGKILL");
      await process.status;
    });
    await eventually("its folder is gone", () => names(folder).length === 0);
  });
});

/** Pipes that this process has an end of. */
function pipes(): number {
  let count = 0;
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      if (Deno.readLinkSync(`/proc/self/fd/${name}`).startsWith("pipe:")) count++;
    } catch {
      // The directory's own descriptor.
    }
  }
  return count;
}

Deno.test("ServerProcess keeps neither a folder nor a pipe of a process that was killed", async () => {
  const before = pipes();
  const process = await ServerProcess.start();
  assert(pipes() > before);
  Deno.kill(process.pid, "SIGKILL");
  while (process.alive) group.turn(-1);
  assertStringIncludes(await process.lost() ?? "", "signal SIGKILL");
  await assertRejects(() => Deno.stat(process.directory), Deno.errors.NotFound);
  await eventually("its pipes are closed", () => pipes() === before);
});
