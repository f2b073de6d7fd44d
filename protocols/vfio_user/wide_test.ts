import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { MAX_ADDRESS } from "../../core/address.ts";
import {
  addressRange,
  RangeKind,
  readRange,
  readU64,
  setRange,
  TOO_WIDE,
  writeRange,
  writeU64,
} from "./wide.ts";

const view = new DataView(new ArrayBuffer(32));
const any64 = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  fc.tuple(fc.integer({ min: 0, max: 64 }), fc.integer({ min: -2, max: 2 }))
    .map(([bits, more]) => BigInt.asUintN(64, (1n << BigInt(bits)) + BigInt(more))),
);

Deno.test("readU64() is exact below 2^53 and TOO_WIDE from there on", () => {
  fc.assert(fc.property(any64, (value) => {
    view.setBigUint64(3, value, true);
    assertEquals(readU64(view, 3), value < 2n ** 53n ? Number(value) : TOO_WIDE);
  }));
});

Deno.test("writeU64() stores what readU64() reads", () => {
  fc.assert(fc.property(fc.maxSafeNat(), (value) => {
    writeU64(view, 1, value);
    assertEquals(view.getBigUint64(1, true), BigInt(value));
  }));
});

Deno.test("readRange() agrees with 128-bit arithmetic, and writeRange() gives the bits back", () => {
  const end = BigInt(MAX_ADDRESS);
  fc.assert(
    fc.property(any64, any64, (start, size) => {
      view.setBigUint64(0, start, true);
      view.setBigUint64(8, size, true);
      const range = addressRange();
      readRange(view, 0, range);
      const last = start + size - 1n;
      const kind = size === 0n
        ? RangeKind.EMPTY
        : last >= 2n ** 64n
        ? RangeKind.WRAPS
        : start > end
        ? RangeKind.BEYOND
        : last > end
        ? RangeKind.CLAMPED
        : RangeKind.WITHIN;
      assertEquals(range.kind, kind);
      if (kind === RangeKind.WITHIN || kind === RangeKind.CLAMPED) {
        assertEquals(range.start, Number(start));
        assertEquals(range.last, last > end ? MAX_ADDRESS : Number(last));
      } else {
        assertEquals(range.last - range.start + 1, 0);
      }
      writeRange(view, 16, range);
      assertEquals([view.getBigUint64(16, true), view.getBigUint64(24, true)], [start, size]);
    }),
    { numRuns: 2000 },
  );
});

Deno.test("setRange() is readRange() of the same numbers", () => {
  fc.assert(fc.property(fc.maxSafeNat(), fc.maxSafeNat(), (start, size) => {
    writeU64(view, 0, start);
    writeU64(view, 8, size);
    const read = addressRange();
    readRange(view, 0, read);
    assertEquals(setRange(addressRange(), start, size), read);
  }));
});
