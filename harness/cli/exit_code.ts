/**
 * How commands end that did not do what they are for (DESIGN.md, 5). 0 and 1 are for each to name.
 * @module
 */

/** The command line, or a file that it names, makes no sense. */
export const USAGE = 2;
/** The command itself is at fault. */
export const INTERNAL = 3;
/** A signal has ended it. */
export const INTERRUPTED = 130;
