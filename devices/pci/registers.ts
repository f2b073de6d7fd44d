/**
 * Blocks of configuration registers as data: what they hold after power-on, which bits software
 * may write, which it clears by writing ones, and which survive a function-level reset.
 * @module
 */

/** One register of a block. Bits of no kind are read-only. */
export interface RegisterSpec {
  /** Byte offset from the start of the block. */
  readonly at: number;
  /** Bytes. */
  readonly size: 1 | 2 | 4;
  /** The value after power-on; 0 unless told. */
  readonly initial?: number;
  /** Bits that take the value written. */
  readonly writable?: number;
  /** Bits that a written one clears, and that the function sets. */
  readonly clearable?: number;
  /** Bits that function-level reset does not touch (PCIe 4.0, 6.6.2). */
  readonly kept?: number;
}

/** A run of configuration space: five byte arrays of {@linkcode length}, and who watches it. */
export interface RegisterBlock {
  /** Bytes. */
  readonly length: number;
  /** The bytes after power-on. */
  readonly initial: Uint8Array;
  /** Bits that take the value written; none unless told. */
  readonly writable?: Uint8Array;
  /** Bits that a written one clears; none unless told. */
  readonly clearable?: Uint8Array;
  /** Bits that function-level reset does not touch; none unless told. */
  readonly kept?: Uint8Array;
  /** Told of what software does to the block. */
  readonly observer?: RegisterObserver;
}

/**
 * The model's side of a block: reads and writes that no mask limits. Offsets count from the start
 * of the block, values are unsigned and little-endian.
 */
export interface RegisterView {
  /** The value of the register; nobody is told. */
  get(at: number, size: 1 | 2 | 4): number;
  /** Stores a value, read-only bits included; nobody is told. */
  set(at: number, size: 1 | 2 | 4, value: number): void;
}

/**
 * One configuration write as it met a block: at most four bytes, all in one aligned dword. Offsets
 * count from the start of the block.
 */
export interface RegisterWrite {
  /** Whether a byte of the register was written, be it with the value it had. */
  touches(at: number, size: 1 | 2 | 4): boolean;
  /** The bits as they were offered, before any mask; bytes that were not written read 0. */
  bits(at: number, size: 1 | 2 | 4): number;
  /** The register's value before the write. */
  before(at: number, size: 1 | 2 | 4): number;
}

/**
 * Who watches a block. A reset of configuration space is no write and is not told: the device
 * learns of it by its own `reset()`.
 */
export interface RegisterObserver {
  /** Once, before the function exists for software: where to keep hold of the registers. */
  placed?(registers: RegisterView): void;
  /** Before software reads `length` bytes from `at` on; the last chance to set them. */
  reading?(registers: RegisterView, at: number, length: number): void;
  /** After a write has taken effect. */
  written?(registers: RegisterView, write: RegisterWrite): void;
}

/**
 * Makes a block out of its registers.
 * @throws {RangeError} when a register is outside the block, overlaps another, or is too small for its bits
 */
export function registerBlock(
  length: number,
  registers: readonly RegisterSpec[],
  observer?: RegisterObserver,
): RegisterBlock {
  const initial = new Uint8Array(length);
  const writable = new Uint8Array(length);
  const clearable = new Uint8Array(length);
  const kept = new Uint8Array(length);
  const taken = new Uint8Array(length);
  for (const register of registers) {
    const { at, size } = register;
    if (at < 0 || at + size > length) {
      throw new RangeError(
        `Cannot place a register of ${size} bytes at 0x${
          at.toString(16)
        }: the block has ${length} bytes`,
      );
    }
    if (taken.subarray(at, at + size).some((byte) => byte !== 0)) {
      throw new RangeError(
        `Cannot place a register of ${size} bytes at 0x${at.toString(16)}: it overlaps another`,
      );
    }
    taken.fill(1, at, at + size);
    storeField(initial, register, "initial");
    storeField(writable, register, "writable");
    storeField(clearable, register, "clearable");
    storeField(kept, register, "kept");
  }
  return {
    length,
    initial,
    writable,
    clearable,
    kept,
    ...(observer === undefined ? {} : { observer }),
  };
}

/** What would be cut off is a mistake in a table, and not to be seen in configuration space. */
function storeField(
  bytes: Uint8Array,
  register: RegisterSpec,
  field: "initial" | "writable" | "clearable" | "kept",
): void {
  const { at, size } = register;
  const value = register[field] ?? 0;
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * size)) {
    throw new RangeError(
      `Cannot use ${value} as \`${field}\` of the register at 0x${at.toString(16)}: ` +
        `it has ${8 * size} bits`,
    );
  }
  store(bytes, at, size, value);
}

/** Two observers as one; the first is told first. */
export function observers(
  first: RegisterObserver | undefined,
  second: RegisterObserver | undefined,
): RegisterObserver {
  return {
    placed(registers) {
      first?.placed?.(registers);
      second?.placed?.(registers);
    },
    reading(registers, at, length) {
      first?.reading?.(registers, at, length);
      second?.reading?.(registers, at, length);
    },
    written(registers, write) {
      first?.written?.(registers, write);
      second?.written?.(registers, write);
    },
  };
}

/** What a read of `size` bytes gives when nothing answers it. */
export function allOnes(size: 1 | 2 | 4): number {
  return size === 1 ? 0xff : size === 2 ? 0xffff : 0xffff_ffff;
}

/** The unsigned little-endian value of `size` bytes, at most 4, at `at`. */
export function load(bytes: Uint8Array, at: number, size: number): number {
  let value = 0;
  for (let index = size - 1; index >= 0; index--) value = value << 8 | (bytes[at + index] ?? 0);
  return value >>> 0;
}

/** Stores the low `size` bytes, at most 4, of `value` at `at`, little-endian. */
export function store(bytes: Uint8Array, at: number, size: number, value: number): void {
  for (let index = 0; index < size; index++) bytes[at + index] = value >>> 8 * index;
}
