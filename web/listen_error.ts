/**
 * Why a port cannot be had, for people.
 * @module
 */

import { UsageError } from "../harness/cli/usage_error.ts";

/** The error to show for one of listening; others as they are. */
export function listenError(error: unknown, host: string, port: number): unknown {
  if (error instanceof Deno.errors.AddrInUse) {
    return new UsageError(
      `Cannot listen on ${host} port ${port}: another process does; name another port, or 0 for ` +
        `any that is free`,
    );
  }
  if (
    error instanceof Deno.errors.AddrNotAvailable ||
    error instanceof Deno.errors.PermissionDenied ||
    (error instanceof Error && /lookup|resolve/i.test(error.message))
  ) {
    return new UsageError(`Cannot listen on ${host} port ${port}: ${error.message}`);
  }
  return error;
}
