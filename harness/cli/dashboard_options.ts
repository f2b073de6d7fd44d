/**
 * The command line of `deno task dashboard`.
 * @module
 */

import { Command, InvalidArgumentError } from "@commander-js/extra-typings";
import { readCommandLine } from "./command_line.ts";
import { dashboardPort } from "./dashboard_port.ts";

/** A command line that makes sense. */
export interface DashboardCommand {
  /** 0 for any that is free. */
  readonly port: number;
  /** A name or an address, without a port. */
  readonly host: string;
}

function host(text: string): string {
  const bare = text.replace(/^\[(.*)\]$/, "$1");
  if (!/^[A-Za-z0-9.:-]{1,253}$/.test(bare)) {
    throw new InvalidArgumentError("It must be a name or an address, like 127.0.0.1.");
  }
  return bare;
}

/**
 * Reads `args`. Null when help was asked for and has been given to `print`.
 * @throws {UsageError} that says what would be right
 */
export function parseDashboardCommand(
  args: readonly string[],
  print: (text: string) => void,
): DashboardCommand | null {
  const parser = new Command("deno task dashboard")
    .description("Serves the page on which scenarios are started and watched.")
    .option("-p, --port <N>", "port to listen on; 0 for any that is free", dashboardPort, 8080)
    .option(
      "--host <NAME>",
      "address to listen on; others than 127.0.0.1 let other machines look on",
      host,
      "127.0.0.1",
    )
    .addHelpText(
      "after",
      "\nExit codes: 0 ended by SIGTERM, 2 usage, 3 internal, 130 interrupted",
    )
    .allowExcessArguments(false);
  return readCommandLine(parser, args, print) === "help" ? null : parser.opts();
}
