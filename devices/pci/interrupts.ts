/**
 * A function's interrupts: the INTx pin, and messages by whichever router decides about them.
 *
 * Two routers exist for messages. In {@linkcode RegisterMessages} the guest's writes to the MSI and
 * MSI-X registers decide. Where a client in front of us owns those registers and hands out one
 * doorbell a vector instead (`SET_IRQS` of vfio-user), its server brings a
 * {@linkcode MessageRouter} of its own; the pin and the bus-master rule stay here.
 *
 * @module
 */

import type { ConfigSpace } from "./config_space.ts";
import type { FunctionState } from "./function_state.ts";
import type { InterruptMode, Interrupts } from "./pci_device.ts";
import * as spec from "./spec.ts";

/** Where a function's interrupts leave it. Called in the middle of the device's work: never throws. */
export interface InterruptSink {
  /** The function writes the dword `data` to `address`, a multiple of 4 below 2^52: that is MSI or MSI-X `vector`. */
  message(address: number, data: number, vector: number): void;
  /** The level of the INTx pin has changed. */
  intx(asserted: boolean): void;
}

/** Decides about message vectors: what form is on, what is granted, masked and pending. */
export interface MessageRouter {
  /** The form that is on; null leaves the function to INTx. */
  readonly mode: "msi" | "msix" | null;
  /** Sends `vector`, or marks it pending while masked; drops one that was not granted. */
  raise(vector: number): void;
  /** Sends what is pending and no longer masked. Called whenever that may have changed and sending is allowed. */
  flush(): void;
  /** The function was reset: nothing is pending any more. */
  reset(): void;
  /** Plain JSON of its state. */
  inspect(): Record<string, unknown>;
}

/**
 * The interrupt half of a function. Messages are memory writes, so they leave only while the
 * function may master the bus (PCI 3.0, 6.8). The pin follows the level the device drives, unless
 * INTx is disabled or messages are on (PCI 3.0, 6.2.2 and 6.8.1.3).
 */
export class FunctionInterrupts implements Interrupts {
  readonly #config: ConfigSpace;
  readonly #state: FunctionState;
  readonly #messages: MessageRouter;
  readonly #sink: InterruptSink;
  #level = false;
  #pin = false;

  constructor(
    config: ConfigSpace,
    state: FunctionState,
    messages: MessageRouter,
    sink: InterruptSink,
  ) {
    this.#config = config;
    this.#state = state;
    this.#messages = messages;
    this.#sink = sink;
  }

  get mode(): InterruptMode {
    return this.#messages.mode ?? "intx";
  }

  /** Whether the pin is asserted. */
  get pin(): boolean {
    return this.#pin;
  }

  raise(vector: number): void {
    if (this.#messages.mode !== null && this.#state.busMaster) this.#messages.raise(vector);
  }

  setIntx(asserted: boolean): void {
    if (this.#config.get(spec.PCI_INTERRUPT_PIN, 1) === 0) return;
    this.#setLevel(asserted);
    this.#drivePin();
  }

  /** What the decision rests on has changed: a register, a mask, the power state, the router's mode. */
  refresh(): void {
    this.#drivePin();
    if (this.#messages.mode !== null && this.#state.busMaster) this.#messages.flush();
  }

  /** Drops everything: the level, what is pending, the pin. Enables and masks are reset by others, before. */
  reset(): void {
    this.#setLevel(false);
    this.#messages.reset();
    this.#drivePin();
  }

  /** Plain JSON of the state. */
  inspect(): Record<string, unknown> {
    return {
      mode: this.mode,
      intxLevel: this.#level,
      intxPin: this.#pin,
      messages: this.#messages.inspect(),
    };
  }

  #setLevel(asserted: boolean): void {
    this.#level = asserted;
    const status = this.#config.get(spec.PCI_STATUS, 2);
    this.#config.set(
      spec.PCI_STATUS,
      2,
      asserted ? status | spec.PCI_STATUS_INTERRUPT : status & ~spec.PCI_STATUS_INTERRUPT,
    );
  }

  #drivePin(): void {
    const pin = this.#level && this.#messages.mode === null && this.#state.intx;
    if (pin === this.#pin) return;
    this.#pin = pin;
    this.#sink.intx(pin);
  }
}
