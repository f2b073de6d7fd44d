/**
 * The vias that are built, and the machine on each. A new via gets its line here
 * and in `availability.ts`.
 * @module
 */

import { BUILT_MODES, BUILT_VIAS } from "./availability.ts";
import { Machine, type MachineOptions } from "../machine/machine.ts";
import type { Via } from "../scenario.ts";
import { connectDirect } from "./direct.ts";

/** Builds a machine. @throws {Error} for a via or a mode that is not built */
export async function buildMachine(via: Via, options: MachineOptions): Promise<Machine> {
  if (!BUILT_MODES.includes(options.mode)) {
    throw new Error(
      `Cannot build a machine in mode ${options.mode}: there are ${BUILT_MODES.join(", ")}`,
    );
  }
  switch (via) {
    case "direct":
      return Machine.build(options, connectDirect);
    case "vfio-user": {
      // Loaded when it is wanted: it needs Linux and --allow-ffi, which direct does not.
      const { buildVfioUserMachine } = await import("./vfio_user.ts");
      return await buildVfioUserMachine(options);
    }
    case "qemu": {
      const { buildQemuMachine } = await import("./qemu.ts");
      return await buildQemuMachine(options);
    }
    default:
      throw new Error(`Cannot build a machine via ${via}: there are ${BUILT_VIAS.join(", ")}`);
  }
}
