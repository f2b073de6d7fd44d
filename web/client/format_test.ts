import { assertEquals } from "@std/assert";
import {
  formatBytes,
  formatCount,
  formatHex,
  formatInteger,
  formatNs,
  formatPercentileNs,
  formatRange,
  formatShare,
  parseAddress,
  plural,
  upperNs,
} from "./format.ts";

Deno.test("formatCount() keeps three digits and goes up in thousands", () => {
  const cases: [number, string][] = [
    [0, "0"],
    [7, "7"],
    [0.5, "0.50"],
    [12.34, "12.3"],
    [999, "999"],
    [999.6, "1.00 k"],
    [1000, "1 k"],
    [12_345, "12.3 k"],
    [1_900_000, "1.90 M"],
    [NaN, "–"],
  ];
  for (const [value, text] of cases) assertEquals(formatCount(value), text);
});

Deno.test("formatInteger() groups digits by three", () => {
  assertEquals(formatInteger(1234567), "1\u202f234\u202f567");
  assertEquals(formatInteger(999), "999");
});

Deno.test("formatBytes() goes up in 1024s", () => {
  assertEquals(formatBytes(0), "0 B");
  assertEquals(formatBytes(4096), "4 KiB");
  assertEquals(formatBytes(1536), "1.50 KiB");
});

Deno.test("formatShare() never rounds up to the whole", () => {
  assertEquals(formatShare(0.99999), "99.9 %");
  assertEquals(formatShare(1), "100.0 %");
  assertEquals(formatShare(null), "–");
  assertEquals(formatShare(0), "0.0 %");
});

Deno.test("formatNs() takes the unit that suits", () => {
  assertEquals(formatNs(12), "12 ns");
  assertEquals(formatNs(1250), "1.25 µs");
  assertEquals(formatNs(41e6), "41 ms");
  assertEquals(formatNs(2.5e9), "2.50 s");
  assertEquals(formatNs(null), "–");
});

Deno.test("formatHex() and formatRange() print addresses past 2^32 exactly", () => {
  assertEquals(formatHex(2 ** 52 - 1), "0xfffffffffffff");
  assertEquals(formatRange(0x1000, 0x1000), "0x1000..0x1fff");
  assertEquals(formatRange(0x1000, 0), "0x1000");
});

Deno.test("parseAddress() reads hexadecimal below 2^52 alone", () => {
  assertEquals(parseAddress("0x1000"), 4096);
  assertEquals(parseAddress(" 10_0000 "), 0x10_0000);
  assertEquals(parseAddress("0XfffffFFFFFFFF"), 2 ** 52 - 1);
  for (const bad of ["", "0x", "xyz", "-1", "10000000000000", "1.5"]) {
    assertEquals(parseAddress(bad), null, bad);
  }
});

Deno.test("plural() names one and many", () => {
  assertEquals(plural(1, "fault"), "1 fault");
  assertEquals(plural(0, "fault"), "0 faults");
});

Deno.test("formatPercentileNs() tells the end of the bucket that a percentile fell in", () => {
  const cases: [number | null, string][] = [
    [null, "–"],
    [NaN, "–"],
    [0, "≤ 1 ns"],
    [1, "≤ 1 ns"],
    [1.5, "≤ 2 ns"],
    [4097, "≤ 8.19 µs"],
    // The whole of a bucket is at most its end.
    [8192, "≤ 8.19 µs"],
    [8193, "≤ 16.4 µs"],
    [1e9, "≤ 1.07 s"],
  ];
  for (const [ns, text] of cases) assertEquals(formatPercentileNs(ns), text, String(ns));
  for (let power = 0; power < 48; power++) assertEquals(upperNs(2 ** power), 2 ** power);
});
