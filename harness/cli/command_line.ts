/**
 * A command line through commander: what goes wrong is thrown, and nothing but help is printed.
 * @module
 */

import { CommanderError, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { UsageError } from "./usage_error.ts";

/**
 * Lets `parser`, which has no subcommands, read `args`. `help` when that was asked for and has been
 * given to `print`.
 * @throws {UsageError} that says what would be right
 */
export function readCommandLine(
  parser: CommandUnknownOpts,
  args: readonly string[],
  print: (text: string) => void,
): "read" | "help" {
  parser.exitOverride().configureOutput({
    writeOut: print,
    // What goes wrong is thrown, and printed once, by whoever catches it.
    writeErr: () => {},
  });
  try {
    parser.parse(args, { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) return "help";
    throw new UsageError(error.message.replace(/^error: /, ""));
  }
  return "read";
}
