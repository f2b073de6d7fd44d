/**
 * The configuration space of one function: bytes, the masks that guard them, and who watches which
 * part. What the registers mean is not known here.
 * @module
 */

import { hex, hexRange } from "../../core/address.ts";
import {
  load,
  type RegisterBlock,
  type RegisterObserver,
  type RegisterView,
  type RegisterWrite,
  store,
} from "./registers.ts";
import { PCI_CFG_SPACE_EXP_SIZE, PCI_CFG_SPACE_SIZE } from "./spec.ts";

interface Watch {
  readonly start: number;
  readonly end: number;
  readonly registers: RegisterView;
  readonly observer: RegisterObserver;
}

/**
 * Configuration space. Software's side is {@linkcode read} and {@linkcode write}, of any length and
 * alignment: a byte that is not there reads all ones and ignores writes, a partial write affects
 * its own bytes alone (PCI 3.0, 6.1). The model's side is {@linkcode get} and {@linkcode set}.
 */
export class ConfigSpace {
  /** Bytes: 256, or 4096 for a PCI Express function. */
  readonly length: number;
  readonly #bytes: Uint8Array;
  readonly #initial: Uint8Array;
  readonly #writable: Uint8Array;
  readonly #clearable: Uint8Array;
  readonly #kept: Uint8Array;
  readonly #placed: Uint8Array;
  readonly #watches: Watch[] = [];

  /** Empty: all of it reads 0. @throws {RangeError} when `length` is neither of the two */
  constructor(length: 256 | 4096) {
    if (length !== PCI_CFG_SPACE_SIZE && length !== PCI_CFG_SPACE_EXP_SIZE) {
      throw new RangeError(
        `Cannot make a configuration space of ${length} bytes: it has 256, or 4096 for PCI Express`,
      );
    }
    this.length = length;
    this.#bytes = new Uint8Array(length);
    this.#initial = new Uint8Array(length);
    this.#writable = new Uint8Array(length);
    this.#clearable = new Uint8Array(length);
    this.#kept = new Uint8Array(length);
    this.#placed = new Uint8Array(length);
  }

  /**
   * Puts a block at `start`, in its power-on state.
   * @throws {RangeError} when it does not fit, or something is there already
   */
  place(start: number, block: RegisterBlock): void {
    const end = start + block.length;
    if (start < 0 || end > this.length) {
      throw new RangeError(
        `Cannot place registers at ${hexRange(start, block.length)}: ` +
          `configuration space ends at ${hex(this.length - 1)}`,
      );
    }
    const { initial, writable, clearable, kept } = block;
    for (const bytes of [initial, writable, clearable, kept]) {
      if (bytes !== undefined && bytes.length !== block.length) {
        throw new RangeError(
          `Cannot place registers at ${hexRange(start, block.length)}: ` +
            `a table of the block has ${bytes.length} bytes instead of ${block.length}`,
        );
      }
    }
    if (this.#placed.subarray(start, end).some((byte) => byte !== 0)) {
      throw new RangeError(
        `Cannot place registers at ${hexRange(start, block.length)}: others are there already`,
      );
    }
    this.#placed.fill(1, start, end);
    this.#bytes.set(initial, start);
    this.#initial.set(initial, start);
    if (writable !== undefined) this.#writable.set(writable, start);
    if (clearable !== undefined) this.#clearable.set(clearable, start);
    if (kept !== undefined) this.#kept.set(kept, start);
    if (block.observer !== undefined) this.observe(start, block.length, block.observer);
  }

  /** Lets `observer` watch a range. Those who watch the same byte are told in the order of these calls. */
  observe(start: number, length: number, observer: RegisterObserver): void {
    const registers: RegisterView = {
      get: (at, size) => this.get(start + at, size),
      set: (at, size, value) => this.set(start + at, size, value),
    };
    this.#watches.push({ start, end: start + length, registers, observer });
    observer.placed?.(registers);
  }

