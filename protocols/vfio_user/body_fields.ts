/**
 * Collects the fields of a message body as words, for {@linkcode describeBody}. Values are exact:
 * 64 bits are read as such, since this is no hot path.
 * @module
 */

/** A field's name and its value, neither with white space in it. */
export type Field = readonly [name: string, value: string];

/** Words of flags or of an enumeration, by value. */
export type Bits = Readonly<Record<number, string>>;

/** Bytes of data that a line shows. */
const DATA_SHOWN = 16;
/** Entries of a list that a line shows. */
const ENTRIES_SHOWN = 8;
/** Characters of version JSON that a line shows. */
const JSON_SHOWN = 4096;

/** The bits that are set, with `separator` between; unknown ones together in hexadecimal. */
export function bitWords(value: bigint, bits: Bits, separator: string): string {
  const known: string[] = [];
  let rest = value;
  for (const [bit, word] of Object.entries(bits)) {
    if ((value & BigInt(bit)) === 0n) continue;
    known.push(word);
    rest &= ~BigInt(bit);
  }
  const text = known.join(separator);
  if (rest === 0n) return text === "" ? "0" : text;
  return text + (text === "" ? "" : "|") + `0x${rest.toString(16)}`;
}

/** The fields of one body. Notices when it ends too early, and never reads past its end. */
export class Body {
  /** What has been collected, in order. */
  readonly fields: Field[] = [];
  /** Bytes of the body. */
  readonly length: number;
  #short = false;
  readonly #view: DataView;
  readonly #at: number;

  /** The body of `length` bytes at `at`; offsets below count from its start. */
  constructor(view: DataView, at: number, length: number) {
    this.#view = view;
    this.#at = at;
    this.length = length;
  }

  /** The unsigned value of `width` bytes, or null past the end. */
  value(at: number, width: number): bigint | null {
    if (at + width > this.length) {
      this.#short = true;
      return null;
    }
    const from = this.#at + at;
    switch (width) {
      case 2:
        return BigInt(this.#view.getUint16(from, true));
      case 4:
        return BigInt(this.#view.getUint32(from, true));
      default:
        return this.#view.getBigUint64(from, true);
    }
  }

  /** As {@linkcode value}, 0 past the end; for counts and flags, which may be rounded. */
  number(at: number, width = 4): number {
    return Number(this.value(at, width) ?? 0n);
  }

  /** Adds a field. */
  put(name: string, value: string): void {
    this.fields.push([name, value]);
  }

  #each(name: string, at: number, width: number, format: (value: bigint) => string): void {
    const value = this.value(at, width);
    if (value !== null) this.put(name, format(value));
  }

  /** Adds an integer. */
  decimal(name: string, at: number, width = 4): void {
    this.#each(name, at, width, String);
  }

  /** Adds an integer in hexadecimal. */
  hex(name: string, at: number, width = 8): void {
    this.#each(name, at, width, (value) => `0x${value.toString(16)}`);
  }

  /** As {@linkcode hex}, left out when 0. */
  hexUnlessZero(name: string, at: number, width = 8): void {
    if (this.value(at, width) !== 0n) this.hex(name, at, width);
  }

  /** Adds flags. */
  bits(name: string, at: number, bits: Bits, width = 4, separator = "|"): void {
    this.#each(name, at, width, (value) => bitWords(value, bits, separator));
  }

  /** Adds a value of an enumeration; its number when it is none. */
  word(name: string, at: number, names: Bits, width = 4): void {
    this.#each(name, at, width, (value) => names[Number(value)] ?? String(value));
  }

  /** `length` bytes, which must be there. */
  hexBytes(at: number, length: number): string {
    let text = "";
    for (let index = 0; index < length; index++) {
      text += this.#view.getUint8(this.#at + at + index).toString(16).padStart(2, "0");
    }
    return text;
  }

  /** The first of `count` bytes from `at` on, `..` after them when there are more. */
  data(at: number, count: number): void {
    if (count > this.length - at) this.#short = true;
    const there = Math.min(count, Math.max(0, this.length - at));
    if (there === 0) return;
    const shown = Math.min(there, DATA_SHOWN);
    this.put("data", this.hexBytes(at, shown) + (there > shown ? ".." : ""));
  }

  /** Up to {@linkcode ENTRIES_SHOWN} of `count` entries of `size` bytes, with commas between. */
  list(
    name: string,
    at: number,
    count: number,
    size: number,
    format: (at: number) => string,
  ): void {
    const there = Math.max(0, Math.min(count, Math.floor((this.length - at) / size)));
    if (there < count) this.#short = true;
    const shown = Math.min(there, ENTRIES_SHOWN);
    const entries: string[] = [];
    for (let index = 0; index < shown; index++) entries.push(format(at + index * size));
    if (there > shown) entries.push("..");
    if (entries.length > 0) this.put(name, entries.join(","));
  }

  /** A 64-bit start and size: `0x2000+0x1000`. */
  range(at: number): string {
    return `0x${(this.value(at, 8) ?? 0n).toString(16)}+0x${
      (this.value(at + 8, 8) ?? 0n).toString(16)
    }`;
  }

  /** The JSON after the version, without white space. */
  json(at: number): void {
    if (this.length <= at) return;
    const bytes = new Uint8Array(this.length - at);
    for (let index = 0; index < bytes.length; index++) {
      bytes[index] = this.#view.getUint8(this.#at + at + index);
    }
    try {
      const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes).replace(/\0$/, "");
      // White space is only left inside strings, where an escape means the same.
      const json = JSON.stringify(JSON.parse(text)).replace(
        /[^\x21-\x7e]/g,
        (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
      );
      this.put("json", json.length > JSON_SHOWN ? `${json.slice(0, JSON_SHOWN)}..` : json);
    } catch {
      this.put("json", "invalid");
    }
  }

  /** All fields; `malformed short` is the last when something was missing. */
  finish(): readonly Field[] {
    if (this.#short) this.put("malformed", "short");
    return this.fields;
  }
}
