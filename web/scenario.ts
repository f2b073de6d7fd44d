/**
 * `deno task scenario`: the runner's command line, and the dashboard for `--dashboard`, which is
 * loaded when it is asked for.
 * @module
 */

import type { Onlooker } from "../harness/cli/scenario.ts";
import { Terminal } from "../harness/cli/terminal.ts";
import { scenarioCommand } from "../harness/cli/scenario.ts";
import type { CatalogEntry } from "../harness/run/plan.ts";

const HOST = "127.0.0.1";
/** Milliseconds between two looks whether a page is still open. */
const LOOK_MS = 200;

const stderr = new Terminal(Deno.stderr);

async function openDashboard(catalog: readonly CatalogEntry[], port: number): Promise<Onlooker> {
  const { startDashboard } = await import("./dashboard.ts");
  const { listenError } = await import("./listen_error.ts");
  let dashboard: ReturnType<typeof startDashboard>;
  try {
    dashboard = startDashboard({
      host: HOST,
      port,
      catalog,
      startedBy: "command",
      log: (line) => stderr.write(`${line}\n`),
    });
  } catch (error) {
    throw listenError(error, HOST, port);
  }
  return {
    listener: dashboard.runs.listener,
    link: dashboard.link,
    async close(interrupted) {
      await dashboard.runs.settled();
      dashboard.snapshots.tick();
      if (stderr.isTerminal && dashboard.snapshots.streams > 0) {
        // Whoever looks on wants to see how it ended; a pipeline wants the exit code.
        stderr.write("The page stays until it is closed, or Ctrl-C\n");
        let over = false;
        interrupted.then(() => over = true);
        while (!over && dashboard.snapshots.streams > 0) {
          await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
        }
      }
      await dashboard.close();
    },
  };
}

if (import.meta.main) await scenarioCommand(Deno.args, openDashboard);
