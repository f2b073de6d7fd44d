import { assert, assertEquals } from "@std/assert";
import { Histogram, HISTOGRAM_SIZE } from "./histogram.ts";

Deno.test("Histogram.record() puts each power of two into the bucket that starts there", () => {
  for (let power = 1; power < 47; power++) {
    const histogram = new Histogram();
    histogram.record(2 ** power);
    assertEquals(histogram.snapshot(), [{ belowNs: 2 ** (power + 1), count: 1 }], `2^${power}`);
  }
});

Deno.test("Histogram.record() puts what is just below a power of two into the bucket before", () => {
  for (let power = 2; power <= 47; power++) {
    const histogram = new Histogram();
    histogram.record(2 ** power - 1);
    assertEquals(histogram.snapshot(), [{ belowNs: 2 ** power, count: 1 }], `2^${power} - 1`);
  }
});

Deno.test("Histogram.record() counts what is below 1 ns and beyond the last bucket", () => {
  const histogram = new Histogram();
  histogram.record(0);
  histogram.record(0.25);
  histogram.record(1);
  histogram.record(2 ** 47);
  histogram.record(2 ** 60);
  assertEquals(histogram.snapshot(), [
    { belowNs: 2, count: 3 },
    { belowNs: 2 ** 48, count: 2 },
  ]);
  assertEquals(histogram.count, 5);
});

Deno.test("Histogram.count and sumNs add up", () => {
  const histogram = new Histogram();
  let sum = 0;
  for (let i = 1; i <= 1000; i++) {
    histogram.record(i);
    sum += i;
  }
  assertEquals(histogram.count, 1000);
  assertEquals(histogram.sumNs, sum);
});

Deno.test("Histogram.percentile() is NaN while nothing was counted", () => {
  const histogram = new Histogram();
  for (const p of [0, 50, 100]) assertEquals(histogram.percentile(p), NaN);
});

Deno.test("Histogram.percentile() spreads a bucket evenly", () => {
  const histogram = new Histogram();
  // 100 durations in [1024, 2048).
  for (let i = 0; i < 100; i++) histogram.record(1500);
  assertEquals(histogram.percentile(50), 1024 * 1.5);
  assertEquals(histogram.percentile(100), 2048);
  assertEquals(histogram.percentile(1), 1024 * 1.01);
  assertEquals(histogram.percentile(0), 1024 * 1.01);
});

Deno.test("Histogram.percentile() finds the bucket at the border of two", () => {
  const histogram = new Histogram();
  for (let i = 0; i < 99; i++) histogram.record(100);
  histogram.record(1e6);
  assert(histogram.percentile(99) <= 128);
  assert(histogram.percentile(99.1) > 2 ** 19);
  assertEquals(histogram.percentile(100), 2 ** 20);
});

Deno.test("Histogram.percentile() never falls as the percentage grows, and is within a factor of 2", () => {
  const histogram = new Histogram();
  const values: number[] = [];
  for (let i = 1; i <= 3000; i++) {
    const ns = (i * 7919) % 100_003 + 1;
    values.push(ns);
    histogram.record(ns);
  }
  values.sort((a, b) => a - b);
  let before = 0;
  for (let p = 0; p <= 100; p += 0.5) {
    const estimate = histogram.percentile(p);
    const exact = values[Math.max(0, Math.ceil(values.length * p / 100) - 1)]!;
    assert(estimate >= before, `p(${p}) is ${estimate}, below ${before}`);
    assert(estimate <= exact * 2 && estimate * 2 >= exact, `p(${p}): ${estimate}, not ${exact}`);
    before = estimate;
  }
});

Deno.test("Histogram counts into a shared buffer that a second one reads", () => {
  const buffer = new SharedArrayBuffer(2 * HISTOGRAM_SIZE);
  const neighbour = new Histogram(buffer);
  const writer = new Histogram(buffer, HISTOGRAM_SIZE);
  writer.record(5);
  assertEquals(new Histogram(buffer, HISTOGRAM_SIZE).snapshot(), [{ belowNs: 8, count: 1 }]);
  assertEquals(neighbour.count, 0);
  assertEquals(neighbour.sumNs, 0);
});
