/**
 * `deno task dashboard`: serves the page, and starts the scenarios that it asks for.
 * @module
 */

import { endWhenUncaught, tellFailure, tellUnwritten } from "../harness/cli/command_failure.ts";
import { parseDashboardCommand } from "../harness/cli/dashboard_options.ts";
import { onEndSignal } from "../harness/cli/end_signals.ts";
import { INTERNAL, INTERRUPTED } from "../harness/cli/exit_code.ts";
import { Terminal } from "../harness/cli/terminal.ts";
import type { ChildProcess } from "../harness/child/child_process.ts";
import { loadCatalog } from "../harness/run/catalog.ts";
import { startDashboard } from "./dashboard.ts";
import { listenError } from "./listen_error.ts";

/** Exit code (DESIGN.md, 5), beside those of `exit_code.ts`. */
const ENDED = 0;

const stdout = new Terminal(Deno.stdout);
const stderr = new Terminal(Deno.stderr);
const COMMAND = { task: "dashboard", culprit: "the dashboard", stderr };

/** Resolves with the exit code of the first signal; a second one ends the process at once. */
function firstSignal(): Promise<number> {
  return new Promise((resolve) => {
    // SIGTERM is how a service is told that its work is done.
    onEndSignal(
      (signal) => resolve(signal === "SIGTERM" ? ENDED : INTERRUPTED),
      () => Deno.exit(INTERRUPTED),
    );
  });
}

/** Nobody can use a dashboard whose link nobody has. @returns the exit code */
function noLink(): number {
  if (stdout.failure === null) {
    stderr.write("Cannot write the dashboard's link to stdout: its reader has gone\n");
  }
  return INTERNAL;
}

async function main(args: readonly string[]): Promise<number> {
  const command = parseDashboardCommand(args, (text) => stdout.write(text));
  if (command === null) return ENDED;
  const signalled = firstSignal();
  let loading: ChildProcess | null = null;
  const loaded = loadCatalog([], { started: (child) => loading = child });
  const catalog = await Promise.race([loaded, signalled]);
  if (typeof catalog === "number") {
    (loading as ChildProcess | null)?.kill();
    await loaded.catch(() => {});
    return catalog;
  }
  // Each run has a process of its own; this one was to read the scenarios.
  catalog.child.kill();
  await catalog.child.ended;
  const { host, port } = command;
  let dashboard: ReturnType<typeof startDashboard>;
  try {
    dashboard = startDashboard({
      host,
      port,
      catalog: catalog.entries,
      startedBy: "page",
      log: (line) => stderr.write(`${line}\n`),
    });
  } catch (error) {
    throw listenError(error, host, port);
  }
  stdout.write(`${dashboard.link}\n`);
  const code = stdout.isOpen ? await signalled : noLink();
  await dashboard.close();
  return code;
}

async function exitCode(args: readonly string[]): Promise<number> {
  try {
    return await main(args);
  } catch (error) {
    return tellFailure(COMMAND, error);
  }
}

if (import.meta.main) {
  endWhenUncaught(COMMAND);
  Deno.exit(tellUnwritten(stdout, stderr, await exitCode(Deno.args)));
}
