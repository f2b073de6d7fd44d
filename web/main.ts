/**
 * `deno task dashboard`: serves the page, and starts the scenarios that it asks for.
 * @module
 */

import { parseDashboardCommand } from "../harness/cli/dashboard_options.ts";
import { Terminal } from "../harness/cli/terminal.ts";
import { UsageError } from "../harness/cli/usage_error.ts";
import type { ChildProcess } from "../harness/child/child_process.ts";
import { loadCatalog } from "../harness/run/catalog.ts";
import { describeError } from "../harness/run/describe_error.ts";
import { startDashboard } from "./dashboard.ts";
import { listenError } from "./listen_error.ts";

/** Exit codes (DESIGN.md, 5). */
const ENDED = 0, USAGE = 2, INTERNAL = 3, INTERRUPTED = 130;

const stdout = new Terminal(Deno.stdout);
const stderr = new Terminal(Deno.stderr);

/** Resolves with the exit code of the first signal; a second one ends the process at once. */
function firstSignal(): Promise<number> {
  return new Promise((resolve) => {
    let happened = false;
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      Deno.addSignalListener(signal, () => {
        if (happened) Deno.exit(INTERRUPTED);
        happened = true;
        // SIGTERM is how a service is told that its work is done.
        resolve(signal === "SIGTERM" ? ENDED : INTERRUPTED);
      });
    }
  });
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
  const code = await signalled;
  await dashboard.close();
  return code;
}

async function exitCode(args: readonly string[]): Promise<number> {
  try {
    return await main(args);
  } catch (error) {
    if (error instanceof UsageError) {
      stderr.write(`${error.message}\nSee deno task dashboard --help\n`);
      return USAGE;
    }
    stderr.write(`Internal error of the dashboard: ${describeError(error)}\n`);
    return INTERNAL;
  }
}

if (import.meta.main) {
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    stderr.write(`Internal error of the dashboard: ${describeError(event.reason)}\n`);
    Deno.exit(INTERNAL);
  });
  Deno.exit(await exitCode(Deno.args));
}
