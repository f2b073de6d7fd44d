/**
 * Fixed structures of unsigned integers, to and from objects with the same field names.
 * @module
 */

import type { Layout } from "../../core/layout.ts";
import { readU64, TOO_WIDE, writeU64 } from "./wide.ts";

/** A structure's fields as numbers, by the names of its layout. */
export type Fields<Field extends string> = { [F in Field]: number };

/** Moves one structure. For messages that are not hot: it walks the field list. */
export class Structure<Field extends string> {
  /** Bytes. */
  readonly size: number;
  readonly #fields: readonly {
    readonly name: Field;
    readonly at: number;
    readonly width: number;
  }[];

  /** @throws {RangeError} when a field is not 1, 2, 4 or 8 bytes wide: a mistake in our own table */
  constructor(layout: Layout<Field>) {
    this.size = layout.size;
    const names = (Object.keys(layout.at) as Field[]).sort((a, b) => layout.at[a] - layout.at[b]);
    this.#fields = names.map((name, index) => {
      const next = names[index + 1];
      const at = layout.at[name];
      const width = (next === undefined ? layout.size : layout.at[next]) - at;
      if (![1, 2, 4, 8].includes(width)) {
        throw new RangeError(`Cannot make a structure of field ${name}: it has ${width} bytes`);
      }
      return { name, at, width };
    });
  }

  /** All fields 0. */
  create(): Fields<Field> {
    const value = {} as Fields<Field>;
    for (const { name } of this.#fields) value[name] = 0;
    return value;
  }

  /** Fills `into`. False when a 64-bit field holds 2^53 or more; that field is then `TOO_WIDE`. */
  decode(view: DataView, at: number, into: Fields<Field>): boolean {
    let exact = true;
    for (const field of this.#fields) {
      const from = at + field.at;
      let value: number;
      switch (field.width) {
        case 1:
          value = view.getUint8(from);
          break;
        case 2:
          value = view.getUint16(from, true);
          break;
        case 4:
          value = view.getUint32(from, true);
          break;
        default:
          value = readU64(view, from);
          if (value === TOO_WIDE) exact = false;
      }
      into[field.name] = value;
    }
    return exact;
  }

  /** Writes all fields. @returns bytes written */
  encode(view: DataView, at: number, value: Readonly<Fields<Field>>): number {
    for (const field of this.#fields) {
      const to = at + field.at;
      const number = value[field.name];
      switch (field.width) {
        case 1:
          view.setUint8(to, number);
          break;
        case 2:
          view.setUint16(to, number, true);
          break;
        case 4:
          view.setUint32(to, number, true);
          break;
        default:
          writeU64(view, to, number);
      }
    }
    return this.size;
  }
}
