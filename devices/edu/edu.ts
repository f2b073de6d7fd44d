/**
 * QEMU's educational PCI device: an inverter, a factorial computed in the
 * background, interrupts on demand, and DMA between the bus and a buffer of
 * 4 KiB. Register semantics are those of QEMU's `hw/misc/edu.c`, with DMA errors
 * kept where {@linkcode Edu.inspect} shows them.
 * @module
 */

import { Fault, faultName, hex, type Iova, MAX_ADDRESS, type Status } from "../../core/address.ts";
import type { Timer } from "../../core/observe/clock.ts";
import type {
  AccessSize,
  BarIndex,
  BarLayout,
  DeviceState,
  InterruptSpec,
  PciDevice,
  PciHost,
  PciIdent,
} from "../pci/pci_device.ts";
import { factorial } from "./factorial.ts";
import {
  EDU_BARS,
  EDU_BUFFER,
  EDU_DMA_MASK,
  EDU_IDENT,
  EDU_IDENTIFICATION,
  EDU_INTERRUPTS,
  EduDmaCommand,
  EduInterrupt,
  EduRegister,
  EduStatus,
  EduTiming,
} from "./spec.ts";
import { decodeEduState, encodeEduState } from "./state.ts";

/** How an edu is made. Plain JSON. */
export interface EduOptions {
  /** What bus addresses are ANDed with: a safe integer of at least 0, 2^28 - 1 unless told. */
  readonly dmaMask?: number;
}

/** Why the last transfer that failed did so, as {@linkcode Edu.inspect} shows it. */
export interface EduDmaError {
  /** `out-of-bounds` for the buffer's side; otherwise the bus side's fault, as `faultName()` spells it. */
  readonly reason: string;
  /** First byte that did not move: a bus address, or for `out-of-bounds` the start on the buffer's side. */
  readonly address: string;
  /** Bytes that moved before it. */
  readonly transferred: number;
  /** Scenario time in nanoseconds. */
  readonly timeNs: number;
}

const ALL_ONES_32 = 0xffff_ffff;
const ALL_ONES_64 = 0xffff_ffff_ffff_ffffn;
const BUFFER_START = BigInt(EDU_BUFFER.start);
const BUFFER_END = BigInt(EDU_BUFFER.start + EDU_BUFFER.length);
const RUN = BigInt(EduDmaCommand.RUN);
const TO_BUS = BigInt(EduDmaCommand.TO_BUS);
const RAISE_INTERRUPT = BigInt(EduDmaCommand.RAISE_INTERRUPT);

/** The device model. */
export class Edu implements PciDevice {
  /** See {@linkcode PciDevice.type}. */
  readonly type: string = "edu";
  /** See {@linkcode EDU_IDENT}. */
  readonly ident: PciIdent = EDU_IDENT;
  /** See {@linkcode EDU_BARS}. */
  readonly bars: readonly BarLayout[] = EDU_BARS;
  /** See {@linkcode EDU_INTERRUPTS}. */
  readonly interrupts: InterruptSpec = EDU_INTERRUPTS;

  readonly #dmaMask: bigint;
  readonly #buffer = new Uint8Array(EDU_BUFFER.length);
  #host: PciHost | null = null;

  #liveness = 0;
  #factorial = 0;
  #status = 0;
  #interruptStatus = 0;
  #source = 0n;
  #destination = 0n;
  #count = 0n;
  #command = 0n;

  #factorialTimer: Timer | null = null;
  #dmaTimer: Timer | null = null;
  /** When each is due; while paused, how long each would still have taken. In nanoseconds. */
  #factorialNs = 0;
  #dmaNs = 0;
  #paused = false;

  #transfers = 0;
  #bytesToDevice = 0;
  #bytesFromDevice = 0;
  #outOfBounds = 0;
  #clamped = 0;
  #dmaFaults = 0;
  #lastDmaError: EduDmaError | null = null;

