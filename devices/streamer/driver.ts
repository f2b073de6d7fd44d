/**
 * The guest's half of the streamer: each method is a few register accesses and
 * returns when they are done. Nothing here waits for a transfer: who drives it
 * moves the clock on, or polls.
 * @module
 */

import { enableMsi, toRegister64 } from "../pci/driver_registers.ts";
import type { PciTarget } from "../pci/pci_driver.ts";
import { StreamerCommand, StreamerOnRevoke, StreamerRegister, StreamerStatus } from "./spec.ts";

/** One transfer, as the registers take it. All three may be any 64-bit value. */
export interface StreamerCopy {
  /** Bus address of the first byte to read. */
  readonly source: number | bigint;
  /** Bus address of the first byte to write. */
  readonly destination: number | bigint;
  /** Bytes. */
  readonly length: number | bigint;
  /** Whether the device interrupts when the transfer has ended; `none` unless told. */
  readonly interrupt?: "raise" | "none";
}

/** What the registers say of the last transfer. */
export interface StreamerOutcome {
  /** A value of `StreamerStatus`. */
  readonly status: number;
  /** A value of `StreamerError`. */
  readonly error: number;
  /** Bytes that have moved. */
  readonly bytesDone: number;
}

const BAR = 0;

/** Drives one streamer. */
export class StreamerDriver {
  /** The function itself, for what no method here covers. */
  readonly target: PciTarget;

  /** Drives the streamer at `target`. */
  constructor(target: PciTarget) {
    this.target = target;
  }

  /** `STREAMER_IDENTIFICATION`. */
  identification(): Promise<number> {
    return this.#read(StreamerRegister.IDENTIFICATION);
  }

  /** What becomes of a transfer whose mapping is taken away. The device ignores it while one runs. */
  setOnRevoke(policy: "finish" | "abort"): Promise<void> {
    const value = policy === "finish" ? StreamerOnRevoke.FINISH : StreamerOnRevoke.ABORT;
    return this.#write(StreamerRegister.ON_REVOKE, value);
  }

  /** Bytes moved each millisecond of scenario time: 1 to 1 MiB. The device ignores it while a transfer runs. */
  setChunk(bytes: number): Promise<void> {
    return this.#write(StreamerRegister.CHUNK, bytes);
  }

  /**
   * Programs and starts a transfer. The device ignores all of it while another runs.
   * @throws {RangeError} when an address or the length is no unsigned 64-bit integer
   */
  async start(copy: StreamerCopy): Promise<void> {
    // All are checked before the first is written: a misuse leaves the device as it was.
    const registers: readonly (readonly [offset: number, value: bigint])[] = [
      [StreamerRegister.SOURCE, toRegister64("source", copy.source)],
      [StreamerRegister.DESTINATION, toRegister64("destination", copy.destination)],
      [StreamerRegister.LENGTH, toRegister64("length", copy.length)],
    ];
    for (const [offset, value] of registers) await this.target.barWrite64(BAR, offset, value);
    const raise = copy.interrupt === "raise" ? StreamerCommand.RAISE_INTERRUPT : 0;
    await this.#write(StreamerRegister.COMMAND, StreamerCommand.START | raise);
  }

  /** Ends the transfer that runs, if one does. */
  stop(): Promise<void> {
    return this.#write(StreamerRegister.COMMAND, StreamerCommand.STOP);
  }

  /** Whether a transfer runs. */
  async running(): Promise<boolean> {
    return await this.#read(StreamerRegister.STATUS) === StreamerStatus.RUNNING;
  }

  /** Status, error and bytes moved, of the transfer that runs or ran last. */
  async outcome(): Promise<StreamerOutcome> {
    return {
      status: await this.#read(StreamerRegister.STATUS),
      error: await this.#read(StreamerRegister.ERROR),
      bytesDone: await this.#read(StreamerRegister.BYTES_DONE),
    };
  }

  /** Why the bus refused the last transfer: a `Fault`, negated; 0 when it did not. */
  faultReason(): Promise<number> {
    return this.#read(StreamerRegister.FAULT_REASON);
  }

  /** Bits of `StreamerInterrupt`. */
  interruptStatus(): Promise<number> {
    return this.#read(StreamerRegister.INTERRUPT_STATUS);
  }

  /** Clears `bits` of the interrupt status. */
  acknowledgeInterrupt(bits: number): Promise<void> {
    return this.#write(StreamerRegister.INTERRUPT_ACKNOWLEDGE, bits);
  }

  /** Switches from INTx to MSI with one vector. @throws {Error} when there is no MSI capability */
  enableMsi(): Promise<void> {
    return enableMsi(this.target);
  }

  #read(offset: number): Promise<number> {
    return this.target.barRead(BAR, offset, 4);
  }

  #write(offset: number, value: number): Promise<void> {
    return this.target.barWrite(BAR, offset, 4, value);
  }
}
