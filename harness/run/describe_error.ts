/**
 * Thrown values as text for reports.
 * @module
 */

import { attempt, shortened, thrownMessage, thrownName } from "../../core/thrown.ts";

/** Characters of a description at most: enough for a stack with its causes. */
const LIMIT = 65_536;

/** The stack of an error with its causes, or the value as the console would show it. Never throws. */
export function describeError(error: unknown): string {
  if (attempt(() => error instanceof Error) !== true) return inspected(error);
  const thrown = error as Error;
  const stack: unknown = attempt(() => thrown.stack);
  const text = typeof stack === "string" && stack !== ""
    ? shortened(stack, LIMIT)
    : `${thrownName(thrown)}: ${thrownMessage(thrown)}`;
  const cause = attempt(() => thrown.cause);
  return cause === undefined ? text : `${text}\nCaused by: ${inspected(cause)}`;
}

/** The message of an error alone, or the value as the console would show it. Never throws. */
export function describeBriefly(error: unknown): string {
  return attempt(() => error instanceof Error) === true ? thrownMessage(error) : inspected(error);
}

/** As the console shows it; where even that throws, as little as can be said of it. */
function inspected(value: unknown): string {
  const text: unknown = attempt(() => Deno.inspect(value));
  return typeof text === "string" ? shortened(text, LIMIT) : thrownMessage(value);
}

/** Frames that say how the runner came to call a scenario, and nothing about what went wrong. */
const RUNNER_FRAME = /^\s+at .*(?:harness\/(?:child|run)\/\w+\.ts:|\(ext:)/;

/**
 * As {@linkcode describeError}, for what a scenario or a device has thrown: without
 * the runner's own frames, and with files named from the working folder on.
 */
export function describeScenarioError(error: unknown): string {
  return describeError(error)
    .split("\n")
    .filter((line) => !RUNNER_FRAME.test(line))
    .join("\n")
    .replaceAll(`file://${Deno.cwd()}/`, "");
}
