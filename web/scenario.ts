/**
 * `deno task scenario`: the runner's command line, and the dashboard for `--dashboard`, which is
 * loaded when it is asked for.
 * @module
 */

import type { Onlooker } from "../harness/cli/scenario.ts";
import { Terminal } from "../harness/cli/terminal.ts";
import { scenarioCommand } from "../harness/cli/scenario.ts";
import type { CatalogEntry } from "../harness/run/plan.ts";
import type { RunState } from "./api.ts";
import { lingered } from "./linger.ts";

const HOST = "127.0.0.1";

function isEnd(state: RunState): boolean {
  return state !== "queued" && state !== "running";
}

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
      let isInterrupted = false;
      interrupted.then(() => isInterrupted = true);
      const { runs, snapshots, link } = dashboard;
      await runs.settled();
      snapshots.tick();
      // Where the command came to nothing it has something to say, and there is nothing to see.
      const isThere = runs.current !== null && runs.list().runs.every(({ state }) => isEnd(state));
      // Whoever looks on wants to see how it ended; a pipeline wants the exit code.
      if (stderr.isTerminal && isThere && !isInterrupted) {
        stderr.write(
          snapshots.streams > 0
            ? "The dashboard stays until its page is closed, or Ctrl-C\n"
            : `The dashboard stays until its page was opened and closed, or Ctrl-C: ${link}\n`,
        );
        await lingered(snapshots, interrupted);
      }
      await dashboard.close();
    },
  };
}

if (import.meta.main) await scenarioCommand(Deno.args, openDashboard);
