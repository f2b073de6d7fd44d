/**
 * The streamer as tables: identity, registers, bits, limits and timing. It is a
 * device of this project's own; nothing else defines it.
 * @module
 */

import type { BarLayout, InterruptSpec, PciIdent } from "../pci/pci_device.ts";

/** Who the device says it is: a system peripheral of no special kind. */
export const STREAMER_IDENT: PciIdent = {
  vendorId: 0x1234,
  deviceId: 0x11ec,
  revisionId: 0x01,
  classCode: 0x08_8000,
  subsystemVendorId: 0x1af4,
  subsystemId: 0x1100,
};

/** BAR0, the only one: 4 KiB of 32-bit, non-prefetchable registers. */
export const STREAMER_BARS: readonly BarLayout[] = [{ index: 0, size: 0x1000, kind: "mmio32" }];

/** INTA, or one MSI vector with a 64-bit address. */
export const STREAMER_INTERRUPTS: InterruptSpec = {
  pin: 1,
  msi: { vectors: 1, address64: true, perVectorMasking: false },
};

/**
 * Byte offsets in BAR0. Every access is 4 bytes, aligned; a register of 8 bytes
 * is two of 4, the low half first. While a transfer runs only `COMMAND` and
 * `INTERRUPT_ACKNOWLEDGE` take writes.
 */
export const StreamerRegister = {
  /** RO: {@linkcode STREAMER_IDENTIFICATION}. */
  IDENTIFICATION: 0x00,
  /** WO: bits of {@linkcode StreamerCommand}. */
  COMMAND: 0x04,
  /** RO: a value of {@linkcode StreamerStatus}. */
  STATUS: 0x08,
  /** RO: a value of {@linkcode StreamerError}, of the last transfer. */
  ERROR: 0x0c,
  /** RW, 8 bytes: bus address of the first byte to read. */
  SOURCE: 0x10,
  /** RW, 8 bytes: bus address of the first byte to write. */
  DESTINATION: 0x18,
  /** RW, 8 bytes: bytes to move, at most {@linkcode STREAMER_MAX_LENGTH}. */
  LENGTH: 0x20,
  /** RO: bytes that the last transfer has moved. */
  BYTES_DONE: 0x28,
  /** RO: with `SOURCE` and `DESTINATION` errors why the bus refused: a `Fault`, negated. Otherwise 0. */
  FAULT_REASON: 0x2c,
  /** RW: bytes moved each tick, 1 to {@linkcode STREAMER_MAX_LENGTH}. Other values are not taken. */
  CHUNK: 0x30,
  /** RW: a value of {@linkcode StreamerOnRevoke}. Other values are not taken. */
  ON_REVOKE: 0x34,
  /** RO: bits of {@linkcode StreamerInterrupt} that were raised and not acknowledged. */
  INTERRUPT_STATUS: 0x38,
  /** WO: clears bits of the interrupt status. */
  INTERRUPT_ACKNOWLEDGE: 0x3c,
} as const;

/** What {@linkcode StreamerRegister.IDENTIFICATION} reads: "STRM" in ASCII, the low byte first. */
export const STREAMER_IDENTIFICATION = 0x4d52_5453;

/** Bits of {@linkcode StreamerRegister.COMMAND}. With both, STOP counts. */
export const StreamerCommand = {
  /** Starts a transfer; ignored while one runs. */
  START: 0x1,
  /** Ends the transfer that runs, as `ABORTED`. */
  STOP: 0x2,
  /** With START: raise {@linkcode StreamerInterrupt.ENDED} however the transfer ends. */
  RAISE_INTERRUPT: 0x4,
} as const;

/** How it stands with the last transfer. */
export const StreamerStatus = {
  /** None since the reset. */
  IDLE: 0,
  /** Bytes are moving, and both ranges are pinned. */
  RUNNING: 1,
  /** All bytes moved. */
  DONE: 2,
  /** Ended early, because the guest or a revoked mapping asked for it. */
  ABORTED: 3,
  /** The bus refused a range, or bus mastering was turned off. */
  FAULT: 4,
  /** The registers ask for what the device does not do; the bus was not touched. */
  REFUSED: 5,
} as const;

/** Why the last transfer did not reach `DONE`. */
export const StreamerError = {
  NONE: 0,
  /** Refused: longer than {@linkcode STREAMER_MAX_LENGTH}. */
  LENGTH: 1,
  /** Refused: a range goes beyond 2^52 - 1. */
  ADDRESS: 2,
  /** Refused: source and destination share a byte. */
  OVERLAP: 3,
  /** Fault: the source cannot be read. */
  SOURCE: 4,
  /** Fault: the destination cannot be written. */
  DESTINATION: 5,
  /** Fault: bus mastering was turned off on the way. */
  BUS_MASTER: 6,
  /** Aborted: a mapping was taken away, with {@linkcode StreamerOnRevoke.ABORT}. */
  REVOKED: 7,
  /** Aborted: by {@linkcode StreamerCommand.STOP}. */
  STOPPED: 8,
} as const;

/** What happens to a transfer when an unmap, detach or invalidation waits for it. */
export const StreamerOnRevoke = {
  /** It goes on to its end, and whoever unmaps waits until then. */
  FINISH: 0,
  /** It ends at once. */
  ABORT: 1,
} as const;

/** Bits of {@linkcode StreamerRegister.INTERRUPT_STATUS}. */
export const StreamerInterrupt = {
  /** A transfer has ended, in whatever way. */
  ENDED: 0x1,
} as const;

/** Bytes of a transfer at most: what a guest can keep pinned. */
export const STREAMER_MAX_LENGTH = 0x10_0000;
/** Bytes moved each tick after a reset. */
export const STREAMER_CHUNK = 256;
/** Scenario time between two ticks, in milliseconds; the first comes as long after the start. */
export const STREAMER_TICK_MS = 1;