  /** Makes one as after power-on. @throws {RangeError} when the mask is no safe integer of at least 0 */
  constructor(options: EduOptions = {}) {
    const { dmaMask = EDU_DMA_MASK } = options;
    if (!Number.isSafeInteger(dmaMask) || dmaMask < 0) {
      throw new RangeError(
        `Cannot make an edu with dmaMask ${dmaMask}: want an integer in 0x0..${
          hex(Number.MAX_SAFE_INTEGER)
        }`,
      );
    }
    this.#dmaMask = BigInt(dmaMask);
  }

  /** Keeps the host. @throws {Error} when it is attached already */
  attach(host: PciHost): void {
    if (this.#host !== null) throw new Error("Cannot attach edu: it has a host already");
    this.#host = host;
  }

  /** 4 bytes wide, at a register's own offset; any other width or offset reads all ones (rules 4 to 6). */
  barRead(bar: BarIndex, offset: number, size: AccessSize): number {
    if (size !== 4) return size === 1 ? 0xff : 0xffff;
    if (bar !== 0) return ALL_ONES_32;
    switch (offset) {
      case EduRegister.IDENTIFICATION:
        return EDU_IDENTIFICATION;
      case EduRegister.LIVENESS:
        return this.#liveness;
      case EduRegister.FACTORIAL:
        return this.#factorial;
      case EduRegister.STATUS:
        return this.#status;
      case EduRegister.INTERRUPT_STATUS:
        return this.#interruptStatus;
      default: {
        const wide = this.#readWide(offset);
        return wide === null ? ALL_ONES_32 : Number(BigInt.asUintN(32, wide));
      }
    }
  }

  /** See {@linkcode barRead}. A 4-byte write to an 8-byte register clears its high half (rule 7). */
  barWrite(bar: BarIndex, offset: number, size: AccessSize, value: number): void {
    if (bar !== 0 || size !== 4) return;
    switch (offset) {
      case EduRegister.LIVENESS:
        this.#liveness = ~value >>> 0;
        break;
      case EduRegister.FACTORIAL:
        this.#startFactorial(value >>> 0);
        break;
      case EduRegister.STATUS:
        this.#status = (this.#status & ~EduStatus.RAISE_INTERRUPT) |
          (value & EduStatus.RAISE_INTERRUPT);
        break;
      case EduRegister.INTERRUPT_RAISE:
        this.#raise(value);
        break;
      case EduRegister.INTERRUPT_ACKNOWLEDGE:
        this.#acknowledge(value);
        break;
      default:
        this.#writeWide(offset, BigInt(value >>> 0));
    }
  }

  /** 8 bytes wide: the DMA registers at their own offsets; any other offset reads all ones (rules 4 to 6). */
  barRead64(bar: BarIndex, offset: number): bigint {
    return (bar === 0 ? this.#readWide(offset) : null) ?? ALL_ONES_64;
  }

  /** See {@linkcode barRead64}. */
  barWrite64(bar: BarIndex, offset: number, value: bigint): void {
    if (bar === 0) this.#writeWide(offset, BigInt.asUintN(64, value));
  }

  /** Also clears the buffer and the error counters, and lets the INTx line go (rule 22). */
  reset(): void {
    this.#factorialTimer?.cancel();
    this.#dmaTimer?.cancel();
    this.#factorialTimer = this.#dmaTimer = null;
    this.#liveness =
      this.#factorial =
      this.#status =
      this.#interruptStatus =
        0;
    this.#source =
      this.#destination =
      this.#count =
      this.#command =
        0n;
    this.#buffer.fill(0);
    this.#transfers = this.#bytesToDevice = this.#bytesFromDevice = 0;
    this.#outOfBounds = this.#clamped = this.#dmaFaults = 0;
    this.#lastDmaError = null;
    this.#host?.interrupts.setIntx(false);
  }

  /** Stops the time of a computation and of a transfer: neither ends before {@linkcode resume}. */
  pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    this.#factorialTimer?.cancel();
    this.#dmaTimer?.cancel();
    this.#factorialTimer = this.#dmaTimer = null;
    const { nowNs } = this.#attached.clock;
    this.#factorialNs = left(this.#factorialNs - nowNs, EduTiming.FACTORIAL_MS);
    this.#dmaNs = left(this.#dmaNs - nowNs, EduTiming.DMA_MS);
  }

  /** Lets both go on with the time they had left. */
  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (this.#computing) this.#deferFactorial(this.#factorialNs / 1e6);
    if (this.#running) this.#deferDma(this.#dmaNs / 1e6);
  }

  /** Registers, buffer, and the time that is left; errors and counts stay. To be called while paused. */
  save(): DeviceState {
    return encodeEduState({
      liveness: this.#liveness,
      factorial: this.#factorial,
      status: this.#status,
      interruptStatus: this.#interruptStatus,
      source: this.#source,
      destination: this.#destination,
      count: this.#count,
      command: this.#command,
      buffer: this.#buffer,
      factorialMs: this.#computing ? this.#factorialNs / 1e6 : null,
      dmaMs: this.#running ? this.#dmaNs / 1e6 : null,
    });
  }

  /** Takes over what {@linkcode save} gave, and drives the INTx line as it was. To be called while paused. */
  restore(json: unknown): string | null {
    const state = decodeEduState(json);
    if (typeof state === "string") return state;
    this.#liveness = state.liveness;
    this.#factorial = state.factorial;
    this.#status = state.status;
    this.#interruptStatus = state.interruptStatus;
    this.#source = state.source;
    this.#destination = state.destination;
    this.#count = state.count;
    this.#command = state.command;
    this.#buffer.set(state.buffer);
    this.#factorialNs = (state.factorialMs ?? 0) * 1e6;
    this.#dmaNs = (state.dmaMs ?? 0) * 1e6;
    this.#attached.interrupts.setIntx(this.#interruptStatus !== 0);
    return null;
  }

  /**
   * Registers, what the DMA engine has done, and its errors, which no register
   * shows. 64-bit values are hexadecimal strings. Everything counts from the last reset.
   */
  inspect(): Record<string, unknown> {
    return {
      registers: {
        identification: EDU_IDENTIFICATION,
        liveness: this.#liveness,
        factorial: this.#factorial,
        status: this.#status,
        interruptStatus: this.#interruptStatus,
        dmaSource: hex(this.#source),
        dmaDestination: hex(this.#destination),
        dmaCount: hex(this.#count),
        dmaCommand: hex(this.#command),
      },
      factorial: { computing: this.#computing },
      dma: {
        running: this.#running,
        mask: hex(this.#dmaMask),
        transfers: this.#transfers,
        bytesToDevice: this.#bytesToDevice,
        bytesFromDevice: this.#bytesFromDevice,
      },
      errors: {
        guestErrors: this.#outOfBounds + this.#clamped,
        outOfBounds: this.#outOfBounds,
        clampedAddresses: this.#clamped,
        dmaFaults: this.#dmaFaults,
        lastDmaError: this.#lastDmaError === null ? null : { ...this.#lastDmaError },
      },
    };
  }

  get #computing(): boolean {
    return (this.#status & EduStatus.COMPUTING) !== 0;
  }

  get #running(): boolean {
    return (this.#command & RUN) !== 0n;
  }

  /** @throws {Error} when the device is used before it has a host */
  get #attached(): PciHost {
    if (this.#host === null) throw new Error("Cannot use edu: it has no host yet, attach it first");
    return this.#host;
  }

  /** Null where no 8-byte register begins: misaligned offsets need no check of their own. */
  #readWide(offset: number): bigint | null {
    switch (offset) {
      case EduRegister.DMA_SOURCE:
        return this.#source;
      case EduRegister.DMA_DESTINATION:
        return this.#destination;
      case EduRegister.DMA_COUNT:
        return this.#count;
      case EduRegister.DMA_COMMAND:
        return this.#command;
      default:
        return null;
    }
  }

  #writeWide(offset: number, value: bigint): void {
    if (this.#running) return;
    switch (offset) {
      case EduRegister.DMA_SOURCE:
        this.#source = value;
        break;
      case EduRegister.DMA_DESTINATION:
        this.#destination = value;
        break;
      case EduRegister.DMA_COUNT:
        this.#count = value;
        break;
      case EduRegister.DMA_COMMAND:
        if ((value & RUN) === 0n) break;
        this.#command = value;
        this.#deferDma(EduTiming.DMA_MS);
        break;
    }
  }

  #startFactorial(operand: number): void {
    if (this.#computing) return;
    this.#factorial = operand;
    this.#status |= EduStatus.COMPUTING;
    this.#deferFactorial(EduTiming.FACTORIAL_MS);
  }

  #deferFactorial(delayMs: number): void {
    const { clock } = this.#attached;
    this.#factorialNs = clock.nowNs + delayMs * 1e6;
    this.#factorialTimer = clock.defer(delayMs, () => this.#finishFactorial());
  }

  #deferDma(delayMs: number): void {
    const { clock } = this.#attached;
    this.#dmaNs = clock.nowNs + delayMs * 1e6;
    this.#dmaTimer = clock.defer(delayMs, () => this.#finishDma());
  }

  #finishFactorial(): void {
    this.#factorialTimer = null;
    this.#factorial = factorial(this.#factorial);
    // First the bit, then the question: a guest that asked for the interrupt
    // while it saw the bit set must get it (rule 11).
    this.#status &= ~EduStatus.COMPUTING;
    if ((this.#status & EduStatus.RAISE_INTERRUPT) !== 0) this.#raise(EduInterrupt.FACTORIAL);
  }

  #raise(bits: number): void {
    this.#interruptStatus = (this.#interruptStatus | bits) >>> 0;
    if (this.#interruptStatus === 0) return;
    const { interrupts } = this.#attached;
    // The level is driven in every mode and before the message: the pin then shows
    // it after a switch back to INTx, and a handler that runs from within raise()
    // and acknowledges has the last word on it.
    interrupts.setIntx(true);
    if (interrupts.mode === "msi") interrupts.raise(0);
  }

  #acknowledge(bits: number): void {
    this.#interruptStatus = (this.#interruptStatus & ~bits) >>> 0;
    if (this.#interruptStatus === 0) this.#attached.interrupts.setIntx(false);
  }

  #finishDma(): void {
    this.#dmaTimer = null;
    this.#transfer();
    this.#transfers++;
    const command = this.#command;
    this.#command = command & ~RUN;
    if ((command & RAISE_INTERRUPT) !== 0n) this.#raise(EduInterrupt.DMA);
  }

  /** Moves the bytes. Whatever goes wrong is counted, and nothing else comes of it (rules 19 to 21). */
  #transfer(): void {
    const toBus = (this.#command & TO_BUS) !== 0n;
    const local = toBus ? this.#source : this.#destination;
    const wanted = toBus ? this.#destination : this.#source;
    const address = wanted & this.#dmaMask;
    if (address !== wanted) this.#clamped++;

    // Sums of bigints do not wrap, so a count near 2^64 is out of bounds like any other.
    if (local < BUFFER_START || local + this.#count > BUFFER_END) {
      this.#outOfBounds++;
      this.#recordDmaError("out-of-bounds", local, 0);
      return;
    }
    const start = Number(local) - EDU_BUFFER.start;
    const view = this.#buffer.subarray(start, start + Number(this.#count));
    if (view.length === 0) return;

    let status: Status = Fault.UNMAPPED;
    let transferred = 0;
    if (address <= BigInt(MAX_ADDRESS)) {
      const { memory } = this.#attached;
      const iova = Number(address) as Iova;
      status = toBus ? memory.write(iova, view) : memory.read(iova, view);
      transferred = status === 0 ? view.length : memory.transferred;
    }
    if (toBus) this.#bytesFromDevice += transferred;
    else this.#bytesToDevice += transferred;
    if (status !== 0) {
      this.#dmaFaults++;
      this.#recordDmaError(faultName(status), address + BigInt(transferred), transferred);
    }
  }

  #recordDmaError(reason: string, address: bigint, transferred: number): void {
    const timeNs = this.#attached.clock.nowNs;
    this.#lastDmaError = { reason, address: hex(address), transferred, timeNs };
  }
}

/** Nanoseconds that are left of `ms`: sums of times are rounded, and must not make it more. */
function left(ns: number, ms: number): number {
  return Math.min(Math.max(0, ns), ms * 1e6);
}
