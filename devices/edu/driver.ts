/**
 * The guest's half of edu: each method is a few register accesses and returns
 * when they are done. Nothing here waits for the device: who drives it moves the
 * clock on, or polls.
 * @module
 */

import { hex } from "../../core/address.ts";
import type { PciTarget } from "../pci/pci_driver.ts";
import {
  PCI_CAP_ID_MSI,
  PCI_CAP_LIST_ID,
  PCI_CAP_LIST_NEXT,
  PCI_CAPABILITY_LIST,
  PCI_CFG_SPACE_SIZE,
  PCI_MSI_ADDRESS_HI,
  PCI_MSI_ADDRESS_LO,
  PCI_MSI_DATA_32,
  PCI_MSI_DATA_64,
  PCI_MSI_FLAGS,
  PCI_MSI_FLAGS_64BIT,
  PCI_MSI_FLAGS_ENABLE,
  PCI_MSI_FLAGS_QSIZE,
  PCI_STATUS,
  PCI_STATUS_CAP_LIST,
  PCI_STD_HEADER_SIZEOF,
} from "../pci/spec.ts";
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

/** Where MSI messages go, and what they say. */
export interface MsiMessage {
  /** A multiple of 4 below 2^52. */
  readonly address: number;
  /** 16 bits. */
  readonly data: number;
}

/** The x86 local APIC of CPU 0, vector 0x41: edge-triggered, fixed delivery. */
const DEFAULT_MESSAGE: MsiMessage = { address: 0xfee0_0000, data: 0x41 };

const BAR = 0;

/** Capabilities that fit between the header and the end of configuration space: the walk's bound. */
const MAX_CAPABILITIES = (PCI_CFG_SPACE_SIZE - PCI_STD_HEADER_SIZEOF) / 4;
/** The low bits of every pointer in the list are reserved, and masked (PCI 3.0, 6.7). */
const POINTER_MASK = 0xfc;

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
      [EduRegister.DMA_SOURCE, to64("source", source)],
      [EduRegister.DMA_DESTINATION, to64("destination", destination)],
      [EduRegister.DMA_COUNT, to64("count", count)],
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
  async enableMsi(message: MsiMessage = DEFAULT_MESSAGE): Promise<void> {
    const { target } = this;
    const base = await this.#msiCapability();
    const control = await target.configRead(base + PCI_MSI_FLAGS, 2);
    const wide = (control & PCI_MSI_FLAGS_64BIT) !== 0;
    const high = Math.floor(message.address / 2 ** 32);
    if (high !== 0 && !wide) {
      throw new RangeError(
        `Cannot enable MSI at address ${hex(message.address)}: the capability takes 32 bits`,
      );
    }
    await target.configWrite(base + PCI_MSI_ADDRESS_LO, 4, message.address % 2 ** 32);
    if (wide) await target.configWrite(base + PCI_MSI_ADDRESS_HI, 4, high);
    await target.configWrite(base + (wide ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32), 2, message.data);
    const enabled = (control & ~PCI_MSI_FLAGS_QSIZE) | PCI_MSI_FLAGS_ENABLE;
    await target.configWrite(base + PCI_MSI_FLAGS, 2, enabled);
  }

  /** Switches back to INTx. @throws {Error} when there is no MSI capability */
  async disableMsi(): Promise<void> {
    const base = await this.#msiCapability();
    const control = await this.target.configRead(base + PCI_MSI_FLAGS, 2);
    await this.target.configWrite(base + PCI_MSI_FLAGS, 2, control & ~PCI_MSI_FLAGS_ENABLE);
  }

  async #msiCapability(): Promise<number> {
    const { target } = this;
    if (((await target.configRead(PCI_STATUS, 2)) & PCI_STATUS_CAP_LIST) !== 0) {
      let offset = await target.configRead(PCI_CAPABILITY_LIST, 1) & POINTER_MASK;
      // Bounded: a broken device may link its capabilities in a circle.
      for (let left = MAX_CAPABILITIES; offset >= PCI_STD_HEADER_SIZEOF && left > 0; left--) {
        if (await target.configRead(offset + PCI_CAP_LIST_ID, 1) === PCI_CAP_ID_MSI) return offset;
        offset = await target.configRead(offset + PCI_CAP_LIST_NEXT, 1) & POINTER_MASK;
      }
    }
    throw new Error(
      `Cannot find the MSI capability of endpoint ${hex(target.endpoint, 4)}: ` +
        `no entry of its capability list has ID ${hex(PCI_CAP_ID_MSI, 2)}`,
    );
  }
}

/** @throws {RangeError} when `value` is no unsigned 64-bit integer, or a number too large to be exact */
function to64(name: string, value: number | bigint): bigint {
  const exact = typeof value === "bigint"
    ? BigInt.asUintN(64, value) === value
    : Number.isSafeInteger(value) && value >= 0;
  if (!exact) {
    throw new RangeError(
      `Cannot program DMA ${name} ${value}: want 64 bits unsigned, from 2^53 on as a bigint`,
    );
  }
  return BigInt(value);
}
