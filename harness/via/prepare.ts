/**
 * What vias need before their first run, and whether it can be had: what takes minutes the first
 * time is no part of a run that may take seconds.
 * @module
 */

import type { Terminal } from "../cli/terminal.ts";
import type { Via } from "../scenario.ts";

/**
 * Fetches and builds what the vias need, with progress on `terminal`. @returns why a via cannot be
 * had on this machine
 */
export async function prepareVias(
  vias: ReadonlySet<Via>,
  terminal: Terminal,
): Promise<ReadonlyMap<Via, string>> {
  const missing = new Map<Via, string>();
  if (!vias.has("qemu")) return missing;
  // Loaded when it is wanted: other vias do without.
  const { missingForQemu } = await import("./qemu_prepare.ts");
  const reason = await missingForQemu(terminal);
  if (reason !== null) missing.set("qemu", reason);
  return missing;
}
