import { assert, assertEquals } from "@std/assert";
import * as fc from "fast-check";
import { duration, hitRate, indented, plural, printable, quantity } from "./text.ts";

Deno.test("duration() picks the unit, and fits 7 characters", () => {
  const cases: [number, string][] = [
    [0, "0.0 ms"],
    [0.44, "0.4 ms"],
    [9.96, "10 ms"],
    [41.3, "41 ms"],
    [999.6, "1.0 s"],
    [4200, "4.2 s"],
    [99_960, "1.7 min"],
  ];
  for (const [ms, text] of cases) assertEquals(duration(ms), text);
  fc.assert(fc.property(fc.double({ min: 0, max: 3.6e6, noNaN: true }), (ms) => {
    assert(duration(ms).length <= 8, duration(ms));
  }));
});

Deno.test("quantity() picks the unit, and fits 6 characters", () => {
  const cases: [number, string][] = [
    [0, "0"],
    [999, "999"],
    [1000, "1.0 k"],
    [65_536, "65.5 k"],
    [999_960, "1.0 M"],
    [1_900_000, "1.9 M"],
    [2 ** 53, "9.0 P"],
  ];
  for (const [count, text] of cases) assertEquals(quantity(count), text);
  fc.assert(fc.property(fc.maxSafeNat(), (count) => {
    assert(quantity(count).length <= 6, quantity(count));
  }));
});

Deno.test("hitRate() says 100 % only of what never missed", () => {
  assertEquals(hitRate(0, 0), "–");
  assertEquals(hitRate(5, 0), "100 %");
  assertEquals(hitRate(99_999_999, 1), "99.9 %");
  assertEquals(hitRate(1, 1), "50.0 %");
  assertEquals(hitRate(0, 7), "0.0 %");
});

Deno.test("plural() counts one apart", () => {
  assertEquals([0, 1, 2].map((count) => plural(count, "fault")), [
    "0 faults",
    "1 fault",
    "2 faults",
  ]);
});

Deno.test("printable() lets no control character through to a terminal", () => {
  assertEquals(
    printable("a\x1b[31mb\x07\x9b\u2028\r\n\tc"),
    "a\\u001b[31mb\\u0007\\u009b\\u2028\\u000d\n\tc",
  );
  assertEquals(
    printable("0 failed\u202e0 ok\u2069\u200fä→🙂"),
    "0 failed\\u202e0 ok\\u2069\\u200fä→🙂",
  );
});

Deno.test("indented() indents each line, and ends none with blanks", () => {
  assertEquals(indented("a\n\nb", "  "), "  a\n\n  b");
});
