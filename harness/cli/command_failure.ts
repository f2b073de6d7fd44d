/**
 * What a command that failed says on stderr, and what it ends with.
 * @module
 */

import { describeError } from "../run/describe_error.ts";
import { INTERNAL, INTERRUPTED, USAGE } from "./exit_code.ts";
import { ServingError } from "./serving_error.ts";
import type { Terminal } from "./terminal.ts";
import { UsageError } from "./usage_error.ts";

/** A command, as failures name it. */
export interface FailingCommand {
  /** Of `deno task`: `serve`. */
  readonly task: string;
  /** Who is at fault when its user is not: `the server`. */
  readonly culprit: string;
  readonly stderr: Pick<Terminal, "write">;
}

/** Tells of something thrown that nobody expected. @returns the exit code */
export function tellInternalError(command: FailingCommand, error: unknown): number {
  const what = error instanceof ServingError ? error.message : describeError(error);
  command.stderr.write(`Internal error of ${command.culprit}: ${what}\n`);
  return INTERNAL;
}

/** From now on what nobody has caught ends the process, as {@linkcode tellInternalError} says. */
export function endWhenUncaught(command: FailingCommand): void {
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    Deno.exit(tellInternalError(command, event.reason));
  });
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    Deno.exit(tellInternalError(command, event.error));
  });
}

/** Tells what ended the command: its user asked for what cannot be, or else it is at fault. @returns the exit code */
export function tellFailure(command: FailingCommand, error: unknown): number {
  if (!(error instanceof UsageError)) return tellInternalError(command, error);
  command.stderr.write(`${error.message}\nSee deno task ${command.task} --help\n`);
  return USAGE;
}

/**
 * Says where stdout could not take all that the command had to say.
 * @returns the exit code: `code` unless that would say that all is there
 */
export function tellUnwritten(
  stdout: Pick<Terminal, "failure">,
  stderr: Pick<Terminal, "write">,
  code: number,
): number {
  if (stdout.failure === null) return code;
  stderr.write(`Cannot write all of it to stdout: ${stdout.failure}\n`);
  return code === USAGE || code === INTERRUPTED ? code : INTERNAL;
}
