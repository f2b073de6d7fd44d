import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { AddressPool } from "./address_pool.ts";

Deno.test("AddressPool.allocate() gives whole pages, and the tag for each of their addresses", () => {
  const pool = new AddressPool(0x1000, 0x1_0000);
  assertEquals(pool.allocate(1, 7), 0x1000);
  assertEquals(pool.allocate(0x1001, 8), 0x2000);
  assertEquals([0xfff, 0x1000, 0x1fff, 0x2000, 0x3fff, 0x4000].map((at) => pool.tagAt(at)), [
    -1,
    7,
    7,
    8,
    8,
    -1,
  ]);
  assertEquals(pool.bytes, 0x3000);
  pool.free(0x1000);
  assertEquals([pool.tagAt(0x1000), pool.bytes], [-1, 0x2000]);
});

Deno.test("AddressPool.allocate() does not give a range out again at once, but finds it when it must", () => {
  const pool = new AddressPool(0, 0x4000);
  assertEquals(pool.allocate(0x1000, 0), 0);
  pool.free(0);
  assertEquals(pool.allocate(0x1000, 0), 0x1000);
  assertEquals(pool.allocate(0x2000, 0), 0x2000);
  assertEquals(pool.allocate(0x1000, 0), 0);
  assertEquals(pool.allocate(0x1000, 0), -1);
});

Deno.test("AddressPool: ranges never overlap, and -1 means that no gap is long enough", () => {
  fc.assert(fc.property(
    fc.array(fc.tuple(fc.integer({ min: 1, max: 5 }), fc.nat()), { maxLength: 60 }),
    (steps) => {
      const pages = 16;
      const pool = new AddressPool(0, pages * 0x1000);
      const held = new Map<number, number>();
      for (const [size, choice] of steps) {
        const starts = [...held.keys()];
        if (choice % 3 === 0 && starts.length > 0) {
          const start = starts[choice % starts.length]!;
          pool.free(start);
          held.delete(start);
          continue;
        }
        const used = new Set<number>();
        for (const [start, length] of held) {
          for (let i = 0; i < length; i++) used.add(start / 0x1000 + i);
        }
        const start = pool.allocate(size * 0x1000, choice);
        let fits = false;
        for (let from = 0; from + size <= pages; from++) {
          fits ||= Array.from({ length: size }, (_, i) => from + i).every((page) =>
            !used.has(page)
          );
        }
        assertEquals(start >= 0, fits);
        if (start < 0) continue;
        for (let i = 0; i < size; i++) assert(!used.has(start / 0x1000 + i));
        held.set(start, size);
      }
    },
  ));
});
