/**
 * Messages as bytes, written out: the tests' own idea of the wire, apart from the codec under test.
 * @module
 */

/** Fields of 1, 2, 4 and 8 bytes, little-endian, one behind the other. */
export function bytes(
  ...parts: readonly (Uint8Array | readonly [1 | 2 | 4 | 8, number | bigint])[]
) {
  let length = 0;
  for (const part of parts) length += part instanceof Uint8Array ? part.length : part[0];
  const out = new Uint8Array(length);
  const view = new DataView(out.buffer);
  let at = 0;
  for (const part of parts) {
    if (part instanceof Uint8Array) {
      out.set(part, at);
      at += part.length;
      continue;
    }
    const [size, value] = part;
    if (size === 1) view.setUint8(at, Number(value));
    else if (size === 2) view.setUint16(at, Number(value), true);
    else if (size === 4) view.setUint32(at, Number(value), true);
    else view.setBigUint64(at, BigInt.asUintN(64, BigInt(value)), true);
    at += size;
  }
  return out;
}

export const u8 = (value: number) => [1, value] as const;
export const u16 = (value: number) => [2, value] as const;
export const u32 = (value: number) => [4, value] as const;
export const u64 = (value: number | bigint) => [8, value] as const;

export const Flag = { REPLY: 1, NO_REPLY: 0x10, ERROR: 0x20 } as const;

/** A message; `size` tells a lie when given. */
export function message(
  command: number,
  body: Uint8Array = new Uint8Array(0),
  options: { id?: number; flags?: number; size?: number; error?: number } = {},
): Uint8Array {
  const { id = 1, flags = 0, size = 16 + body.length, error = 0 } = options;
  return bytes(u16(id), u16(command), u32(size), u32(flags), u32(error), body);
}

/** VERSION with any JSON; `capabilities` for the usual one, null for none. */
export function version(json: unknown = { capabilities: {} }, major = 0, minor = 0): Uint8Array {
  if (json === null) return bytes(u16(major), u16(minor));
  const text = typeof json === "string" ? json : JSON.stringify(json) + "\0";
  return bytes(u16(major), u16(minor), new TextEncoder().encode(text));
}

export const Prot = { READ: 1, WRITE: 2, BOTH: 3 } as const;

export function dmaMap(
  address: number | bigint,
  size: number | bigint,
  options: { flags?: number; offset?: number | bigint; argsz?: number } = {},
): Uint8Array {
  const { flags = Prot.BOTH, offset = 0, argsz = 32 } = options;
  return bytes(u32(argsz), u32(flags), u64(offset), u64(address), u64(size));
}

export function dmaUnmap(
  address: number | bigint,
  size: number | bigint,
  options: { flags?: number; argsz?: number; bitmap?: readonly [number, number] } = {},
): Uint8Array {
  const { flags = 0, argsz = 24, bitmap } = options;
  const fixed = bytes(u32(argsz), u32(flags), u64(address), u64(size));
  return bitmap === undefined ? fixed : bytes(fixed, u64(bitmap[0]), u64(bitmap[1]));
}

export function regionRead(region: number, offset: number | bigint, count: number): Uint8Array {
  return bytes(u64(offset), u32(region), u32(count));
}

export function regionWrite(
  region: number,
  offset: number | bigint,
  data: Uint8Array,
  count: number = data.length,
): Uint8Array {
  return bytes(u64(offset), u32(region), u32(count), data);
}

export function setIrqs(
  flags: number,
  index: number,
  start: number,
  count: number,
  data: Uint8Array = new Uint8Array(0),
  argsz: number = 20 + data.length,
): Uint8Array {
  return bytes(u32(argsz), u32(flags), u32(index), u32(start), u32(count), data);
}

export function feature(
  flags: number,
  data: Uint8Array = new Uint8Array(0),
  argsz = 8 + data.length,
) {
  return bytes(u32(argsz), u32(flags), data);
}
