/**
 * Which modes and vias are built: what the runner offers, and what a driver of
 * scenarios may name. The command line refuses the others.
 * @module
 */

import type { Mode, Via } from "../scenario.ts";

/** Modes a machine can be built in. */
export const BUILT_MODES: readonly Mode[] = ["identity", "remap"];

/** Vias with a backend in `via/registry.ts`. */
export const BUILT_VIAS: readonly Via[] = ["direct"];
