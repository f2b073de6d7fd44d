import { assert, assertEquals } from "@std/assert";
import { PageCache } from "./page_cache.ts";

/** Of the pages, how many are still there after all were put. */
function kept(cache: PageCache, pages: readonly number[]): number {
  for (const page of pages) cache.put(page, page);
  let count = 0;
  for (const page of pages) {
    const value = cache.get(page);
    assert(value === page || value === -1, `page ${page} reads ${value}`);
    if (value === page) count++;
  }
  return count;
}

Deno.test("PageCache misses what was never put, also the pages at both ends", () => {
  const cache = new PageCache(1);
  for (const page of [0, 1, 2 ** 32, 2 ** 40 - 1, 2 ** 40]) assertEquals(cache.get(page), -1);
});

Deno.test("PageCache.get() of what is no page number never finds a slot that is free", () => {
  const cache = new PageCache(1);
  for (let page = 0; page < 64; page++) {
    cache.put(page, 0x5000 + 3);
    cache.drop(page);
  }
  for (const page of [-1, -2, NaN, Infinity, 0.5]) assertEquals(cache.get(page), -1, `${page}`);
});

Deno.test("PageCache.put() keeps the last value of a page", () => {
  const cache = new PageCache(1);
  for (const page of [0, 5, 2 ** 32 + 5, 2 ** 40 - 1]) {
    cache.put(page, 1);
    cache.put(page, 2 ** 52 - 1);
    assertEquals(cache.get(page), 2 ** 52 - 1);
    cache.drop(page);
    assertEquals(cache.get(page), -1);
  }
});

Deno.test("PageCache tells pages apart that differ above bit 31 alone", () => {
  const cache = new PageCache(1);
  for (let high = 0; high < 32; high++) cache.put(high * 2 ** 32 + 7, high);
  for (let high = 0; high < 32; high++) {
    const value = cache.get(high * 2 ** 32 + 7);
    assert(value === high || value === -1);
  }
});

Deno.test("PageCache: a full set gives up one of its own, and takes the new page", () => {
  const cache = new PageCache(1);
  for (let page = 0; page < 10_000; page++) {
    cache.put(page, page + 1);
    assertEquals(cache.get(page), page + 1);
  }
  let count = 0;
  for (let page = 0; page < 10_000; page++) {
    const value = cache.get(page);
    assert(value === -1 || value === page + 1);
    if (value !== -1) count++;
  }
  assert(count > 0 && count <= cache.capacity, `${count} of ${cache.capacity}`);
});

Deno.test("PageCache.put() over a page in a full set evicts nobody", () => {
  const cache = new PageCache(1);
  for (let page = 0; page < 1000; page++) cache.put(page, 1);
  const there = Array.from({ length: 1000 }, (_, page) => page).filter((page) =>
    cache.get(page) === 1
  );
  for (const page of there) cache.put(page, 2);
  for (const page of there) assertEquals(cache.get(page), 2);
});

Deno.test("PageCache.drop() of a page that is not there drops no other", () => {
  const cache = new PageCache(1);
  for (let page = 0; page < 32; page++) cache.put(page, page);
  const there = Array.from({ length: 32 }, (_, page) => page).filter((page) =>
    cache.get(page) === page
  );
  for (let page = 32; page < 5000; page++) cache.drop(page);
  for (const page of there) assertEquals(cache.get(page), page);
});

Deno.test("PageCache.dropRange() drops the pages of the range and no other, ends inclusive", () => {
  // Both ways of doing it: page by page below the capacity, entry by entry from there on.
  const capacity = new PageCache(1).capacity;
  const base = 2 ** 39;
  for (const length of [1, 2, capacity - 1, capacity, capacity + 1, capacity * 10]) {
    for (let seed = 0; seed < 20; seed++) {
      const cache = new PageCache(seed);
      const pages = [base - 2, base - 1, base, base + (length >> 1), base + length - 1];
      pages.push(base + length, base + length + 1);
      for (const page of pages) cache.put(page, 1);
      const there = pages.filter((page) => cache.get(page) === 1);
      cache.dropRange(base, base + length - 1);
      for (const page of there) {
        const inside = page >= base && page < base + length;
        assertEquals(cache.get(page), inside ? -1 : 1, `${page - base} of ${length}`);
      }
    }
  }
});

Deno.test("PageCache.dropRange() of the whole address space drops page 0 and the last", () => {
  const cache = new PageCache(1);
  cache.put(0, 1);
  cache.put(2 ** 40 - 1, 1);
  cache.dropRange(0, 2 ** 40 - 1);
  assertEquals([cache.get(0), cache.get(2 ** 40 - 1)], [-1, -1]);
});

