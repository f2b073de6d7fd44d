/**
 * Base address registers (PCI 3.0, 6.2.5.1): their bits, what addresses they hold, and which
 * address a function answers to.
 * @module
 */

import { hex, MAX_ADDRESS } from "../../core/address.ts";
import type { ConfigSpace } from "./config_space.ts";
import type { BarIndex, BarLayout } from "./pci_device.ts";
import type { RegisterSpec } from "./registers.ts";
import * as spec from "./spec.ts";

/** The address spaces of a PCI bus besides configuration space. */
export type BusSpace = "memory" | "io";

/** A place in a BAR. */
export interface BarHit {
  /** Index of the BAR. */
  readonly bar: BarIndex;
  /** Bytes from the start of the BAR. */
  readonly offset: number;
}

const TWO_32 = 2 ** 32;
/** A function must not ask for more in one I/O BAR (PCI 3.0, 6.2.5.1). */
const MAX_IO_SIZE = 256;

/** The space that `bar` is in. */
export function barSpace(bar: BarLayout): BusSpace {
  return bar.kind === "io" ? "io" : "memory";
}

/**
 * The registers of `layouts`, for the header. A base address is writable down to the BAR's size, so
 * that software finds the size by writing all ones; what no BAR uses reads 0.
 * @throws {RangeError} when the layouts are malformed or get in each other's way
 */
export function barRegisters(layouts: readonly BarLayout[]): readonly RegisterSpec[] {
  const owners: (BarIndex | undefined)[] = [];
  const registers: RegisterSpec[] = [];
  for (const bar of layouts) {
    checkLayout(bar);
    const { index, size, kind } = bar;
    const count = kind === "mmio64" ? 2 : 1;
    for (let register = index; register < index + count; register++) {
      const owner = owners[register];
      if (owner !== undefined) {
        throw new RangeError(
          `Cannot place BAR ${index} (${kind}) in register ${register}: BAR ${owner} takes it`,
        );
      }
      owners[register] = index;
    }
    const at = spec.PCI_BASE_ADDRESS_0 + 4 * index;
    if (kind === "io") {
      registers.push({
        at,
        size: 4,
        initial: spec.PCI_BASE_ADDRESS_SPACE_IO,
        writable: (TWO_32 - size & ~spec.PCI_BASE_ADDRESS_IO_FLAGS) >>> 0,
      });
      continue;
    }
    const type = kind === "mmio64"
      ? spec.PCI_BASE_ADDRESS_MEM_TYPE_64
      : spec.PCI_BASE_ADDRESS_MEM_TYPE_32;
    registers.push({
      at,
      size: 4,
      initial: type | (bar.prefetchable ? spec.PCI_BASE_ADDRESS_MEM_PREFETCH : 0),
      writable: size >= TWO_32 ? 0 : TWO_32 - size,
    });
    if (kind === "mmio64") {
      registers.push({
        at: at + 4,
        size: 4,
        writable: size > TWO_32 ? TWO_32 - size / TWO_32 : TWO_32 - 1,
      });
    }
  }
  return registers;
}

function checkLayout(bar: BarLayout): void {
  const { index, size, kind } = bar;
  if (!Number.isInteger(index) || index < 0 || index >= spec.PCI_STD_NUM_BARS) {
    throw new RangeError(`Cannot place BAR ${index}: indices are 0 to 5`);
  }
  if (kind === "mmio64" && index === spec.PCI_STD_NUM_BARS - 1) {
    throw new RangeError(
      `Cannot place 64-bit BAR ${index}: it takes the next register too, and there is none`,
    );
  }
  if (kind === "io" && bar.prefetchable) {
    throw new RangeError(`Cannot make I/O BAR ${index} prefetchable: only memory is`);
  }
  const [least, most] = kind === "io"
    ? [4, MAX_IO_SIZE]
    : kind === "mmio32"
    ? [16, 2 ** 31]
    : [16, 2 ** 51];
  if (!(size >= least && size <= most) || !Number.isInteger(Math.log2(size))) {
    throw new RangeError(
      `Cannot give BAR ${index} (${kind}) ${hex(size)} bytes: ` +
        `the size is a power of two from ${hex(least)} to ${hex(most)}`,
    );
  }
}

/** The BARs of one function as software has programmed them. */
export class Bars {
  readonly #config: ConfigSpace;
  readonly #layouts: readonly BarLayout[];
  readonly #byIndex: readonly (BarLayout | undefined)[];

  /** `config` already holds the registers of {@linkcode barRegisters} for the same layouts. */
  constructor(layouts: readonly BarLayout[], config: ConfigSpace) {
    this.#config = config;
    this.#layouts = [...layouts].sort((a, b) => a.index - b.index);
    const byIndex: (BarLayout | undefined)[] = [];
    for (const bar of layouts) byIndex[bar.index] = bar;
    this.#byIndex = byIndex;
  }

  /** All of them, by index. */
  get layouts(): readonly BarLayout[] {
    return this.#layouts;
  }

  /** The layout of BAR `index`; undefined when there is none, or it is another's upper half. */
  get(index: number): BarLayout | undefined {
    return this.#byIndex[index];
  }

  /** The base address that BAR `index` holds; null when there is no such BAR or it ends above 2^52. */
  address(index: number): number | null {
    const bar = this.#byIndex[index];
    if (bar === undefined) return null;
    const at = spec.PCI_BASE_ADDRESS_0 + 4 * index;
    const low = this.#config.get(at, 4);
    if (bar.kind === "io") return (low & ~spec.PCI_BASE_ADDRESS_IO_FLAGS) >>> 0;
    const high = bar.kind === "mmio64" ? this.#config.get(at + 4, 4) : 0;
    const address = high * TWO_32 + ((low & ~spec.PCI_BASE_ADDRESS_MEM_FLAGS) >>> 0);
    return address + bar.size > MAX_ADDRESS + 1 ? null : address;
  }

  /**
   * The BAR that holds all of `[address, address + length)`, or null: also while the command
   * register keeps the function out of that space (PCI 3.0, 6.2.2).
   */
  decode(space: BusSpace, address: number, length: number): BarHit | null {
    const enable = space === "io" ? spec.PCI_COMMAND_IO : spec.PCI_COMMAND_MEMORY;
    if ((this.#config.get(spec.PCI_COMMAND, 2) & enable) === 0) return null;
    for (const bar of this.#layouts) {
      if (barSpace(bar) !== space) continue;
      const base = this.address(bar.index);
      if (base !== null && address >= base && address + length <= base + bar.size) {
        return { bar: bar.index, offset: address - base };
      }
    }
    return null;
  }
}
