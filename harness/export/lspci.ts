/**
 * Configuration space as `lspci -xxxx` prints it and `lspci -F` reads it.
 * @module
 */

import { formatRequesterId } from "../../devices/pci/bdf.ts";
import type { PciBus } from "../../devices/pci/bus.ts";
import * as spec from "../../devices/pci/spec.ts";

/** One function to print. */
export interface DumpedFunction {
  /** Requester ID. */
  readonly endpoint: number;
  /** Its configuration space, 256 or 4096 bytes. */
  readonly config: Uint8Array;
}

const BYTES_PER_ROW = 16;

/**
 * The dump of `functions`, in the order given. The heading of each is in numbers, as `lspci -n`
 * prints it, so that the text depends on no list of names.
 */
export function lspciDump(functions: Iterable<DumpedFunction>): string {
  return [...functions].map(({ endpoint, config }) =>
    `${heading(endpoint, config)}\n${rows(config)}`
  )
    .join("\n");
}

/** The functions of `bus`, host bridge included, as software would read them now. */
export function dumpBus(bus: PciBus): readonly DumpedFunction[] {
  return bus.functions.map(([endpoint, fn]) => {
    const config = new Uint8Array(fn.config.length);
    fn.configReadBytes(0, config);
    return { endpoint, config };
  });
}

function heading(endpoint: number, config: Uint8Array): string {
  const view = new DataView(config.buffer, config.byteOffset, config.byteLength);
  const word = (at: number): string => digits(view.getUint16(at, true), 4);
  const revision = view.getUint8(spec.PCI_REVISION_ID);
  return `${formatRequesterId(endpoint)} ${word(spec.PCI_CLASS_DEVICE)}: ` +
    `${word(spec.PCI_VENDOR_ID)}:${word(spec.PCI_DEVICE_ID)}` +
    (revision === 0 ? "" : ` (rev ${digits(revision, 2)})`);
}

function rows(config: Uint8Array): string {
  let text = "";
  for (let at = 0; at < config.length; at += BYTES_PER_ROW) {
    const bytes = [...config.subarray(at, at + BYTES_PER_ROW)].map((byte) => digits(byte, 2));
    text += `${digits(at, 2)}: ${bytes.join(" ")}\n`;
  }
  return text;
}

function digits(value: number, count: number): string {
  return value.toString(16).padStart(count, "0");
}
