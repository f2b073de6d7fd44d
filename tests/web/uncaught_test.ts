/**
 * Commands that outlive their first lines, when something is thrown that nobody catches.
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { Process } from "./_command.ts";

const THROW: Readonly<Record<string, string>> = {
  "an uncaught error": 'setTimeout(() => { throw new Error("nobody caught me"); })',
  "an unhandled rejection": 'Promise.reject(new Error("nobody caught me"))',
};

interface Command {
  readonly name: string;
  readonly args: (folder: string) => readonly string[];
  /** What is printed when it is at work. */
  readonly ready: readonly ["stdout" | "stderr", RegExp];
  readonly culprit: string;
}

const COMMANDS: readonly Command[] = [
  {
    name: "dashboard",
    args: () => ["web/main.ts", "--port", "0"],
    ready: ["stdout", /token=/],
    culprit: "the dashboard",
  },
  {
    name: "serve",
    args: (folder) => ["web/serve.ts", "edu", "--socket-dir", folder],
    ready: ["stdout", /^ready$/m],
    culprit: "the server",
  },
  {
    name: "scenario",
    args: () => ["web/scenario.ts", "tests/conformance/cli_scenarios/loops.ts"],
    ready: ["stderr", /^seed /m],
    culprit: "the scenario runner",
  },
];

for (const { name, args, ready, culprit } of COMMANDS) {
  for (const [what, code] of Object.entries(THROW)) {
    Deno.test(`deno task ${name} exits with 3 for ${what}, and says whose fault it is`, async () => {
      const folder = await Deno.makeTempDir({ prefix: "viaduct-uncaught-" });
      try {
        const preload = `data:text/javascript,Deno.addSignalListener("SIGUSR2", () => { ${code} })`;
        const process = new Process(["--preload", preload, ...args(folder)]);
        await process.until(...ready);
        process.signal("SIGUSR2");
        assertEquals(await process.code(), 3, process.stderr);
        const told = new RegExp(`^Internal error of ${culprit}: Error: nobody caught me$`, "m");
        assertMatch(process.stderr, told);
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    });
  }
}
