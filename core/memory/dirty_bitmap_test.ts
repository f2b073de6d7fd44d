import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { DirtyBitmap } from "./dirty_bitmap.ts";

const PAGE = 0x1000;
const pages = (addresses: readonly number[]): number[] => addresses.map((a) => a / PAGE);

Deno.test("DirtyBitmap.mark() marks the pages that the range touches, first to last byte", () => {
  const cases: [number, number, number[]][] = [
    [0, 1, [0]],
    [0xfff, 1, [0]],
    [0xfff, 2, [0, 1]],
    [0x1000, 0x1000, [1]],
    [0x1000, 0x1001, [1, 2]],
    [0x1234, 0, []],
    [0x1fff, 0x1002, [1, 2, 3]],
  ];
  for (const [address, length, expected] of cases) {
    const bitmap = new DirtyBitmap(0, 64 * PAGE);
    bitmap.mark(address, length);
    assertEquals(pages(bitmap.take()), expected, `mark(${address}, ${length})`);
  }
});

Deno.test("DirtyBitmap keeps each page apart at the edges of its words", () => {
  const edges = [0, 1, 30, 31, 32, 33, 62, 63, 64, 95, 96, 99];
  for (const page of edges) {
    const bitmap = new DirtyBitmap(0, 100 * PAGE);
    bitmap.mark(page * PAGE, 1);
    for (let other = 0; other < 100; other++) {
      assertEquals(bitmap.isDirty(other * PAGE + 0xfff), other === page);
    }
    assertEquals(pages(bitmap.take()), [page]);
  }
  for (const first of edges) {
    for (const last of edges) {
      if (last < first) continue;
      const bitmap = new DirtyBitmap(0, 100 * PAGE);
      bitmap.mark(first * PAGE, (last - first + 1) * PAGE);
      const expected = Array.from({ length: last - first + 1 }, (_, i) => first + i);
      assertEquals(pages(bitmap.take()), expected, `${first}..${last}`);
    }
  }
});

Deno.test("DirtyBitmap.take() takes part of a word, and leaves the rest of it marked", () => {
  const edges = [0, 1, 30, 31, 32, 33, 63, 64, 99];
  const all = Array.from({ length: 100 }, (_, i) => i);
  for (const first of edges) {
    for (const last of edges) {
      if (last < first) continue;
      const bitmap = new DirtyBitmap(0, 100 * PAGE);
      bitmap.mark(0, 100 * PAGE);
      const taken = bitmap.take(first * PAGE, (last - first + 1) * PAGE);
      assertEquals(pages(taken), all.slice(first, last + 1), `${first}..${last}`);
      const rest = all.filter((page) => page < first || page > last);
      assertEquals(pages(bitmap.take()), rest, `${first}..${last}`);
    }
  }
});

Deno.test("DirtyBitmap.take() takes the pages that the range meets in part", () => {
  const bitmap = new DirtyBitmap(0, 8 * PAGE);
  bitmap.mark(0, 8 * PAGE);
  assertEquals(pages(bitmap.take(0x1fff, 2)), [1, 2]);
  assertEquals(pages(bitmap.take(0x4800, 1)), [4]);
});

Deno.test("DirtyBitmap.take() of length 0 takes nothing, also in the middle of a page", () => {
  const bitmap = new DirtyBitmap(0, 8 * PAGE);
  bitmap.mark(0, 8 * PAGE);
  for (const address of [0, 1, 0x1000, 0x1800, 0x7fff, 0x8000]) {
    assertEquals(bitmap.take(address, 0), []);
  }
  assertEquals(bitmap.take().length, 8);
});

Deno.test("DirtyBitmap ignores what lies outside of it, on either side", () => {
  const bitmap = new DirtyBitmap(0x10_0000, 4 * PAGE);
  bitmap.mark(0, 0x10_0000);
  bitmap.mark(0x10_4000, 2 ** 40);
  assertEquals(bitmap.take(), []);
  bitmap.mark(0xf_ffff, 2);
  bitmap.mark(0x10_3fff, 2 ** 40);
  assertEquals(bitmap.isDirty(0xf_ffff), false);
  assertEquals(bitmap.isDirty(0x10_4000), false);
  assertEquals(bitmap.take(0, 0x10_0000), []);
  assertEquals(bitmap.take(0x10_4000, 2 ** 40), []);
  assertEquals(bitmap.take(0, 2 ** 52), [0x10_0000, 0x10_3000]);
});

Deno.test("DirtyBitmap covers pages above 4 GiB, and the last page of the address space", () => {
  const start = 2 ** 52 - 40 * PAGE;
  const bitmap = new DirtyBitmap(start, 40 * PAGE);
  bitmap.mark(2 ** 52 - 1, 1);
  bitmap.mark(start, 1);
  assertEquals(bitmap.take(), [start, 2 ** 52 - PAGE]);
});

Deno.test("DirtyBitmap covers a last page that the range holds in part", () => {
  const bitmap = new DirtyBitmap(0x4000, PAGE + 1);
  bitmap.mark(0x4000, 2 * PAGE);
  assertEquals(bitmap.take(), [0x4000, 0x5000]);
});

Deno.test("DirtyBitmap counts in the page size it is given", () => {
  const bitmap = new DirtyBitmap(0x20_0000, 0x60_0000, 0x20_0000);
  bitmap.mark(0x40_0000 - 1, 2);
  assertEquals(bitmap.take(), [0x20_0000, 0x40_0000]);
});

