/**
 * What vias need before their first run, and whether it can be had: what takes minutes the first
 * time is no part of a run that may take seconds.
 * @module
 */

import type { Terminal } from "../cli/terminal.ts";
import type { VmFiles } from "../vm/qemu.ts";
import type { Via } from "../scenario.ts";

/** How vias are prepared: `terminal` gets the progress. */
export interface PrepareOptions extends Omit<VmFiles, "listener"> {
  readonly terminal: Terminal;
}

/**
 * Fetches and builds what the vias need. @returns why a via cannot be had on this machine
 * @throws the signal's reason when it is aborted
 */
export async function prepareVias(
  vias: ReadonlySet<Via>,
  options: PrepareOptions,
): Promise<ReadonlyMap<Via, string>> {
  const missing = new Map<Via, string>();
  if (!vias.has("qemu")) return missing;
  // Loaded when it is wanted: other vias do without.
  const { missingForQemu } = await import("./qemu_prepare.ts");
  const reason = await missingForQemu(options);
  if (reason !== null) missing.set("qemu", reason);
  return missing;
}
