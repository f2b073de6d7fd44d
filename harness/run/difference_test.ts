import { assertEquals, assertStringIncludes } from "@std/assert";
import { difference } from "./difference.ts";

Deno.test("difference() is null for equal values of each kind", () => {
  const self: Record<string, unknown> = { a: 1 };
  self["self"] = self;
  const other: Record<string, unknown> = { a: 1 };
  other["self"] = other;
  const pairs: [unknown, unknown][] = [
    [1, 1],
    [NaN, NaN],
    [0, -0],
    [1n, 1n],
    ["a", "a"],
    [null, null],
    [undefined, undefined],
    [[1, [2]], [1, [2]]],
    [{ a: 1, b: { c: 2 } }, { b: { c: 2 }, a: 1 }],
    [new Uint8Array([1, 2]), new Uint8Array([1, 2])],
    [new Uint8Array([1, 2]), new Uint8Array([9, 1, 2]).subarray(1)],
    [new Map([[1, 2]]), new Map([[1, 2]])],
    [new Set([1]), new Set([1])],
    [self, other],
  ];
  for (const [actual, expected] of pairs) assertEquals(difference(actual, expected), null);
});

Deno.test("difference() tells values of different kinds apart", () => {
  const values: unknown[] = [
    0,
    1,
    1n,
    "1",
    null,
    undefined,
    [1],
    [1, 2],
    { a: 1 },
    {},
    { a: undefined },
    new Uint8Array([1]),
    new Map(),
    new Set(),
    new Date(0),
    () => 1,
  ];
  for (const actual of values) {
    for (const expected of values) {
      assertEquals(difference(actual, expected) === null, actual === expected);
    }
  }
});

Deno.test("difference() names the path of the first difference, with both sides", () => {
  assertEquals(
    difference({ faults: [{ iova: 1 }, { iova: 2 }] }, { faults: [{ iova: 1 }, { iova: 3 }] }),
    "at faults[1].iova\nactual    2\nexpected  3",
  );
  assertEquals(difference(1, 2), "actual    1\nexpected  2");
  assertStringIncludes(difference({ a: 1 }, { a: 1, "b c": 2 })!, 'at ["b c"]: missing in actual');
  assertStringIncludes(difference([1, 2], [1])!, "lengths   2 and 1");
});

Deno.test("difference() shows bytes around the first differing offset", () => {
  const expected = Uint8Array.from({ length: 0x1000 }, (_, index) => index & 0xff);
  const actual = expected.slice();
  actual[0x234] = 0xee;
  actual[0x800] = 0xee;
  assertEquals(
    difference(actual, expected),
    "first difference at offset 0x234; 2 of 0x1000 bytes differ\n" +
      "actual    … 2c 2d 2e 2f 30 31 32 33 [ee] 35 36 37 38 39 3a 3b …\n" +
      "expected  … 2c 2d 2e 2f 30 31 32 33 [34] 35 36 37 38 39 3a 3b …",
  );
});

Deno.test("difference() shows where the shorter bytes end", () => {
  assertEquals(
    difference(new Uint8Array([1, 2]), new Uint8Array([1, 2, 3])),
    "first difference at offset 0x2; 1 bytes differ, lengths 0x2 and 0x3\n" +
      "actual    01 02 [end]\n" +
      "expected  01 02 [03]",
  );
});

Deno.test("difference() cuts values that are long", () => {
  const text = difference("a".repeat(1e6), Array.from({ length: 1e5 }, () => "b"))!;
  assertEquals(text.length < 1000, true);
});
