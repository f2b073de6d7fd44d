/**
 * Thrown values as text for reports.
 * @module
 */

/** The stack of an error with its causes, or the value as the console would show it. */
export function describeError(error: unknown): string {
  try {
    if (!(error instanceof Error)) return Deno.inspect(error);
    const text = error.stack ?? `${error.name}: ${error.message}`;
    return error.cause === undefined ? text : `${text}\nCaused by: ${Deno.inspect(error.cause)}`;
  } catch {
    // Even the properties of what is thrown may throw.
    return "a value that cannot be shown";
  }
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
