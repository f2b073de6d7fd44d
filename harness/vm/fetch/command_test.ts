import { assertEquals, assertRejects } from "@std/assert";
import { isAlive } from "./_test_apt.ts";
import { runCommand } from "./command.ts";

Deno.test("runCommand() ends the program when it is aborted, though another holds its output", async () => {
  const controller = new AbortController();
  const pids: number[] = [];
  const running = runCommand("/bin/sh", ["-c", "sleep 1000 & echo $! $$; wait"], {
    signal: controller.signal,
    line(line) {
      pids.push(...line.split(" ").map(Number));
      controller.abort(new Error("stop it"));
    },
  });
  await assertRejects(() => running, Error, "stop it");
  const [sleeping, shell] = pids;
  try {
    assertEquals(isAlive(shell!), false);
  } finally {
    Deno.kill(sleeping!, "SIGKILL");
  }
});

Deno.test("runCommand() starts nothing when it is aborted before", async () => {
  const signal = AbortSignal.abort(new Error("stop it"));
  await assertRejects(() => runCommand("/no/such/program", [], { signal }), Error, "stop it");
});
