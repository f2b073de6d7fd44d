import { assertEquals } from "@std/assert";
import { MAX_ADDRESS } from "../../../core/address.ts";
import { addressRange, RangeKind, setRange } from "../wide.ts";
import { bitmapBytes, DMA_MAP, DMA_UNMAP, isPowerOfTwo } from "./dma_map.ts";

const view = new DataView(new ArrayBuffer(128));

function mapBody(
  fields: { argsz?: number; flags?: number; offset?: bigint; address?: bigint; size?: bigint },
): number {
  view.setUint32(0, fields.argsz ?? 32, true);
  view.setUint32(4, fields.flags ?? 3, true);
  view.setBigUint64(8, fields.offset ?? 0n, true);
  view.setBigUint64(16, fields.address ?? 0x10_0000n, true);
  view.setBigUint64(24, fields.size ?? 0x1000n, true);
  return DMA_MAP.request.decode(view, 0, 32, map);
}
const map = DMA_MAP.request.create();

Deno.test("spec/08 rules 16 and 18: DMA_MAP is EINVAL for what no server could map", () => {
  assertEquals(mapBody({}), 0);
  for (
    const [name, fields] of Object.entries({
      "argsz below the structure": { argsz: 31 },
      "no permission": { flags: 0 },
      "an unknown flag": { flags: 7 },
      "a flag of the PASID proof of concept": { flags: 0x103 },
      "size 0": { size: 0n },
      "a range that wraps": { address: 2n ** 64n - 0x1000n, size: 0x1001n },
      "a range that ends beyond our addresses": { address: 2n ** 52n - 0x1000n, size: 0x2000n },
      "a range that starts beyond them": { address: 2n ** 52n },
      "an offset that a number cannot hold": { offset: 2n ** 53n },
    })
  ) {
    assertEquals(mapBody(fields), -22, name);
  }
});

Deno.test("DMA_MAP takes the last page there is, exactly", () => {
  assertEquals(mapBody({ address: 2n ** 52n - 0x1000n, offset: 2n ** 53n - 1n, flags: 1 }), 0);
  assertEquals(map.address + map.size - 1, MAX_ADDRESS);
  assertEquals(map.offset, Number.MAX_SAFE_INTEGER);
  assertEquals(map.flags, 1);
});

Deno.test("DMA_MAP accepts an argsz above the structure", () => {
  assertEquals(mapBody({ argsz: 0xffff_ffff }), 0);
});

const unmap = DMA_UNMAP.request.create();

function unmapBody(
  fields: {
    argsz?: number;
    flags?: number;
    address?: bigint;
    size?: bigint;
    pgsize?: bigint;
    bitmap?: bigint;
    length?: number;
  },
): number {
  view.setUint32(0, fields.argsz ?? 24, true);
  view.setUint32(4, fields.flags ?? 0, true);
  view.setBigUint64(8, fields.address ?? 0n, true);
  view.setBigUint64(16, fields.size ?? 0n, true);
  view.setBigUint64(24, fields.pgsize ?? 4096n, true);
  view.setBigUint64(32, fields.bitmap ?? 8n, true);
  return DMA_UNMAP.request.decode(view, 0, fields.length ?? 24, unmap);
}