Deno.test("DirtyBitmap.take() leaves the pages it took clean, clear() leaves all", () => {
  const bitmap = new DirtyBitmap(0, 64 * PAGE);
  bitmap.mark(3 * PAGE, 1);
  assertEquals(pages(bitmap.take()), [3]);
  assertEquals(bitmap.take(), []);
  bitmap.mark(0, 64 * PAGE);
  bitmap.clear();
  assertEquals(bitmap.take(), []);
});

Deno.test("DirtyBitmap refuses a start inside a page, no length, and more pages than it can number", () => {
  assertThrows(() => new DirtyBitmap(1, PAGE), RangeError, "multiple of a page");
  assertThrows(() => new DirtyBitmap(0, 0), RangeError, "at least 1");
  assertThrows(() => new DirtyBitmap(0, NaN), RangeError);
  for (const [start, length] of [[-PAGE, PAGE], [0, 1.5], [2 ** 52 - PAGE, PAGE + 1]] as const) {
    assertThrows(() => new DirtyBitmap(start, length), RangeError, "both ends in 0..2^52-1");
  }
  assertThrows(() => new DirtyBitmap(0, 2 ** 44 + 1), RangeError, "at most 2^32 pages");
  assertThrows(() => new DirtyBitmap(0, 2 ** 52), RangeError, "at most 2^32 pages");
});

const ROUNDS = 400;
/** Enough that marking them outlasts many a fetch. */
const SHARED_PAGES = 4096;
/** Fields of the state that both threads see: rounds the marker has ended, and rounds it may begin. */
const ENDED = 0, ALLOWED = 1;

/** In each round marks each page once, in an order that hops from word to word. */
const MARKER = `
  import { DirtyBitmap } from "${import.meta.resolve("./dirty_bitmap.ts")}";
  self.onmessage = ({ data: { words, state, rounds } }) => {
    const bitmap = (${overBuffer})(DirtyBitmap, words, ${SHARED_PAGES});
    self.postMessage("ready");
    for (let round = 1; round <= rounds; round++) {
      Atomics.wait(state, ${ALLOWED}, round - 1);
      for (let i = 0; i < ${SHARED_PAGES}; i++) {
        bitmap.mark(((i * 1021 + round) % ${SHARED_PAGES}) * 4096, 1);
      }
      Atomics.store(state, ${ENDED}, round);
    }
    self.postMessage("done");
  };
`;

Deno.test("DirtyBitmap.take() loses no mark of a thread that marks meanwhile, and gives none twice", async () => {
  const words = new SharedArrayBuffer(SHARED_PAGES / 8);
  const state = new Int32Array(new SharedArrayBuffer(8));
  const bitmap = overBuffer(DirtyBitmap, words, SHARED_PAGES);
  const url = URL.createObjectURL(new Blob([MARKER], { type: "text/javascript" }));
  const worker = new Worker(url, { type: "module" });
  const message = () =>
    new Promise<string>((resolve, reject) => {
      worker.onmessage = (event) => resolve(event.data);
      worker.onerror = (event) => reject(new Error(event.message));
    });
  try {
    const ready = message();
    worker.postMessage({ words, state, rounds: ROUNDS });
    assertEquals(await ready, "ready");
    const done = message();
    for (let round = 1; round <= ROUNDS; round++) {
      Atomics.store(state, ALLOWED, round);
      Atomics.notify(state, ALLOWED);
      const times = new Uint8Array(SHARED_PAGES);
      for (let ended = false; !ended;) {
        ended = Atomics.load(state, ENDED) === round;
        for (const address of bitmap.take()) times[address / PAGE]!++;
      }
      const wrong = times.findIndex((count) => count !== 1);
      assertEquals(wrong, -1, `page ${wrong} was taken ${times[wrong]} times in round ${round}`);
    }
    assertEquals(await done, "done");
  } finally {
    worker.terminate();
    URL.revokeObjectURL(url);
  }
});

/**
 * A bitmap of `pages` pages over `words`: it allocates its own, so two threads share
 * one when the allocation gives them the same memory.
 */
function overBuffer(
  Bitmap: typeof DirtyBitmap,
  words: SharedArrayBuffer,
  pages: number,
): DirtyBitmap {
  const own = globalThis.SharedArrayBuffer;
  const given = function () {
    return words;
  };
  try {
    Object.assign(globalThis, { SharedArrayBuffer: given });
    return new Bitmap(0, pages * 4096);
  } finally {
    globalThis.SharedArrayBuffer = own;
  }
}

Deno.test("DirtyBitmap.count tells how many pages are marked, and leaves them so", () => {
  fc.assert(fc.property(
    fc.uniqueArray(fc.integer({ min: 0, max: 199 })),
    (pages) => {
      const bitmap = new DirtyBitmap(0x10_0000, 200 * PAGE);
      for (const page of pages) bitmap.mark(0x10_0000 + page * PAGE, 1);
      assertEquals(bitmap.count, pages.length);
      assertEquals(bitmap.count, pages.length);
      assertEquals(bitmap.take().length, pages.length);
      assertEquals(bitmap.count, 0);
    },
  ));
  const full = new DirtyBitmap(0, 64 * PAGE);
  full.mark(0, 64 * PAGE);
  assertEquals(full.count, 64);
});
