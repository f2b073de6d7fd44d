/**
 * Processes of our own: this Deno, on a module of this project.
 * @module
 */

import { fromFileUrl } from "@std/path";

/** Arguments for Deno itself that run `module`, a URL, which gets `args`. It may do what we may. */
export function denoArguments(module: string, args: readonly string[] = []): string[] {
  return [
    "run",
    "--allow-all",
    "--quiet",
    "--no-prompt",
    `--config=${fromFileUrl(new URL("../../deno.json", import.meta.url))}`,
    module,
    ...args,
  ];
}

/** How a process ended: `exit code 1`, or `signal SIGKILL`. */
export function exitName({ code, signal }: Omit<Deno.CommandStatus, "success">): string {
  return signal === null ? `exit code ${code}` : `signal ${signal}`;
}
