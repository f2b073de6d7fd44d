/**
 * edu's state as it travels to another process: plain JSON, and the reader that believes none of it.
 * @module
 */

import { hex } from "../../core/address.ts";
import type { DeviceState } from "../pci/pci_device.ts";
import { EDU_BUFFER, EduDmaCommand, EduStatus, EduTiming } from "./spec.ts";

/** Everything that a guest or the passing of time can change. */
export interface EduState {
  readonly liveness: number;
  readonly factorial: number;
  readonly status: number;
  readonly interruptStatus: number;
  readonly source: bigint;
  readonly destination: bigint;
  readonly count: bigint;
  readonly command: bigint;
  readonly buffer: Uint8Array;
  /** Milliseconds until the factorial is done; null while none is computed. */
  readonly factorialMs: number | null;
  /** Milliseconds until the transfer takes place; null while none runs. */
  readonly dmaMs: number | null;
}

/** Of the format; one that is not known is refused. */
const VERSION = 1;

const U32 = ["liveness", "factorial", "status", "interruptStatus"] as const;
const U64 = ["source", "destination", "count", "command"] as const;

/** The state as JSON: 64-bit registers and the buffer as hexadecimal text. */
export function encodeEduState(state: EduState): DeviceState {
  return {
    version: VERSION,
    liveness: state.liveness,
    factorial: state.factorial,
    status: state.status,
    interruptStatus: state.interruptStatus,
    source: hex(state.source),
    destination: hex(state.destination),
    count: hex(state.count),
    command: hex(state.command),
    buffer: state.buffer.toHex(),
    factorialMs: state.factorialMs,
    dmaMs: state.dmaMs,
  };
}

/** The state, or what is wrong with what may be anything. */
export function decodeEduState(json: unknown): EduState | string {
  if (typeof json !== "object" || json === null) return "the state of edu is no object";
  const fields = json as Readonly<Record<string, unknown>>;
  if (fields.version !== VERSION) return `the state of edu has no version ${VERSION}`;
  const words = {} as Record<typeof U32[number], number>;
  for (const name of U32) {
    const value = fields[name];
    if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > 0xffff_ffff) {
      return `${name} is no number of 32 bits`;
    }
    words[name] = value;
  }
  const wide = {} as Record<typeof U64[number], bigint>;
  for (const name of U64) {
    const value = fields[name];
    if (typeof value !== "string" || !/^0x[0-9a-f]{1,16}$/.test(value)) {
      return `${name} is no hexadecimal number of 64 bits`;
    }
    wide[name] = BigInt(value);
  }
  const { buffer } = fields;
  if (
    typeof buffer !== "string" || buffer.length !== 2 * EDU_BUFFER.length ||
    !/^[0-9a-f]*$/.test(buffer)
  ) return `buffer is no ${EDU_BUFFER.length} bytes in hexadecimal`;

  const { status } = words;
  if ((status & ~(EduStatus.COMPUTING | EduStatus.RAISE_INTERRUPT)) !== 0) {
    return "status has bits that edu has not";
  }
  const computing = (status & EduStatus.COMPUTING) !== 0;
  const running = (wide.command & BigInt(EduDmaCommand.RUN)) !== 0n;
  const factorialMs = remaining(fields.factorialMs, computing, EduTiming.FACTORIAL_MS);
  if (factorialMs === undefined) return "factorialMs does not go with status";
  const dmaMs = remaining(fields.dmaMs, running, EduTiming.DMA_MS);
  if (dmaMs === undefined) return "dmaMs does not go with command";
  return { ...words, ...wide, buffer: Uint8Array.fromHex(buffer), factorialMs, dmaMs };
}

/** A time that is there exactly while its work is; undefined when it is not so. */
function remaining(value: unknown, busy: boolean, most: number): number | null | undefined {
  if (!busy) return value === null ? null : undefined;
  return typeof value === "number" && value >= 0 && value <= most ? value : undefined;
}
