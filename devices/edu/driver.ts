/**
 * The guest's half of edu: each method is a few register accesses and returns
 * when they are done. Nothing here waits for the device: who drives it moves the
 * clock on, or polls.
 * @module
 */

import { disableMsi, enableMsi, type MsiMessage, toRegister64 } from "../pci/driver_registers.ts";
import type { PciTarget } from "../pci/pci_driver.ts";
import { EDU_BUFFER, EduDmaCommand, EduRegister, EduStatus } from "./spec.ts";

/** One transfer, as the registers take it. Addresses and count may be any 64-bit value. */
export interface EduTransfer {
  /** Where bytes come from: a bus address `to-device`, an address from 0x40000 on `from-device`. */
  readonly source: number | bigint;
  /** Where bytes go: an address from 0x40000 on `to-device`, a bus address `from-device`. */
  readonly destination: number | bigint;
  /** Bytes. */
  readonly count: number | bigint;
  /** `to-device` reads the bus and fills the buffer; `from-device` writes the buffer to the bus. */
  readonly direction: "to-device" | "from-device";
  /** Whether the device interrupts when the transfer has ended; `none` unless told. */
  readonly interrupt?: "raise" | "none";
}

const BAR = 0;

/** Drives one edu. */
export class EduDriver {
  /** The function itself, for what no method here covers. */
  readonly target: PciTarget;

  /** Touches nothing yet. */
  constructor(target: PciTarget) {
    this.target = target;
  }

  /** 0x010000ed on a device of version 1.0. */
  identification(): Promise<number> {
    return this.target.barRead(BAR, EduRegister.IDENTIFICATION, 4);
  }

  /** Writes `value`, 32 bits, and returns what the device makes of it: its bitwise inverse. */
  async liveness(value: number): Promise<number> {
    await this.target.barWrite(BAR, EduRegister.LIVENESS, 4, value);
    return await this.target.barRead(BAR, EduRegister.LIVENESS, 4);
  }

  /** Starts to compute `n`!, 32 bits. The device ignores it while it computes another. */
  startFactorial(n: number): Promise<void> {
    return this.target.barWrite(BAR, EduRegister.FACTORIAL, 4, n);
  }

  /** Whether a factorial is being computed. */
  async factorialRunning(): Promise<boolean> {
    const status = await this.target.barRead(BAR, EduRegister.STATUS, 4);
    return (status & EduStatus.COMPUTING) !== 0;
  }

  /** The factorial modulo 2^32, or the operand while {@linkcode factorialRunning}. */
  factorialResult(): Promise<number> {
    return this.target.barRead(BAR, EduRegister.FACTORIAL, 4);
  }

  /** Whether the device raises `EduInterrupt.FACTORIAL` when a computation ends. */
  setFactorialInterrupt(setting: "on" | "off"): Promise<void> {
    const value = setting === "on" ? EduStatus.RAISE_INTERRUPT : 0;
    return this.target.barWrite(BAR, EduRegister.STATUS, 4, value);
  }

  /** Bits of `EduInterrupt`, and others that {@linkcode raiseInterrupt} set. */
  interruptStatus(): Promise<number> {
    return this.target.barRead(BAR, EduRegister.INTERRUPT_STATUS, 4);
  }

  /** Has the device set `bits` of its interrupt status, and interrupt. */
  raiseInterrupt(bits: number): Promise<void> {
    return this.target.barWrite(BAR, EduRegister.INTERRUPT_RAISE, 4, bits);
  }

  /** Clears `bits` of the interrupt status. INTx stays asserted until none is left. */
  acknowledgeInterrupt(bits: number): Promise<void> {
    return this.target.barWrite(BAR, EduRegister.INTERRUPT_ACKNOWLEDGE, 4, bits);
  }

  /**
   * Programs and starts a transfer. The device ignores all of it while another runs.
   * @throws {RangeError} when an address or the count is no unsigned 64-bit integer
   */
  async startDma(transfer: EduTransfer): Promise<void> {
    const { source, destination, count, direction, interrupt = "none" } = transfer;
    const command = EduDmaCommand.RUN |
      (direction === "from-device" ? EduDmaCommand.TO_BUS : 0) |
      (interrupt === "raise" ? EduDmaCommand.RAISE_INTERRUPT : 0);
    // All are checked before the first is written: a misuse leaves the device as it was.
    const writes: readonly (readonly [offset: number, value: bigint])[] = [
      [EduRegister.DMA_SOURCE, toRegister64("DMA source", source)],
      [EduRegister.DMA_DESTINATION, toRegister64("DMA destination", destination)],
      [EduRegister.DMA_COUNT, toRegister64("DMA count", count)],
      [EduRegister.DMA_COMMAND, BigInt(command)],
    ];
    for (const [offset, value] of writes) await this.target.barWrite64(BAR, offset, value);
  }

  /** Starts to read `count` bytes from bus address `iova` to byte `offset` of the buffer. */
  dmaToDevice(
    iova: number,
    offset: number,
    count: number,
    interrupt: "raise" | "none" = "none",
  ): Promise<void> {
    const destination = EDU_BUFFER.start + offset;
    return this.startDma({ source: iova, destination, count, direction: "to-device", interrupt });
  }

  /** Starts to write `count` bytes from byte `offset` of the buffer to bus address `iova`. */
  dmaFromDevice(
    offset: number,
    iova: number,
    count: number,
    interrupt: "raise" | "none" = "none",
  ): Promise<void> {
    const source = EDU_BUFFER.start + offset;
    return this.startDma({ source, destination: iova, count, direction: "from-device", interrupt });
  }

  /** Whether a transfer has been started and has not ended. */
  async dmaRunning(): Promise<boolean> {
    const command = await this.target.barRead64(BAR, EduRegister.DMA_COMMAND);
    return (command & BigInt(EduDmaCommand.RUN)) !== 0n;
  }

  /** Switches from INTx to MSI with one vector. @throws {Error} when there is no MSI capability */
  enableMsi(message?: MsiMessage): Promise<void> {
    return enableMsi(this.target, message);
  }

  /** Switches back to INTx. @throws {Error} when there is no MSI capability */
  disableMsi(): Promise<void> {
    return disableMsi(this.target);
  }
}
