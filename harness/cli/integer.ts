/**
 * Integers on the command line.
 * @module
 */

import { InvalidArgumentError } from "@commander-js/extra-typings";

/**
 * A parser of decimal integers from `least` to `most`; `what` begins the message about others: `A port`.
 * It throws an {@linkcode InvalidArgumentError}.
 */
export function integer(what: string, least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d+$/.test(text) ? Number(text) : NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`${what} is an integer from ${least} to ${most}.`);
  };
}
