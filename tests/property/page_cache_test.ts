/** PageCache against a Map: it may forget what was put, and must never say anything else. */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { PageCache } from "../../core/iommu/page_cache.ts";

type Step =
  | { kind: "put"; page: number; value: number }
  | { kind: "drop"; page: number }
  | { kind: "dropRange"; page: number; count: number }
  | { kind: "reserve"; entries: number }
  | { kind: "clear" }
  | { kind: "shrink" };

/** Few enough to meet again, in more than one set, with twins that differ above bit 31. */
const page = fc.oneof(
  fc.nat(40),
  fc.nat(150),
  fc.nat(20).map((n) => 2 ** 32 + n),
  fc.constant(2 ** 40 - 1),
);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 20,
    arbitrary: fc.record({
      kind: fc.constant("put" as const),
      page,
      value: fc.integer({ min: 0, max: 2 ** 52 - 1 }),
    }),
  },
  { weight: 10, arbitrary: fc.record({ kind: fc.constant("drop" as const), page }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("dropRange" as const),
      page,
      count: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 2 ** 33 })),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("reserve" as const), entries: fc.nat(400) }),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom({ kind: "clear" as const }, { kind: "shrink" as const }),
  },
);

Deno.test("PageCache.get() is the value that was put last, or -1, and -1 after a drop", () => {
  let found = 0;
  fc.assert(
    fc.property(
      fc.array(step, { minLength: 100, maxLength: 300, size: "max" }),
      fc.integer(),
      (steps, seed) => {
        const cache = new PageCache(seed);
        const truth = new Map<number, number>();
        for (const todo of steps) {
          switch (todo.kind) {
            case "put":
              cache.put(todo.page, todo.value);
              truth.set(todo.page, todo.value);
              assertEquals(cache.get(todo.page), todo.value);
              break;
            case "drop":
              cache.drop(todo.page);
              truth.delete(todo.page);
              break;
            case "dropRange": {
              const last = todo.page + todo.count - 1;
              cache.dropRange(todo.page, last);
              for (const key of truth.keys()) {
                if (key >= todo.page && key <= last) truth.delete(key);
              }
              break;
            }
            case "reserve": {
              const there = [...truth.keys()].filter((key) => cache.get(key) !== -1);
              cache.reserve(todo.entries);
              for (const key of there) assertEquals(cache.get(key), truth.get(key)!);
              break;
            }
            case "clear":
            case "shrink":
              cache[todo.kind]();
              truth.clear();
          }
          for (let key = 0; key <= 150; key++) check(key);
          for (let key = 0; key <= 20; key++) check(2 ** 32 + key);
          check(2 ** 40 - 1);
        }

        function check(key: number): void {
          const value = cache.get(key);
          if (value === -1) return;
          if (value !== truth.get(key)) assertEquals(value, truth.get(key) ?? -1, `page ${key}`);
          found++;
        }
      },
    ),
    { numRuns: 200 },
  );
  assert(found > 10_000, `only ${found} were found`);
});
