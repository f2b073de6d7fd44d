/**
 * Regions and interrupt types of a PCI device by short names: `bar0`, `config`, `intx`.
 * @module
 */

import { VfioPciIrq, VfioPciRegion } from "../../protocols/vfio_user/vfio_spec.ts";

/** By index: `bar0` to `bar5`, `rom`, `config`, `vga`. */
export const REGION_NAMES: readonly string[] = Object.keys(VfioPciRegion)
  .map((name) => name.replace(/^VFIO_PCI_|_REGION_INDEX$/g, "").toLowerCase());

/** By index: `intx`, `msi`, `msix`, `err`, `req`. */
const IRQ_NAMES: readonly string[] = Object.keys(VfioPciIrq)
  .map((name) => name.replace(/^VFIO_PCI_|_IRQ_INDEX$/g, "").toLowerCase());

/** The name of a region; those that no PCI device has by itself are `region9` and on. */
export function regionName(index: number): string {
  return REGION_NAMES[index] ?? `region${index}`;
}

/** The name of an interrupt type, as {@linkcode regionName}. */
export function irqName(index: number): string {
  return IRQ_NAMES[index] ?? `irq${index}`;
}

/** The words of a table whose bits are set, unknown ones in hexadecimal; `-` for none. */
export function flagWords(
  value: number,
  table: Readonly<Record<string, number>>,
  prefix: RegExp,
): string {
  const words: string[] = [];
  let rest = value;
  for (const [name, bit] of Object.entries(table)) {
    if ((value & bit) === 0) continue;
    words.push(name.replace(prefix, "").toLowerCase());
    rest &= ~bit;
  }
  if (rest !== 0) words.push(`0x${(rest >>> 0).toString(16)}`);
  return words.length === 0 ? "-" : words.join(",");
}

/** Rows in columns, two blanks between; the last column is not padded. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, at) => (widths[at] = Math.max(widths[at] ?? 0, cell.length)));
  }
  return rows.map((row) =>
    row.map((cell, at) => at === row.length - 1 ? cell : cell.padEnd(widths[at] ?? 0)).join("  ") +
    "\n"
  ).join("");
}
