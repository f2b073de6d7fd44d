/**
 * How a message body is read and written, and the bodies that need no code of their own.
 * @module
 */

import type { Layout } from "../../../core/layout.ts";
import { EINVAL_RESULT } from "../result.ts";
import { type Fields, Structure } from "../structure.ts";

/**
 * One body: what stands between the header and the end of a message, in one direction of one
 * command. Values are records that the caller makes once with {@linkcode create} and hands in again
 * and again; nothing is allocated per message unless the codec says so. Data that follows the fixed
 * part is not copied: a record says where it stands (`dataAt`, a byte offset in the view).
 */
export interface BodyCodec<T> {
  /** Bytes of the fixed part: no body is shorter. */
  readonly size: number;
  /** An empty record. */
  create(): T;
  /**
   * Reads the body of `length` bytes at byte `at` of `view`, which must hold that much.
   *
   * @returns 0, or the negative errno that the specification or spec/08 gives for it. Never throws
   * for what the bytes hold. What a record holds after a failure is unspecified.
   */
  decode(view: DataView, at: number, length: number, into: T): number;
  /**
   * Writes the fixed part and whatever the record itself carries at byte `at`. Data that a record
   * only points at is the caller's to place, at `at + size`, before or after.
   *
   * @returns bytes of the whole body, such data included
   */
  encode(view: DataView, at: number, value: Readonly<T>): number;
}

/** Both directions of one command. */
export interface MessageCodec<Request, Reply> {
  /** The command's number. */
  readonly command: number;
  /** As the specification spells it. */
  readonly name: string;
  readonly request: BodyCodec<Request>;
  readonly reply: BodyCodec<Reply>;
}

/** A record without fields. */
export type Empty = Readonly<Record<never, never>>;

/** A request without a body: one with bytes in it is EINVAL (spec/08 rule 4). */
export const EMPTY_REQUEST: BodyCodec<Empty> = {
  size: 0,
  create: () => ({}),
  decode: (_view, _at, length) => length === 0 ? 0 : EINVAL_RESULT,
  encode: () => 0,
};

/** A reply without a body. Bytes in it are ignored, since the command has succeeded all the same. */
export const EMPTY_REPLY: BodyCodec<Empty> = {
  size: 0,
  create: () => ({}),
  decode: () => 0,
  encode: () => 0,
};

/**
 * A body whose fixed part is followed by as many bytes of data as that says. One with fewer is EINVAL;
 * more are ignored.
 * @param count bytes of data, by the fixed part
 */
export function withData<T>(
  fixed: BodyCodec<T>,
  count: (value: Readonly<T>) => number,
): BodyCodec<T> {
  const { size } = fixed;
  return {
    size,
    create: () => fixed.create(),
    decode(view, at, length, into) {
      const result = fixed.decode(view, at, length, into);
      return result === 0 && length - size < count(into) ? EINVAL_RESULT : result;
    },
    encode: (view, at, value) => fixed.encode(view, at, value) + count(value),
  };
}

/**
 * A body that is one structure. Longer ones are fine; a shorter one is EINVAL, and so is a 64-bit
 * field of 2^53 or more, and an `argsz` below `minimumArgsz`.
 */
export function structureBody<Field extends string>(
  layout: Layout<Field>,
  minimumArgsz: number | null,
): BodyCodec<Fields<Field>> {
  const structure = new Structure(layout);
  return {
    size: structure.size,
    create: () => structure.create(),
    decode(view, at, length, into) {
      if (length < structure.size) return EINVAL_RESULT;
      // In every structure that has it, argsz comes first.
      if (minimumArgsz !== null && view.getUint32(at, true) < minimumArgsz) return EINVAL_RESULT;
      return structure.decode(view, at, into) ? 0 : EINVAL_RESULT;
    },
    encode: (view, at, value) => structure.encode(view, at, value),
  };
}

/** {@linkcode structureBody} of a structure that starts with `argsz`, which must cover it whole. */
export function sizedBody<Field extends string>(
  layout: Layout<Field | "argsz">,
): BodyCodec<Fields<Field | "argsz">> {
  return structureBody(layout, layout.size);
}
