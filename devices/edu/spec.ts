/**
 * QEMU's `edu` device as tables: identity, registers, bits, buffer and timing.
 * Names follow QEMU's `docs/specs/edu.rst`; numbered rules in this folder are
 * those of the conformance table `tests/conformance/edu_test.ts`.
 * @module
 */

import type { BarLayout, InterruptSpec, PciIdent } from "../pci/pci_device.ts";

/** Who the device says it is (rule 1). The subsystem is the one QEMU gives every device without its own. */
export const EDU_IDENT: PciIdent = {
  vendorId: 0x1234,
  deviceId: 0x11e8,
  revisionId: 0x10,
  classCode: 0x00_ff00,
  subsystemVendorId: 0x1af4,
  subsystemId: 0x1100,
};

/** BAR0, the only one: 1 MiB of 32-bit, non-prefetchable registers (rule 2). */
export const EDU_BARS: readonly BarLayout[] = [{ index: 0, size: 0x10_0000, kind: "mmio32" }];

/** INTA, or one MSI vector with a 64-bit address and no masking; no MSI-X (rules 2 and 3). */
export const EDU_INTERRUPTS: InterruptSpec = {
  pin: 1,
  msi: { vectors: 1, address64: true, perVectorMasking: false },
};

/**
 * Byte offsets in BAR0. Registers below 0x80 take accesses of 4 bytes, the others are
 * 8 bytes wide and take 4 or 8 (rule 4).
 */
export const EduRegister = {
  /** RO: {@linkcode EDU_IDENTIFICATION}. */
  IDENTIFICATION: 0x00,
  /** RW: reads the bitwise inverse of the last write; 0 at start. */
  LIVENESS: 0x04,
  /** RW: operand while computing, then its factorial modulo 2^32. */
  FACTORIAL: 0x08,
  /** RW: bits of {@linkcode EduStatus}. */
  STATUS: 0x20,
  /** RO: the bits that were raised and not acknowledged. */
  INTERRUPT_STATUS: 0x24,
  /** WO: sets bits of the interrupt status, and interrupts. */
  INTERRUPT_RAISE: 0x60,
  /** WO: clears bits of the interrupt status. */
  INTERRUPT_ACKNOWLEDGE: 0x64,
  /** RW: bus address, or address in {@linkcode EDU_BUFFER}, by direction. */
  DMA_SOURCE: 0x80,
  /** RW: address in {@linkcode EDU_BUFFER}, or bus address, by direction. */
  DMA_DESTINATION: 0x88,
  /** RW: bytes to move. */
  DMA_COUNT: 0x90,
  /** RW: bits of {@linkcode EduDmaCommand}. */
  DMA_COMMAND: 0x98,
} as const;

/** Major version 1, minor version 0, then 0x00ed. */
export const EDU_IDENTIFICATION = 0x0100_00ed;

/** Bits of {@linkcode EduRegister.STATUS}. */
export const EduStatus = {
  /** RO: a factorial is being computed. */
  COMPUTING: 0x01,
  /** RW: raise {@linkcode EduInterrupt.FACTORIAL} when the computation ends. */
  RAISE_INTERRUPT: 0x80,
} as const;

/** Bits of {@linkcode EduRegister.INTERRUPT_STATUS} that the device raises by itself (rule 15). */
export const EduInterrupt = {
  /** A factorial is there. */
  FACTORIAL: 0x001,
  /** A transfer has ended. */
  DMA: 0x100,
} as const;

/** Bits of {@linkcode EduRegister.DMA_COMMAND}. The others are kept and mean nothing. */
export const EduDmaCommand = {
  /** Starts a transfer; cleared when it ends. */
  RUN: 0x1,
  /** Direction: clear from the bus to the buffer, set from the buffer to the bus. */
  TO_BUS: 0x2,
  /** Raise {@linkcode EduInterrupt.DMA} when the transfer ends. */
  RAISE_INTERRUPT: 0x4,
} as const;

/** The internal buffer, at addresses that only DMA knows: BAR0 does not show it (rule 6). */
export const EDU_BUFFER = { start: 0x4_0000, length: 4096 } as const;

/** What bus addresses are ANDed with unless the device was made with another mask: 28 bits (rule 20). */
export const EDU_DMA_MASK = 0x0fff_ffff;

/** Scenario time that the device takes for its work, in milliseconds. */
export const EduTiming = {
  /** QEMU computes in a thread, so any delay is legal; one fixed here keeps runs repeatable. */
  FACTORIAL_MS: 1,
  /** From the command write to the moment at which all bytes move (rule 16). */
  DMA_MS: 100,
} as const;

/** The first operand whose factorial holds 2^32 as a factor, as do all after it (rule 9). */
export const EDU_FACTORIAL_ZERO_FROM = 34;
