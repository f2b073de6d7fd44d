/**
 * What keeps a virtual machine from running.
 * @module
 */

import { tmpdir } from "node:os";
import { thrownMessage } from "../../core/thrown.ts";

/** A failure that names what is missing, and how a person mends it. */
export class VmError extends Error {
  override readonly name = "VmError";

  /** `mend` is a command, or a sentence that holds one. */
  constructor(message: string, readonly mend: string, options?: ErrorOptions) {
    super(`${message}\nTo mend it: ${mend}`, options);
  }
}

/** For a folder of temporary files that cannot be made. */
export function noTemporaryFolder(cause: unknown): VmError {
  return new VmError(
    `Cannot make a folder for temporary files in ${tmpdir()}: ${thrownMessage(cause)}`,
    "`export TMPDIR=/a/folder/you/may/write/to`, with some MB of room",
    { cause },
  );
}
