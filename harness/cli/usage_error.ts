/**
 * What is wrong with a command line or with the files it names.
 * @module
 */

/** The user asked for what cannot be: exit code 2, the message says what would be right. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
