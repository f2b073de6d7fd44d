import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { BarAllocator } from "./bar_allocator.ts";

Deno.test("BarAllocator.allocate() aligns to the size, fills gaps and reuses what was freed", () => {
  const allocator = new BarAllocator([{ start: 0x1100, length: 0x2f00 }]);
  assertEquals(
    [0x1000, 0x100, 0x100, 0x1000].map((size) => allocator.allocate(size)),
    [0x2000, 0x1100, 0x1200, 0x3000],
  );
  assertEquals([allocator.hasRoom(0x1000), allocator.hasRoom(0x800)], [false, true]);
  assertThrows(() => allocator.allocate(0x1000), RangeError, "no room is left in 0x1100..0x3fff");
  allocator.free(0x2000);
  allocator.free(0x2000);
  assertEquals(allocator.allocate(0x1000), 0x2000);
});

Deno.test("BarAllocator.allocate() never hands a byte out twice, or one outside", () => {
  const step = fc.oneof(
    fc.integer({ min: 4, max: 12 }).map((log2) => ({ size: 2 ** log2, free: -1 })),
    fc.nat(20).map((free) => ({ size: 0, free })),
  );
  fc.assert(fc.property(fc.array(step), (steps) => {
    const window = { start: 0x8_0000_0300, length: 0x4000 };
    const allocator = new BarAllocator([window]);
    const live: { start: number; size: number }[] = [];
    for (const { size, free } of steps) {
      if (size === 0) {
        const [freed] = live.splice(free, 1);
        if (freed !== undefined) allocator.free(freed.start);
        continue;
      }
      if (!allocator.hasRoom(size)) continue;
      const start = allocator.allocate(size);
      assert(start % size === 0 && start >= window.start);
      assert(start + size <= window.start + window.length);
      assert(
        live.every((other) => start + size <= other.start || other.start + other.size <= start),
      );
      live.push({ start, size });
    }
  }));
});
