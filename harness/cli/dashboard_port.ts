/**
 * `--dashboard[=PORT]` of commands that have a page beside them.
 * @module
 */

import { InvalidArgumentError } from "@commander-js/extra-typings";

/** The flag, as commander spells it. */
export const DASHBOARD_FLAG = "--dashboard [PORT]";

/** A port, 0 for any that is free. @throws {InvalidArgumentError} */
export function dashboardPort(text: string): number {
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (value <= 65_535) return value;
  throw new InvalidArgumentError("A port is an integer from 0 to 65535.");
}

/** `--dashboard` without a port as one that is free: what follows it is another argument, and no port. */
export function withPort(argument: string): string {
  return argument === "--dashboard" ? "--dashboard=0" : argument;
}
