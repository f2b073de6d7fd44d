/**
 * Numbers as the page writes them, where those of the other reports are too coarse.
 * @module
 */

import { type Html, html } from "./template.ts";

/** Every digit, in groups of three. */
export function integer(count: number): string {
  // A narrow space that does not break.
  return String(count).replace(/\B(?=(?:\d{3})+$)/g, "\u202f");
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** `812 B`, `64.0 KiB`, `1.9 MiB`. */
export function byteCount(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1023.95 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return unit === 0 ? `${value} B` : `${value.toFixed(value < 99.95 ? 1 : 0)} ${UNITS[unit]}`;
}

/** `shown` for people, and the number itself for whoever copies the table. */
export function data(value: number, shown: string): Html {
  return html`<data value="${value}">${shown}</data>`;
}

/** `1 run`, `2 runs`, with every digit. */
export function counted(count: number, noun: string): string {
  return `${integer(count)} ${noun}${count === 1 ? "" : "s"}`;
}