  /** Software reads `size` bytes: the unsigned value. */
  read(offset: number, size: 1 | 2 | 4): number {
    this.#beforeRead(offset, size);
    let value = 0;
    for (let index = size - 1; index >= 0; index--) {
      value = value << 8 | (this.#bytes[offset + index] ?? 0xff);
    }
    return value >>> 0;
  }

  /** Software fills `into` from `offset` on. */
  readBytes(offset: number, into: Uint8Array): void {
    this.#beforeRead(offset, into.length);
    for (let index = 0; index < into.length; index++) {
      into[index] = this.#bytes[offset + index] ?? 0xff;
    }
  }

  /** Software writes the low `size` bytes of `value`. */
  write(offset: number, size: 1 | 2 | 4, value: number): void {
    const bytes = new Uint8Array(size);
    store(bytes, 0, size, value);
    this.writeBytes(offset, bytes);
  }

  /** Software writes all of `from`: one dword after the other, as it reaches a function. */
  writeBytes(offset: number, from: Uint8Array): void {
    let at = 0;
    while (at < from.length) {
      const length = Math.min(4 - (offset + at & 3), from.length - at);
      this.#writeWithinDword(offset + at, from.subarray(at, at + length));
      at += length;
    }
  }

  /** The model reads a register; nobody is told. */
  get(offset: number, size: 1 | 2 | 4): number {
    return load(this.#bytes, offset, size);
  }

  /** The model stores a register, read-only bits included; nobody is told. */
  set(offset: number, size: 1 | 2 | 4, value: number): void {
    if (offset < 0 || offset + size > this.length) {
      throw new RangeError(
        `Cannot set ${size} bytes at ${hex(offset)}: configuration space ends at ${
          hex(this.length - 1)
        }`,
      );
    }
    store(this.#bytes, offset, size, value);
  }

  /** As {@linkcode set}, and from now on resets bring this value back. */
  setInitial(offset: number, size: 1 | 2 | 4, value: number): void {
    this.set(offset, size, value);
    store(this.#initial, offset, size, value);
  }

  /** Every byte as after power-on. */
  powerOn(): void {
    this.#bytes.set(this.#initial);
  }

  /** As {@linkcode powerOn}, except for the bits that function-level reset keeps (PCIe 4.0, 6.6.2). */
  functionReset(): void {
    for (let at = 0; at < this.length; at++) {
      const kept = this.#kept[at] ?? 0;
      this.#bytes[at] = (this.#bytes[at] ?? 0) & kept | (this.#initial[at] ?? 0) & ~kept;
    }
  }

  /** The bytes as they are, without anybody being told. A copy. */
  snapshot(): Uint8Array {
    return this.#bytes.slice();
  }

  /**
   * Takes over what software has written elsewhere: of `bytes`, as long as configuration space, the
   * bits that software may write or clear. Read-only bits stay; nobody is told.
   */
  restore(bytes: Uint8Array): void {
    for (let at = 0; at < this.length; at++) {
      const mask = (this.#writable[at] ?? 0) | (this.#clearable[at] ?? 0);
      this.#bytes[at] = (this.#bytes[at] ?? 0) & ~mask | (bytes[at] ?? 0) & mask;
    }
  }

  #beforeRead(offset: number, length: number): void {
    for (const { start, end, registers, observer } of this.#watches) {
      if (observer.reading === undefined) continue;
      const first = Math.max(offset, start), beyond = Math.min(offset + length, end);
      if (first < beyond) observer.reading(registers, first - start, beyond - first);
    }
  }

  #writeWithinDword(offset: number, from: Uint8Array): void {
    if (offset < 0 || offset >= this.length) return;
    const before = this.#bytes.slice(offset, offset + from.length);
    for (let index = 0; index < from.length; index++) {
      const at = offset + index;
      const value = from[index] ?? 0, writable = this.#writable[at] ?? 0;
      this.#bytes[at] = ((before[index] ?? 0) & ~writable | value & writable) &
        ~(value & (this.#clearable[at] ?? 0));
    }
    const end = offset + from.length;
    for (const watch of this.#watches) {
      if (watch.observer.written === undefined || watch.start >= end || watch.end <= offset) {
        continue;
      }
      const write = new DwordWrite(watch, offset - watch.start, from, before);
      watch.observer.written(watch.registers, write);
    }
  }
}

/** A write seen from one watched range; `#at` may be negative when the write began before it. */
class DwordWrite implements RegisterWrite {
  readonly #watch: Watch;
  readonly #at: number;
  readonly #bytes: Uint8Array;
  readonly #before: Uint8Array;

  constructor(watch: Watch, at: number, bytes: Uint8Array, before: Uint8Array) {
    this.#watch = watch;
    this.#at = at;
    this.#bytes = bytes;
    this.#before = before;
  }

  touches(at: number, size: 1 | 2 | 4): boolean {
    return at < this.#at + this.#bytes.length && at + size > this.#at;
  }

  bits(at: number, size: 1 | 2 | 4): number {
    return this.#assemble(this.#bytes, at, size, () => 0);
  }

  before(at: number, size: 1 | 2 | 4): number {
    const { registers } = this.#watch;
    return this.#assemble(this.#before, at, size, (byte) => registers.get(byte, 1));
  }

  #assemble(
    bytes: Uint8Array,
    at: number,
    size: number,
    otherwise: (at: number) => number,
  ): number {
    let value = 0;
    for (let index = size - 1; index >= 0; index--) {
      value = value << 8 | (bytes[at + index - this.#at] ?? otherwise(at + index));
    }
    return value >>> 0;
  }
}
