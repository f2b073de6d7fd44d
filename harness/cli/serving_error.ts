/**
 * What ends the thread that serves devices.
 * @module
 */

/** The thread has failed; its message says how. */
export class ServingError extends Error {
  override readonly name = "ServingError";
}
