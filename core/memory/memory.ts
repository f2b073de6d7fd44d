/**
 * The one memory interface of the house. Guest RAM, RAM behind an IOMMU and the
 * DMA regions of a remote client all present it, and wrap one another; a device
 * never asks which it got.
 *
 * Four rules hold for every implementation:
 *
 * - **Nothing throws for what a guest chose.** An access returns 0, a value, or
 *   a {@linkcode Fault}.
 * - **Byte ranges move in ascending order and stop at the first bad byte.** The
 *   bytes before it have moved, and {@linkcode Memory.transferred} says how many.
 * - **A range of length 0 touches nothing** and succeeds at every address, even
 *   an unmapped one: no byte was asked for.
 * - **The last byte of the address space is as good as any other.** A range that
 *   would go on past 2^52 - 1 faults at that point, as unmapped memory does.
 *
 * @module
 */

import type { Fault, Status } from "../address.ts";

/** Bytes of a scalar or atomic access. */
export type ScalarSize = 1 | 2 | 4 | 8;

/**
 * Byte-addressed memory as one party sees it. Lengths are bytes; multi-byte
 * values are little-endian and need no alignment unless atomic.
 */
export interface Memory<Address extends number> {
  /** Fills `into` from `address`; wants READ. On a fault the bytes before it are already copied. */
  read(address: Address, into: Uint8Array): Status;
  /** Stores all of `from` at `address`; wants WRITE. On a fault the bytes before it are already stored. */
  write(address: Address, from: Uint8Array): Status;
  /** Bytes moved by the last {@linkcode read} or {@linkcode write}, whole or cut short by a fault. */
  readonly transferred: number;

  /** The value, 0..2^8-1, or a fault. */
  readU8(address: Address): number;
  /** The value, 0..2^16-1, or a fault. */
  readU16(address: Address): number;
  /** The value, 0..2^32-1, or a fault. */
  readU32(address: Address): number;
  /** The value, 0..2^53-1, or a fault; `TOO_WIDE` for a larger one, never a rounded number. */
  readU64(address: Address): number;
  /** Stores the low 8 bits of `value`. */
  writeU8(address: Address, value: number): Status;
  /** Stores the low 16 bits of `value`. */
  writeU16(address: Address, value: number): Status;
  /** Stores the low 32 bits of `value`. */
  writeU32(address: Address, value: number): Status;
  /** Stores `value`, a safe integer of at least 0. */
  writeU64(address: Address, value: number): Status;

  /**
   * One indivisible load, ordered before all later accesses; wants READ.
   * `STRADDLES` when `address` is no multiple of `size` or the bytes are not in
   * one fragment; otherwise as the scalar reads.
   */
  atomicLoad(address: Address, size: ScalarSize): number;
  /** One indivisible store, ordered after all earlier accesses; wants WRITE. See {@linkcode atomicLoad}. */
  atomicStore(address: Address, size: ScalarSize, value: number): Status;

  /** Whether an access of `length` bytes that wants `access` would succeed. Records no fault. */
  check(address: Address, length: number, access: number): Status;

  /**
   * The range without copying: views in ascending order, one a contiguous
   * fragment, or the first fault. Valid until the caller returns to its event
   * loop; hold them longer only through {@linkcode pin}. A view that wants WRITE
   * marks its pages dirty now, so write to it before returning; one that does not
   * want READ as well is to be written whole, since what it holds is not known.
   */
  slices(address: Address, length: number, access: number): readonly Uint8Array[] | Fault;

  /**
   * As {@linkcode slices}, for a device whose access outlasts one call. Until the
   * pin is released, every unmap, detach and invalidation of the range stays
   * unfinished: this is how DMA in flight is waited for. Release promptly.
   */
  pin(address: Address, length: number, access: number): Pin | Fault;
}

/** DMA in flight: views on guest memory that outlast one call. */
export interface Pin {
  /**
   * Fragments in ascending order. Must not be touched after {@linkcode release}. Of a pin that does not
   * want READ they hold what the holder has written, and besides that anything.
   */
  readonly slices: readonly Uint8Array[];
  /** Bytes of all slices together. */
  readonly length: number;
  /**
   * True once an unmap, detach or reset waits for this pin. A device should
   * then stop early, and release.
   */
  readonly revoked: boolean;
  /**
   * Called once, when {@linkcode revoked} turns true: set it to be told at once. May release the pin.
   * What it throws is reported as the device's error, and does not stop the change that revokes.
   */
  onRevoke: (() => void) | null;
  /**
   * Says that the holder has written `length` bytes from byte `offset` of the range on: to be called
   * after it has, before it returns to its event loop. Where memory cannot be shown the slices are a
   * copy, of which these bytes are stored now, as the slices have them; whatever a holder does not tell
   * of is not stored there, and stays what it was.
   * @returns 0, or why the memory did not take them
   * @throws {RangeError} for bytes outside the range, a pin that does not want WRITE, or a released one
   */
  wrote(offset: number, length: number): Status;
  /** Ends the access: dirty pages are marked, and what waits for it goes on. Idempotent. */
  release(): void;
}
