/**
 * Starts a process that measures memory, and reads what it found.
 * @module
 */

import { fromFileUrl } from "@std/path";
import * as v from "valibot";

/** Runs `module` with `request` as its argument. @throws {Error} with what it said when it fails */
export async function askChild<Report>(
  module: URL,
  request: object,
  schema: v.GenericSchema<unknown, Report>,
): Promise<Report> {
  const { success, code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--allow-all",
      "--quiet",
      "--no-prompt",
      "--v8-flags=--expose-gc",
      `--config=${fromFileUrl(new URL("../../../deno.json", import.meta.url))}`,
      module.href,
      JSON.stringify(request),
    ],
    stdin: "null",
    env: { NO_COLOR: "1" },
  }).output();
  const text = new TextDecoder();
  if (!success) {
    throw new Error(`${module.href} ended with exit code ${code}:\n${text.decode(stderr)}`);
  }
  return v.parse(schema, JSON.parse(text.decode(stdout)));
}
