/**
 * The edges of guest RAM.
 * @module
 */

import { Access, type Gpa, PAGE_SIZE } from "../../core/address.ts";
import type { ScenarioContext } from "../scenario.ts";

/**
 * Takes the last page of RAM before the first hole in it, and with it all of that
 * RAM that is free. @throws {Error} when that page is taken
 */
export function takeLastPageBeforeHole(t: ScenarioContext): Gpa {
  const { cpu } = t.memory;
  let hole = 0;
  while (cpu.check(hole as Gpa, PAGE_SIZE, Access.READ) === 0) hole += PAGE_SIZE;
  for (;;) {
    const page = t.memory.allocateContiguous(PAGE_SIZE, { limit: hole });
    if (page + PAGE_SIZE === hole) return page;
  }
}

/** Takes a page at or above 4 GiB. @throws {Error} when there is none */
export function takeHighPage(t: ScenarioContext): Gpa {
  for (;;) {
    const page = t.memory.allocatePages(1)[0]!;
    if (page >= 2 ** 32) return page;
  }
}

/** `length` bytes of guest RAM from `gpa` on. */
export function ramBytes(t: ScenarioContext, gpa: Gpa, length: number = PAGE_SIZE): Uint8Array {
  const bytes = new Uint8Array(length);
  t.memory.cpu.read(gpa, bytes);
  return bytes;
}