Deno.test("PageCache.reserve() keeps every entry, and makes room", () => {
  for (let seed = 0; seed < 20; seed++) {
    const cache = new PageCache(seed);
    for (let page = 0; page < 100; page++) cache.put(page * 3, page);
    const there = Array.from({ length: 100 }, (_, page) => page).filter((page) =>
      cache.get(page * 3) === page
    );
    for (const entries of [10, 100, 1000, 50_000]) {
      cache.reserve(entries);
      assert(cache.capacity >= entries * 1.5 || entries === 10);
      for (const page of there) assertEquals(cache.get(page * 3), page);
    }
  }
});

Deno.test("PageCache.reserve() never makes the cache smaller, and stops at its bound", () => {
  const cache = new PageCache(1);
  cache.reserve(1000);
  const capacity = cache.capacity;
  cache.reserve(1);
  assertEquals(cache.capacity, capacity);
  cache.reserve(2 ** 40);
  assertEquals(cache.capacity, 2 ** 22);
  cache.put(2 ** 40 - 1, 3);
  cache.reserve(2 ** 41);
  assertEquals([cache.capacity, cache.get(2 ** 40 - 1)], [2 ** 22, 3]);
});

Deno.test("PageCache.clear() keeps the room, shrink() gives it back; both forget", () => {
  const cache = new PageCache(1);
  const smallest = cache.byteLength;
  cache.reserve(10_000);
  const grown = cache.byteLength;
  cache.put(5, 1);
  cache.clear();
  assertEquals([cache.get(5), cache.byteLength], [-1, grown]);
  cache.put(5, 1);
  cache.shrink();
  assertEquals([cache.get(5), cache.byteLength], [-1, smallest]);
  cache.put(5, 1);
  assertEquals(cache.get(5), 1);
});

Deno.test("PageCache keeps nearly all of the pages it has room for, whatever their stride", () => {
  const count = 4096;
  const seeds = [0, 1, 2, 3, 0x5bd1_e995, 0xffff_ffff, 0x8000_0000, 123_456_789];
  const strides = [1, 2, 3, 7, 8, 16, 64, 512, 4096, 65536, 2 ** 20, 2 ** 24, 2 ** 28, 2 ** 31];
  let patterns = 0;
  let total = 0;
  let poor = 0;
  for (const seed of seeds) {
    for (const stride of strides) {
      const pages = Array.from({ length: count }, (_, i) => i * stride)
        .filter((page) => page < 2 ** 40);
      const cache = new PageCache(seed);
      cache.reserve(count);
      const share = kept(cache, pages) / pages.length;
      patterns++;
      total += share;
      // A universal hash may be unlucky with one pattern, never with most of them.
      if (share < 0.75) poor++;
      // No pattern at all may fall into a few sets.
      assert(share > 0.25, `seed ${seed}, stride ${stride}: ${share} of the pages kept`);
    }
  }
  assert(total / patterns > 0.95, `${total / patterns} of the pages kept on average`);
  assert(poor <= patterns / 20, `${poor} of ${patterns} patterns are poor`);
});

/** Pages that all push one another out of a cache with this seed: what knowing the seed would buy. */
function adversary(seed: number, count: number): number[] {
  const cache = new PageCache(seed);
  const residents = new Set<number>();
  let page = 0;
  for (; residents.size < cache.capacity; page++) {
    const before = [...residents].filter((other) => cache.get(other) !== -1);
    cache.put(page, 1);
    residents.add(page);
    for (const other of before) if (cache.get(other) === -1) residents.delete(other);
  }
  // The cache is full: each page that comes takes the place of exactly one, and so on in turn.
  const chain = [Math.min(...residents)];
  for (; chain.length < count; page++) {
    cache.put(page, 1);
    const gone = [...residents].find((other) => cache.get(other) === -1)!;
    residents.delete(gone);
    residents.add(page);
    if (gone === chain.at(-1)) chain.push(page);
  }
  return chain;
}

Deno.test("PageCache: pages chosen to collide under one seed do not under another", () => {
  const pages = adversary(1, 60);
  assert(kept(new PageCache(1), pages) <= 8);
  for (const seed of [0, 2, 3, 77, 4242]) {
    const count = kept(new PageCache(seed), pages);
    assert(count >= 30, `seed ${seed}: ${count} of 60 kept`);
  }
});
