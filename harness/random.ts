/**
 * Seeded randomness: every random choice of a run comes from one generator, so
 * that the seed a report prints repeats the run.
 * @module
 */

/** One more than the largest seed: seeds are integers in [0, 2^32). */
export const SEED_LIMIT: number = 2 ** 32;

/** Uniform in [0, 2^32). */
export function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}

/**
 * A 32-bit hash of a seed and what it is for (FNV-1a with MurmurHash3's
 * finaliser), so that runs that share a seed draw unrelated numbers.
 */
export function mixSeed(seed: number, ...purpose: readonly (string | number)[]): number {
  let hash = 0x811c_9dc5;
  const take = (byte: number): void => {
    hash = Math.imul(hash ^ byte, 0x0100_0193);
  };
  for (let shift = 0; shift < 32; shift += 8) take((seed >>> shift) & 0xff);
  for (const part of purpose) {
    for (const byte of new TextEncoder().encode(String(part))) take(byte);
    // No UTF-8 text holds 0xff, so it parts ("a", "bc") from ("ab", "c").
    take(0xff);
  }
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** The sfc32 generator (Chris Doty-Humphrey's PractRand): 128 bits of state, period at least 2^32. */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  /** `seed` is an integer in [0, 2^32). */
  constructor(seed: number) {
    this.#a = seed | 0;
    this.#b = 0x9e37_79b9 | 0;
    this.#c = 0x243f_6a88 | 0;
    for (let round = 0; round < 15; round++) this.next32();
  }

  /** Uniform in [0, 2^32). */
  next32(): number {
    const result = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + result) | 0;
    return result >>> 0;
  }

  /** An integer, uniform in [0, bound). @throws {RangeError} unless `bound` is an integer in [1, 2^53) */
  below(bound: number): number {
    if (!Number.isSafeInteger(bound) || bound < 1) {
      throw new RangeError(
        `Cannot draw a random integer below ${bound}: the bound must be an integer of at least 1`,
      );
    }
    // Values past the last whole multiple of the bound would make small results likelier.
    if (bound <= SEED_LIMIT) {
      const end = SEED_LIMIT - SEED_LIMIT % bound;
      for (;;) {
        const value = this.next32();
        if (value < end) return value % bound;
      }
    }
    const end = 2 ** 53 - 2 ** 53 % bound;
    for (;;) {
      const value = (this.next32() & 0x1f_ffff) * SEED_LIMIT + this.next32();
      if (value < end) return value % bound;
    }
  }

  /** `length` bytes. @throws {RangeError} unless `length` is an integer of at least 0 */
  bytes(length: number): Uint8Array<ArrayBuffer> {
    if (!Number.isSafeInteger(length) || length < 0) {
      throw new RangeError(
        `Cannot draw ${length} random bytes: the length must be an integer of at least 0`,
      );
    }
    const bytes = new Uint8Array(length);
    const whole = length - length % 4;
    const view = new DataView(bytes.buffer);
    for (let at = 0; at < whole; at += 4) view.setUint32(at, this.next32(), true);
    if (whole < length) {
      let rest = this.next32();
      for (let at = whole; at < length; at++, rest >>>= 8) bytes[at] = rest & 0xff;
    }
    return bytes;
  }

  /** Puts `items` into random order, in place (Fisher and Yates). */
  shuffle<T>(items: T[]): T[] {
    for (let last = items.length - 1; last > 0; last--) {
      const other = this.below(last + 1);
      const item = items[last]!;
      items[last] = items[other]!;
      items[other] = item;
    }
    return items;
  }
}
