/**
 * What keeps a virtual machine from running.
 * @module
 */

/** A failure that names what is missing, and how a person mends it. */
export class VmError extends Error {
  override readonly name = "VmError";

  /** `mend` is a command, or a sentence that holds one. */
  constructor(message: string, readonly mend: string, options?: ErrorOptions) {
    super(`${message}\nTo mend it: ${mend}`, options);
  }
}
