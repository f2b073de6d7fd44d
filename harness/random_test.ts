import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import { mixSeed, Random } from "./random.ts";

/** sfc32 as its author gives it, over BigInt, against slips of 32-bit arithmetic. */
function reference(seed: number): () => number {
  const mask = 0xffff_ffffn;
  let a = BigInt(seed), b = 0x9e37_79b9n, c = 0x243f_6a88n, counter = 1n;
  const next = () => {
    const result = (a + b + counter) & mask;
    counter = (counter + 1n) & mask;
    a = b ^ (b >> 9n);
    b = (c + (c << 3n)) & mask;
    c = ((((c << 21n) | (c >> 11n)) & mask) + result) & mask;
    return Number(result);
  };
  for (let round = 0; round < 15; round++) next();
  return next;
}

Deno.test("Random.next32() is sfc32, for every seed", () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 2 ** 32 - 1 }), (seed) => {
    const random = new Random(seed);
    const expected = reference(seed);
    for (let draw = 0; draw < 50; draw++) assertEquals(random.next32(), expected());
  }));
});

Deno.test("Random.below() stays below its bound, also above 2^32", () => {
  fc.assert(fc.property(
    fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    fc.oneof(
      fc.integer({ min: 1, max: 10 }),
      fc.maxSafeInteger().map((value) => Math.max(1, Math.abs(value))),
    ),
    (seed, bound) => {
      const value = new Random(seed).below(bound);
      assert(Number.isSafeInteger(value) && value >= 0 && value < bound);
    },
  ));
});

Deno.test("Random.below() reaches every value about equally often", () => {
  const random = new Random(1);
  const counts = new Array<number>(10).fill(0);
  for (let draw = 0; draw < 10_000; draw++) counts[random.below(10)]! += 1;
  for (const count of counts) assert(count > 850 && count < 1150, String(counts));
});

Deno.test("Random.below() refuses bounds that are no integer of at least 1", () => {
  for (const bound of [0, -1, 1.5, NaN, Infinity, 2 ** 53]) {
    assertThrows(() => new Random(1).below(bound), RangeError, "at least 1");
  }
});

Deno.test("Random.bytes() gives the length asked for, and fills all of it", () => {
  for (const length of [0, 1, 3, 4, 5, 4097]) {
    assertEquals(new Random(3).bytes(length).length, length);
  }
  const seen = new Set<number>();
  for (let seed = 0; seed < 64; seed++) seen.add(new Random(seed).bytes(7)[6]!);
  assert(seen.size > 32);
});

Deno.test("Random.bytes() refuses lengths that are no integer of at least 0", () => {
  for (const length of [-1, 1.5, NaN, Infinity]) {
    assertThrows(() => new Random(1).bytes(length), RangeError, "at least 0");
  }
});

Deno.test("Random.shuffle() keeps every item, and repeats with its seed", () => {
  const items = Array.from({ length: 100 }, (_, index) => index);
  const once = new Random(9).shuffle([...items]);
  assertEquals(new Random(9).shuffle([...items]), once);
  assertNotEquals(once, items);
  assertEquals([...once].sort((a, b) => a - b), items);
});

Deno.test("mixSeed() tells seeds, purposes and their order apart", () => {
  const mixed = [
    mixSeed(1, "a", "bc"),
    mixSeed(1, "ab", "c"),
    mixSeed(1, "bc", "a"),
    mixSeed(2, "a", "bc"),
    mixSeed(2 ** 31 + 1, "a", "bc"),
    mixSeed(1),
  ];
  assertEquals(new Set(mixed).size, mixed.length);
  assertEquals(mixSeed(1, "a", "bc"), mixed[0]!);
});
