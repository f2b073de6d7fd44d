/**
 * A function's DMA view behind its Bus Master Enable bit (PCI 3.0, 6.2.2).
 * @module
 */

import { Fault, type Iova, type Status } from "../../core/address.ts";
import type { Memory, Pin, ScalarSize } from "../../core/memory/memory.ts";

/** Says whether the function may master the bus now. */
export interface BusMasterGate {
  readonly busMaster: boolean;
}

/**
 * Memory that faults with `BUS_MASTER_OFF` while the gate is shut. Ranges of length 0 touch nothing
 * and are passed on, as everywhere.
 */
export class BusMasterMemory implements Memory<Iova> {
  readonly #memory: Memory<Iova>;
  readonly #gate: BusMasterGate;
  readonly #guard: (body: () => unknown) => void;
  readonly #pins = new Set<GatedPin>();
  #transferred = 0;

  /** `guard` runs an `onRevoke` of the device, and keeps what it throws: that must not stop those of others. */
  constructor(memory: Memory<Iova>, gate: BusMasterGate, guard: (body: () => unknown) => void) {
    this.#memory = memory;
    this.#gate = gate;
    this.#guard = guard;
  }

  get transferred(): number {
    return this.#transferred;
  }

  /** Asks for all pins back: the gate was shut, or the function reset. */
  revokePins(): void {
    for (const pin of [...this.#pins]) pin.revoke();
  }

  read(address: Iova, into: Uint8Array): Status {
    if (this.#shut(into.length)) return this.#refuse();
    const status = this.#memory.read(address, into);
    this.#transferred = this.#memory.transferred;
    return status;
  }

  write(address: Iova, from: Uint8Array): Status {
    if (this.#shut(from.length)) return this.#refuse();
    const status = this.#memory.write(address, from);
    this.#transferred = this.#memory.transferred;
    return status;
  }

  readU8(address: Iova): number {
    return this.#gate.busMaster ? this.#memory.readU8(address) : Fault.BUS_MASTER_OFF;
  }

  readU16(address: Iova): number {
    return this.#gate.busMaster ? this.#memory.readU16(address) : Fault.BUS_MASTER_OFF;
  }

  readU32(address: Iova): number {
    return this.#gate.busMaster ? this.#memory.readU32(address) : Fault.BUS_MASTER_OFF;
  }

  readU64(address: Iova): number {
    return this.#gate.busMaster ? this.#memory.readU64(address) : Fault.BUS_MASTER_OFF;
  }

  writeU8(address: Iova, value: number): Status {
    return this.#gate.busMaster ? this.#memory.writeU8(address, value) : Fault.BUS_MASTER_OFF;
  }

  writeU16(address: Iova, value: number): Status {
    return this.#gate.busMaster ? this.#memory.writeU16(address, value) : Fault.BUS_MASTER_OFF;
  }

  writeU32(address: Iova, value: number): Status {
    return this.#gate.busMaster ? this.#memory.writeU32(address, value) : Fault.BUS_MASTER_OFF;
  }

  writeU64(address: Iova, value: number): Status {
    return this.#gate.busMaster ? this.#memory.writeU64(address, value) : Fault.BUS_MASTER_OFF;
  }

  atomicLoad(address: Iova, size: ScalarSize): number {
    return this.#gate.busMaster ? this.#memory.atomicLoad(address, size) : Fault.BUS_MASTER_OFF;
  }

  atomicStore(address: Iova, size: ScalarSize, value: number): Status {
    return this.#gate.busMaster
      ? this.#memory.atomicStore(address, size, value)
      : Fault.BUS_MASTER_OFF;
  }

  check(address: Iova, length: number, access: number): Status {
    return this.#shut(length) ? Fault.BUS_MASTER_OFF : this.#memory.check(address, length, access);
  }

  slices(address: Iova, length: number, access: number): readonly Uint8Array[] | Fault {
    return this.#shut(length) ? Fault.BUS_MASTER_OFF : this.#memory.slices(address, length, access);
  }

  pin(address: Iova, length: number, access: number): Pin | Fault {
    if (this.#shut(length)) return Fault.BUS_MASTER_OFF;
    const pin = this.#memory.pin(address, length, access);
    if (typeof pin === "number") return pin;
    return new GatedPin(pin, this.#pins, this.#guard);
  }

  #shut(length: number): boolean {
    return length !== 0 && !this.#gate.busMaster;
  }

  #refuse(): Status {
    this.#transferred = 0;
    return Fault.BUS_MASTER_OFF;
  }
}

/** A pin that is also revoked when the function it was taken for must stop. */
class GatedPin implements Pin {
  onRevoke: (() => void) | null = null;
  readonly #pin: Pin;
  readonly #pins: Set<GatedPin>;
  readonly #guard: (body: () => unknown) => void;
  #revoked = false;

  constructor(pin: Pin, pins: Set<GatedPin>, guard: (body: () => unknown) => void) {
    this.#pin = pin;
    this.#pins = pins;
    this.#guard = guard;
    pins.add(this);
    pin.onRevoke = () => this.revoke();
  }

  get slices(): readonly Uint8Array[] {
    return this.#pin.slices;
  }

  get length(): number {
    return this.#pin.length;
  }

  get revoked(): boolean {
    return this.#revoked || this.#pin.revoked;
  }

  revoke(): void {
    if (this.#revoked) return;
    this.#revoked = true;
    this.#guard(() => this.onRevoke?.());
  }

  wrote(offset: number, length: number): Status {
    return this.#pin.wrote(offset, length);
  }

  release(): void {
    this.#pins.delete(this);
    this.#pin.release();
  }
}
