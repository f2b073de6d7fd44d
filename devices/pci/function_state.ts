/**
 * What a function may do now: the command register and the power state, looked up once for each
 * change instead of at each access.
 * @module
 */

import type { ConfigSpace } from "./config_space.ts";
import * as spec from "./spec.ts";

/** Power states that software can put a function into. */
export type PowerState = "D0" | "D1" | "D2" | "D3hot";

const POWER_STATES: readonly PowerState[] = ["D0", "D1", "D2", "D3hot"];

/** The gates of one function. Outside D0 all are shut (PCI Power Management 1.2, 5.4). */
export class FunctionState {
  #power: PowerState = "D0";
  #memory = false;
  #io = false;
  #busMaster = false;
  #intx = true;

  /** The power state. */
  get power(): PowerState {
    return this.#power;
  }

  /** Whether memory BARs answer. */
  get memory(): boolean {
    return this.#memory;
  }

  /** Whether I/O BARs answer. */
  get io(): boolean {
    return this.#io;
  }

  /** Whether DMA and message interrupts may leave. */
  get busMaster(): boolean {
    return this.#busMaster;
  }

  /** Whether INTx may be asserted. */
  get intx(): boolean {
    return this.#intx;
  }

  /** Takes over what the registers say; `pm` is where the power management capability stands, if anywhere. */
  update(config: ConfigSpace, pm: number | undefined): void {
    const command = config.get(spec.PCI_COMMAND, 2);
    const state = pm === undefined
      ? 0
      : config.get(pm + spec.PCI_PM_CTRL, 2) & spec.PCI_PM_CTRL_STATE_MASK;
    this.#power = POWER_STATES[state] ?? "D0";
    const on = state === 0;
    this.#memory = on && (command & spec.PCI_COMMAND_MEMORY) !== 0;
    this.#io = on && (command & spec.PCI_COMMAND_IO) !== 0;
    this.#busMaster = on && (command & spec.PCI_COMMAND_MASTER) !== 0;
    this.#intx = on && (command & spec.PCI_COMMAND_INTX_DISABLE) === 0;
  }
}
