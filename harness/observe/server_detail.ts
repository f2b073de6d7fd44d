/**
 * A served function's registers on their way to another thread. A reactor's thread settles no
 * promise, so there they are read by plain calls; the other thread reads what was captured as it
 * would read any function (`device_detail.ts`).
 * @module
 */

import type { BarIndex, BarLayout } from "../../devices/pci/pci_device.ts";
import type { PciTarget } from "../../devices/pci/pci_driver.ts";
import type { PciFunction } from "../../devices/pci/pci_function.ts";
import * as spec from "../../devices/pci/spec.ts";
import type { VfioUserServer } from "../../protocols/vfio_user/server/mod.ts";
import { readDetail } from "./device_detail.ts";
import type { DeviceDetail } from "./observation.ts";

/** Bytes of configuration space. */
const CONFIG_SIZE = 256;
/** Vectors whose entries are captured, and in one double word of pending bits. */
const MAX_VECTORS = 64, PENDING_BITS = 32;
const WORD = 4;

/** Registers at one moment. Can be posted to another thread. */
export interface CapturedDetail {
  readonly endpoint: number;
  readonly config: Uint8Array;
  /** BAR, offset and value of double words. */
  readonly registers: readonly (readonly [bar: number, offset: number, value: number])[];
  /** What the model, the function and the server say of themselves, as JSON; null when that is none. */
  readonly inspect: string | null;
}

/** Reads the registers of a server's function. None of these reads has a side effect. */
export function captureDetail(server: VfioUserServer): CapturedDetail {
  const { endpoint, hosted } = server;
  const config = new Uint8Array(CONFIG_SIZE);
  hosted.configReadBytes(0, config);
  return { endpoint, config, registers: captureMsix(hosted), inspect: inspectServer(server) };
}

function captureMsix(hosted: PciFunction): CapturedDetail["registers"] {
  const msix = hosted.device.interrupts?.msix;
  if (msix === undefined) return [];
  const { bar, tableOffset, pendingOffset } = msix;
  const vectors = Math.min(msix.vectors, MAX_VECTORS);
  const offsets: number[] = [];
  for (let at = 0; at < vectors * spec.PCI_MSIX_ENTRY_SIZE; at += WORD) {
    offsets.push(tableOffset + at);
  }
  for (let at = 0; at * PENDING_BITS < vectors; at++) offsets.push(pendingOffset + at * WORD);
  return offsets.map((offset) => [bar, offset, hosted.barRead(bar, offset, WORD)] as const);
}

function inspectServer(server: VfioUserServer): string | null {
  try {
    const { function: hosted, ...own } = server.inspect();
    const { device, ...pci } = hosted as Record<string, unknown>;
    return JSON.stringify(
      { device, function: pci, server: own },
      (_, part: unknown) => typeof part === "bigint" ? `0x${part.toString(16)}` : part,
    ) ?? null;
  } catch {
    // A model may say what is no JSON.
    return null;
  }
}

/** What was captured, for people. */
export function describeDetail(
  captured: CapturedDetail,
  bars: readonly BarLayout[],
): Promise<DeviceDetail> {
  return readDetail(new CapturedTarget(captured), { bars });
}

/** A function that nobody can change any more. */
class CapturedTarget implements PciTarget {
  readonly endpoint: number;
  readonly #captured: CapturedDetail;
  readonly #config: DataView;
  readonly #registers: ReadonlyMap<string, number>;

  constructor(captured: CapturedDetail) {
    const { endpoint, config, registers } = captured;
    this.endpoint = endpoint;
    this.#captured = captured;
    this.#config = new DataView(config.buffer, config.byteOffset, config.byteLength);
    this.#registers = new Map(
      registers.map(([bar, offset, value]) => [`${bar} ${offset}`, value]),
    );
  }

  configRead(offset: number, size: 1 | 2 | 4): Promise<number> {
    const config = this.#config;
    if (offset + size > config.byteLength) return Promise.resolve(allOnes(size));
    return Promise.resolve(
      size === 1
        ? config.getUint8(offset)
        : size === 2
        ? config.getUint16(offset, true)
        : config.getUint32(offset, true),
    );
  }

  barRead(bar: BarIndex, offset: number, size: 1 | 2 | 4): Promise<number> {
    const value = size === WORD ? this.#registers.get(`${bar} ${offset}`) : undefined;
    return Promise.resolve(value ?? allOnes(size));
  }

  barRead64(): Promise<bigint> {
    return Promise.resolve(0xffff_ffff_ffff_ffffn);
  }

  inspect(): Promise<Record<string, unknown>> {
    const { inspect } = this.#captured;
    return Promise.resolve(
      inspect === null ? {} : JSON.parse(inspect) as Record<string, unknown>,
    );
  }

  configWrite(): Promise<void> {
    return refuse();
  }

  barWrite(): Promise<void> {
    return refuse();
  }

  barWrite64(): Promise<void> {
    return refuse();
  }

  takeInterrupts(): Promise<number> {
    return refuse();
  }

  intxAsserted(): Promise<boolean> {
    return refuse();
  }

  reset(): Promise<void> {
    return refuse();
  }
}

function allOnes(size: 1 | 2 | 4): number {
  return 2 ** (8 * size) - 1;
}

function refuse(): Promise<never> {
  return Promise.reject(
    new Error("Cannot drive a function that was captured: it can be read, and nothing else"),
  );
}
