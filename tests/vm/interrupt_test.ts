/**
 * Commands that are interrupted while they fetch: they end at once, and nothing of them goes on.
 * No machine is needed for that, nor a network.
 * @module
 */

import { assertEquals } from "@std/assert";
import { FakeApt, isAlive, NO_DEBIAN } from "../../harness/vm/fetch/_test_apt.ts";

const ROOT = new URL("../..", import.meta.url);

const COMMANDS: readonly (readonly string[])[] = [
  ["harness/cli/scenario.ts", "edu-identify", "--via", "qemu"],
  ["harness/cli/vm.ts"],
];

for (const command of COMMANDS) {
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.test({
      name: `${signal} ends ${command.join(" ")} while it fetches, and the part stays`,
      ignore: NO_DEBIAN,
      fn: () =>
        FakeApt.with(async (apt) => {
          await apt.hang();
          const child = new Deno.Command(Deno.execPath(), {
            args: ["run", "-A", "--quiet", ...command],
            cwd: ROOT,
            env: apt.env,
            stdin: "null",
            stdout: "piped",
            stderr: "piped",
          }).spawn();
          const output = child.output();
          const pid = await apt.hanging();
          child.kill(signal);
          const { code, stderr } = await output;
          assertEquals(code, 130, new TextDecoder().decode(stderr));
          assertEquals(isAlive(pid), false);
          const part = `${apt.cache}/apt/cache/archives/partial/seabios.deb`;
          assertEquals(await Deno.readTextFile(part), "the first part, ");
          assertEquals([...Deno.readDirSync(apt.temporary)], []);
        }),
    });
  }
}
