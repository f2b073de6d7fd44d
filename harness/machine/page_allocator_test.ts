import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import type { Gpa } from "../../core/address.ts";
import { PageAllocator } from "./page_allocator.ts";
import { Random } from "../random.ts";

const HIGH = 2 ** 32;
const RANGES = [
  { start: 0 as Gpa, length: 64 * 4096 },
  { start: HIGH as Gpa, length: 64 * 4096 },
];

function allocator(seed = 1): PageAllocator {
  return new PageAllocator(RANGES, new Random(seed));
}

Deno.test("PageAllocator.pages() gives pages of both ranges, in shuffled order that its seed repeats", () => {
  const pages = allocator().pages(32);
  assert(pages.some((page) => page < HIGH) && pages.some((page) => page >= HIGH));
  assertNotEquals([...pages].sort((a, b) => a - b), pages);
  assertEquals(allocator().pages(32), pages);
  assertNotEquals(allocator(2).pages(32), pages);
});

Deno.test("PageAllocator.pages() says how many are left, and takes none, when RAM is used up", () => {
  const pages = allocator();
  pages.pages(120);
  assertThrows(() => pages.pages(9), Error, "8 of 128 are free");
  assertEquals(pages.pages(8).length, 8);
});

Deno.test("PageAllocator never gives a page twice, and keeps alignment and limit", () => {
  const request = fc.oneof(
    fc.record({ pages: fc.integer({ min: 0, max: 8 }) }),
    fc.record({
      bytes: fc.integer({ min: 1, max: 40_000 }),
      align: fc.constantFrom(1, 16, 4096, 8192, 65536, 12288),
      limit: fc.constantFrom(Infinity, 0x2_0000, 2 ** 28, HIGH + 0x8000),
    }),
  );
  fc.assert(fc.property(fc.nat(), fc.array(request, { maxLength: 20 }), (seed, requests) => {
    const pages = allocator(seed >>> 0);
    const seen = new Set<number>();
    const take = (page: number) => {
      assertEquals(page % 4096, 0);
      assert(RANGES.some(({ start, length }) => page >= start && page < start + length));
      assert(!seen.has(page), `page ${page} twice`);
      seen.add(page);
    };
    for (const one of requests) {
      try {
        if ("pages" in one) {
          pages.pages(one.pages).forEach(take);
          continue;
        }
        const start = pages.contiguous(one.bytes, one.align, one.limit);
        assertEquals(start % one.align, 0);
        const end = start + Math.ceil(one.bytes / 4096) * 4096;
        assert(end <= one.limit);
        for (let page = start as number; page < end; page += 4096) take(page);
      } catch (error) {
        assert(error instanceof Error && error.message.startsWith("Cannot allocate"), `${error}`);
      }
    }
    assertEquals(pages.free, 128 - seen.size);
  }));
});

Deno.test("PageAllocator.contiguous() does not reach over the hole between ranges", () => {
  assertThrows(() => allocator().contiguous(65 * 4096), Error, "no free piece");
  assertEquals(allocator().contiguous(64 * 4096), 0 as Gpa);
});

Deno.test("PageAllocator refuses counts and lengths that are none", () => {
  for (const wrong of [-1, 1.5, NaN]) {
    assertThrows(() => allocator().pages(wrong), RangeError, "want an integer");
    assertThrows(() => allocator().contiguous(wrong), RangeError, "want an integer");
    assertThrows(() => allocator().contiguous(1, wrong), RangeError, "want an integer");
  }
});