Deno.test("spec/08 rule 19: DMA_UNMAP is EINVAL for a malformed request", () => {
  const dirty = { flags: 1, argsz: 48, size: 0x1000n, length: 40 };
  assertEquals(unmapBody({ size: 0x1000n }), 0);
  assertEquals(unmapBody({ flags: 2 }), 0);
  assertEquals(unmapBody(dirty), 0);
  for (
    const [name, fields] of Object.entries({
      "argsz < 24": { argsz: 23, size: 0x1000n },
      "unknown flags": { flags: 4, size: 0x1000n },
      "VADDR": { flags: 5, size: 0x1000n },
      "ALL with DIRTY": { flags: 3 },
      "ALL with an address": { flags: 2, address: 1n },
      "ALL with an address above 2^52": { flags: 2, address: 2n ** 60n },
      "ALL with a size": { flags: 2, size: 1n },
      "ALL with a size of 2^63": { flags: 2, size: 2n ** 63n },
      "a range that wraps": { address: 2n, size: 2n ** 64n - 1n },
      "a range that wraps by a word": { address: 2n ** 32n, size: 2n ** 64n - 2n ** 32n + 1n },
      "DIRTY without its bitmap structure": { ...dirty, length: 39 },
      "DIRTY with argsz below what it needs": { ...dirty, argsz: 47 },
      "DIRTY with page size 0": { ...dirty, pgsize: 0n },
      "DIRTY with a page size that is no power of two": { ...dirty, pgsize: 4097n },
      "DIRTY with a page size of 2^63": { ...dirty, pgsize: 2n ** 63n },
      "DIRTY with a bitmap of 2^64 - 1 bytes": { ...dirty, bitmap: 2n ** 64n - 1n },
      "DIRTY on a range beyond our addresses": { ...dirty, address: 2n ** 52n },
    })
  ) {
    assertEquals(unmapBody(fields), -22, name);
  }
});

Deno.test("spec/09 rule 10: DMA_UNMAP of a sweep up to 2^64 is clamped, and echoed unchanged", () => {
  for (
    const [address, size, kind, start, last] of [
      [0n, 0x80_0000_0000n, RangeKind.WITHIN, 0, 0x7f_ffff_ffff],
      [0n, 2n ** 63n, RangeKind.CLAMPED, 0, MAX_ADDRESS],
      [2n ** 63n, 2n ** 63n, RangeKind.BEYOND, 0, -1],
      [0n, 2n ** 64n - 1n, RangeKind.CLAMPED, 0, MAX_ADDRESS],
      [1n, 2n ** 64n - 1n, RangeKind.CLAMPED, 1, MAX_ADDRESS],
      [0x1000n, 0n, RangeKind.EMPTY, 0x1000, 0xfff],
    ] as const
  ) {
    assertEquals(unmapBody({ address, size }), 0);
    assertEquals([unmap.range.kind, unmap.range.start, unmap.range.last], [kind, start, last]);
    const out = new DataView(new ArrayBuffer(24));
    assertEquals(DMA_UNMAP.reply.encode(out, 0, unmap), 24);
    assertEquals([out.getBigUint64(8, true), out.getBigUint64(16, true)], [address, size]);
  }
});

Deno.test("DMA_UNMAP's reply with a bitmap is EINVAL when the bits are missing", () => {
  const value = { ...unmap, flags: 1, argsz: 56, pgsize: 4096, bitmapSize: 16 };
  setRange(value.range, 0x1000, 0x1000);
  const reply = DMA_UNMAP.reply;
  assertEquals(reply.encode(view, 0, value), 56);
  assertEquals(reply.decode(view, 0, 56, reply.create()), 0);
  assertEquals(reply.decode(view, 0, 55, reply.create()), -22);
});

Deno.test("isPowerOfTwo() knows all of them and no neighbour", () => {
  for (let bits = 0; bits < 53; bits++) {
    assertEquals(isPowerOfTwo(2 ** bits), true, `2^${bits}`);
    if (bits > 1) {
      assertEquals(isPowerOfTwo(2 ** bits - 1), false, `2^${bits} - 1`);
      assertEquals(isPowerOfTwo(2 ** bits + 1), false, `2^${bits} + 1`);
    }
  }
  for (const value of [0, -1, -4, NaN]) assertEquals(isPowerOfTwo(value), false);
});

Deno.test("bitmapBytes() is whole 64-bit words", () => {
  assertEquals(bitmapBytes(1, 4096), 8);
  assertEquals(bitmapBytes(64 * 4096, 4096), 8);
  assertEquals(bitmapBytes(64 * 4096 + 1, 4096), 16);
  assertEquals(bitmapBytes(MAX_ADDRESS + 1, 4096), 2 ** 37);
});

Deno.test("addressRange() starts out empty", () => {
  assertEquals(addressRange().kind, RangeKind.EMPTY);
});
