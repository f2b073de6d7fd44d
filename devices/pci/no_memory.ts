/**
 * The DMA view of a function that has none.
 * @module
 */

import { Access, Fault, type Iova, type Status } from "../../core/address.ts";
import type { Memory, Pin } from "../../core/memory/memory.ts";
import { RamPin } from "../../core/memory/ram_pin.ts";

/** Memory without a byte in it: whatever asks for one faults with `NO_MEMORY`. */
export class NoMemory implements Memory<Iova> {
  readonly transferred = 0;

  read(_address: Iova, into: Uint8Array): Status {
    return into.length === 0 ? 0 : Fault.NO_MEMORY;
  }

  write(_address: Iova, from: Uint8Array): Status {
    return from.length === 0 ? 0 : Fault.NO_MEMORY;
  }

  readU8(): number {
    return Fault.NO_MEMORY;
  }

  readU16(): number {
    return Fault.NO_MEMORY;
  }

  readU32(): number {
    return Fault.NO_MEMORY;
  }

  readU64(): number {
    return Fault.NO_MEMORY;
  }

  writeU8(): Status {
    return Fault.NO_MEMORY;
  }

  writeU16(): Status {
    return Fault.NO_MEMORY;
  }

  writeU32(): Status {
    return Fault.NO_MEMORY;
  }

  writeU64(): Status {
    return Fault.NO_MEMORY;
  }

  atomicLoad(): number {
    return Fault.NO_MEMORY;
  }

  atomicStore(): Status {
    return Fault.NO_MEMORY;
  }

  check(_address: Iova, length: number): Status {
    return length === 0 ? 0 : Fault.NO_MEMORY;
  }

  slices(_address: Iova, length: number): readonly Uint8Array[] | Fault {
    return length === 0 ? [] : Fault.NO_MEMORY;
  }

  pin(_address: Iova, length: number, access: number): Pin | Fault {
    if (length !== 0) return Fault.NO_MEMORY;
    return new RamPin([], 0, (access & Access.WRITE) === 0 ? null : () => {});
  }
}
