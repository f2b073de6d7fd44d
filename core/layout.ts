/**
 * Wire structures as tables: names and widths in, byte offsets out.
 * @module
 */

/** Bytes of the unsigned integers of wire structures. */
export const u8 = 1, u16 = 2, u32 = 4, u64 = 8;

/** Where each field of a packed structure stands. */
export interface Layout<Field extends string> {
  /** Byte offset of each field. */
  readonly at: { readonly [F in Field]: number };
  /** Bytes of the whole structure. */
  readonly size: number;
}

/** Packed, in the order given. A byte count other than 1, 2, 4, 8 is an array or padding. */
export function layout<Field extends string>(
  fields: { readonly [F in Field]: number },
): Layout<Field> {
  const at = {} as { [F in Field]: number };
  let size = 0;
  for (const field in fields) {
    at[field] = size;
    size += fields[field];
  }
  return { at, size };
}
