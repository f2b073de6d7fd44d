/**
 * The vias that are built, and the machine on each. A new via gets its line here
 * and in `availability.ts`.
 * @module
 */

import { BUILT_MODES } from "./availability.ts";
import { Machine, type MachineOptions } from "../machine/machine.ts";
import type { Via } from "../scenario.ts";
import { connectDirect } from "./direct.ts";

/** Builds a machine. @throws {Error} for a via or a mode that is not built */
// deno-lint-ignore require-await
export async function buildMachine(via: Via, options: MachineOptions): Promise<Machine> {
  if (!BUILT_MODES.includes(options.mode)) {
    throw new Error(
      `Cannot build a machine in mode ${options.mode}: there are ${BUILT_MODES.join(", ")}`,
    );
  }
  switch (via) {
    case "direct":
      return Machine.build(options, connectDirect);
    default:
      throw new Error(`Cannot build a machine via ${via}: there is direct`);
  }
}
