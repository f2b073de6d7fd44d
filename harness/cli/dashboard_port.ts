/**
 * `--dashboard[=PORT]` of commands that have a page beside them.
 * @module
 */

import { integer } from "./integer.ts";

/** The flag, as commander spells it. */
export const DASHBOARD_FLAG = "--dashboard [PORT]";

/** A port, 0 for any that is free. @throws {InvalidArgumentError} */
export const dashboardPort: (text: string) => number = integer("A port", 0, 65_535);

/** `--dashboard` without a port as one that is free: what follows it is another argument, and no port. */
export function withPort(argument: string): string {
  return argument === "--dashboard" ? "--dashboard=0" : argument;
}
