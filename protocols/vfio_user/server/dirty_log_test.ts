import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { DirtyLog } from "./dirty_log.ts";

function bits(bitmap: Uint8Array): number[] {
  return [...bitmap].flatMap((byte, at) =>
    [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => (byte & 1 << bit) !== 0).map((bit) => 8 * at + bit)
  );
}

Deno.test("DirtyLog.mark() and take() know pages over all of the address space", () => {
  const log = new DirtyLog();
  log.mark(0, 1);
  log.mark(0xffffff, 2);
  log.mark(2 ** 52 - 1, 1);
  log.mark(0x5000, 0);
  assertEquals(log.isDirty(0xfff), true);
  assertEquals(log.isDirty(0x1000), false);
  assertEquals(log.take(), [0, 0xfff000, 0x1000000, 2 ** 52 - 4096]);
  assertEquals(log.take(), []);
});

Deno.test("DirtyLog.report() agrees with a set of pages, for any range and page size", () => {
  const K = 4096;
  fc.assert(fc.property(
    fc.array(fc.tuple(fc.nat(40 * K), fc.integer({ min: 1, max: 3 * K })), { maxLength: 8 }),
    fc.nat(40 * K),
    fc.integer({ min: 1, max: 20 * K }),
    fc.constantFrom(64, 256, 1024, 4096, 8192, 65536),
    // Beside the edge between two pieces.
    fc.constantFrom(0, 0x100_0000 - 20 * K),
    (writes, start, length, pageSize, base) => {
      const log = new DirtyLog();
      const dirty = new Set<number>();
      for (const [at, size] of writes) {
        log.mark(base + at, size);
        for (
          let page = Math.floor((base + at) / K);
          page <= Math.floor((base + at + size - 1) / K);
          page++
        ) {
          dirty.add(page);
        }
      }
      const first = base + start, last = first + length - 1;
      const bitmap = new Uint8Array(Math.ceil(Math.ceil(length / pageSize) / 64) * 8);
      log.report(first, last, pageSize, bitmap);
      const expected: number[] = [];
      for (let bit = 0; bit < Math.ceil(length / pageSize); bit++) {
        const from = first + bit * pageSize, to = Math.min(last, from + pageSize - 1);
        for (let page = Math.floor(from / K); page <= Math.floor(to / K); page++) {
          if (!dirty.has(page)) continue;
          expected.push(bit);
          break;
        }
      }
      assertEquals(bits(bitmap), expected);
      // What was told whole is clean, and nothing else.
      for (let page = Math.floor(base / K); page < base / K + 64; page++) {
        const whole = page * K >= first && page * K + K - 1 <= last;
        assertEquals(log.isDirty(page * K), dirty.has(page) && !whole);
      }
    },
  ));
});

Deno.test("DirtyLog costs bounded memory: with pages all over, everything counts as written", () => {
  const log = new DirtyLog();
  for (let i = 0; i <= 0x4000; i++) log.mark(i * 0x100_0000, 1);
  const bitmap = new Uint8Array(8);
  log.report(2 ** 51, 2 ** 51 + 3 * 4096 - 1, 4096, bitmap);
  assertEquals(bits(bitmap), [0, 1, 2]);
  const whole = new Uint8Array(8);
  log.report(0, 2 ** 52 - 1, 2 ** 46, whole);
  assertEquals(bits(whole).length, 64);
  log.clear();
  assertEquals(log.isDirty(0), false);
});
