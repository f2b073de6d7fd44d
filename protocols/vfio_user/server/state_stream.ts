/**
 * A function's state as the bytes that migration carries: records, each with its length, and JSON in
 * them. Read from a peer, who may have made them up.
 *
 * A stream is an identity record, sent while the device still runs so that a destination can refuse
 * early, and then one state record. Nothing follows.
 *
 * @module
 */

import type { FunctionSnapshot } from "../../../devices/pci/pci_function.ts";
import { type Layout, layout, u16, u32 } from "../../../core/layout.ts";

/** Before each record. */
const RECORD: Layout<"magic" | "version" | "kind" | "length"> = layout({
  /** "VDCT". */
  magic: u32,
  /** Of the stream's format. */
  version: u16,
  kind: u16,
  /** Bytes of JSON that follow. */
  length: u32,
});
const MAGIC = 0x5443_4456;
const VERSION = 1;
const Kind = { IDENTITY: 1, STATE: 2 } as const;

/** Bytes of a stream that are taken at most. */
export const MAX_STATE_BYTES = 0x400_0000;
/** Values in a record at most: as objects they take tens of times the bytes that they have as text. */
const MAX_VALUES = 0x10_0000;
const COMMA = 0x2c, BRACKET = 0x5b, BRACE = 0x7b;

function record(kind: number, value: unknown): Uint8Array {
  const json = new TextEncoder().encode(JSON.stringify(value));
  const bytes = new Uint8Array(RECORD.size + json.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(RECORD.at.magic, MAGIC, true);
  view.setUint16(RECORD.at.version, VERSION, true);
  view.setUint16(RECORD.at.kind, kind, true);
  view.setUint32(RECORD.at.length, json.length, true);
  bytes.set(json, RECORD.size);
  return bytes;
}

/** The record that says whose state will follow. */
export function encodeIdentity(type: string): Uint8Array {
  return record(Kind.IDENTITY, { type });
}

/** The record of a state. */
export function encodeState(snapshot: FunctionSnapshot): Uint8Array {
  return record(Kind.STATE, {
    config: snapshot.config.toHex(),
    msix: snapshot.msix.toHex(),
    device: snapshot.state,
  });
}

/** The snapshot in a whole stream of a device of `type`, or what is wrong with the stream. */
export function decodeStream(bytes: Uint8Array, type: string): FunctionSnapshot | string {
  const identity = readRecord(bytes, 0, Kind.IDENTITY);
  if (typeof identity === "string") return identity;
  if (identity.value.type !== type) return `it is not of a device of type ${type}`;
  const state = readRecord(bytes, identity.end, Kind.STATE);
  if (typeof state === "string") return state;
  if (state.end !== bytes.length) return `${bytes.length - state.end} bytes follow its end`;
  const config = fromHex(state.value.config);
  const msix = fromHex(state.value.msix);
  if (config === null || msix === null) return "a block of bytes is not in hexadecimal";
  return { config, msix, state: state.value.device };
}

interface Record {
  readonly value: Readonly<{ [name: string]: unknown }>;
  readonly end: number;
}

function readRecord(bytes: Uint8Array, at: number, kind: number): Record | string {
  if (bytes.length - at < RECORD.size) return "it ends in the middle of a record";
  const view = new DataView(bytes.buffer, bytes.byteOffset + at, RECORD.size);
  if (view.getUint32(RECORD.at.magic, true) !== MAGIC) return "it is no state of ours";
  if (view.getUint16(RECORD.at.version, true) !== VERSION) return "its version is not known";
  if (view.getUint16(RECORD.at.kind, true) !== kind) {
    return `record ${kind} is not where it belongs`;
  }
  const start = at + RECORD.size;
  const end = start + view.getUint32(RECORD.at.length, true);
  if (end > bytes.length) return "it ends in the middle of a record";
  const json = bytes.slice(start, end);
  if (hasMoreValues(json, MAX_VALUES)) return `record ${kind} has more than ${MAX_VALUES} values`;
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(json));
  } catch {
    return `record ${kind} is no JSON`;
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return `record ${kind} is no object`;
  }
  return { value: value as Record["value"], end };
}

/** Each value but the first comes behind a comma, or begins a list or an object; in text they count as well. */
function hasMoreValues(json: Uint8Array, most: number): boolean {
  let left = most;
  for (let at = 0; at < json.length && left >= 0; at++) {
    const byte = json[at];
    if (byte === COMMA || byte === BRACKET || byte === BRACE) left--;
  }
  return left < 0;
}

function fromHex(text: unknown): Uint8Array | null {
  if (typeof text !== "string" || text.length % 2 !== 0 || !/^[0-9a-f]*$/.test(text)) return null;
  return Uint8Array.fromHex(text);
}
