/**
 * A DMA buffer as the guest's CPU sees it: pages that need not follow each other.
 * @module
 */

import { type Gpa, hex, type Iova, PAGE_SIZE } from "../../core/address.ts";
import type { Memory } from "../../core/memory/memory.ts";
import type { DmaBuffer } from "../scenario.ts";

/** {@linkcode DmaBuffer} over pages of guest RAM. */
export class BufferInPages implements DmaBuffer {
  readonly iova: Iova;
  readonly pages: readonly Gpa[];
  readonly length: number;
  readonly #cpu: Memory<Gpa>;
  readonly #takeAway: () => Promise<void>;
  #unmapped: Promise<void> | null = null;

  /** `takeAway` ends the device's access; it is called at most once. */
  constructor(
    cpu: Memory<Gpa>,
    iova: Iova,
    pages: readonly Gpa[],
    takeAway: () => Promise<void>,
  ) {
    this.#cpu = cpu;
    this.iova = iova;
    this.pages = pages;
    this.length = pages.length * PAGE_SIZE;
    this.#takeAway = takeAway;
  }

  read(offset = 0, length: number = this.length - offset): Uint8Array {
    this.#mustHold("read", offset, length);
    const bytes = new Uint8Array(length);
    this.#eachPage(offset, length, (gpa, at, count) => {
      this.#mustWork("read", gpa, this.#cpu.read(gpa, bytes.subarray(at, at + count)));
    });
    return bytes;
  }

  write(bytes: Uint8Array, offset = 0): void {
    this.#mustHold("write", offset, bytes.length);
    this.#eachPage(offset, bytes.length, (gpa, at, count) => {
      this.#mustWork("write", gpa, this.#cpu.write(gpa, bytes.subarray(at, at + count)));
    });
  }

  unmap(): Promise<void> {
    return this.#unmapped ??= this.#takeAway();
  }

  #mustHold(what: string, offset: number, length: number): void {
    const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(length);
    if (!whole || offset < 0 || length < 0 || offset + length > this.length) {
      throw new RangeError(
        `Cannot ${what} ${length} bytes at offset ${offset} of a DMA buffer: it has ${
          hex(this.length)
        } bytes`,
      );
    }
  }

  #mustWork(what: string, gpa: Gpa, status: number): void {
    if (status !== 0) throw new Error(`Cannot ${what} guest RAM at ${hex(gpa)}: fault ${status}`);
  }

  #eachPage(
    offset: number,
    length: number,
    visit: (gpa: Gpa, at: number, count: number) => void,
  ): void {
    for (let at = 0; at < length;) {
      const inside = (offset + at) % PAGE_SIZE;
      const count = Math.min(length - at, PAGE_SIZE - inside);
      const page = this.pages[Math.floor((offset + at) / PAGE_SIZE)]!;
      visit(page + inside as Gpa, at, count);
      at += count;
    }
  }
}
