/**
 * Which modes and vias are built: what the runner offers, and what a driver of
 * scenarios may name. The command line refuses the others.
 * @module
 */

import type { Mode, Via } from "../scenario.ts";

/** Modes a machine can be built in. */
export const BUILT_MODES: readonly Mode[] = ["identity", "remap"];

/** Vias with a backend in `via/registry.ts`. */
export const BUILT_VIAS: readonly Via[] = ["direct", "vfio-user", "qemu"];

/** Vias that scenarios run in when none is asked for: those that need nothing but this machine. */
export const USUAL_VIAS: readonly Via[] = ["direct", "vfio-user"];

/** By how much longer than elsewhere a run may take via this: a guest in an emulator is slow, and may have to boot. */
export function viaPatience(via: Via): number {
  return via === "qemu" ? 6 : 1;
}
