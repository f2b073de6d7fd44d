import { assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { Counter, COUNTERS_SIZE, EndpointCounters } from "./counters.ts";

Deno.test("EndpointCounters start at 0, in shared memory", () => {
  const counters = new EndpointCounters();
  assertInstanceOf(counters.values.buffer, SharedArrayBuffer);
  assertEquals(Object.values(counters.snapshot()), Array(8).fill(0));
});

Deno.test("EndpointCounters.snapshot() gives each counter its own name", () => {
  const counters = new EndpointCounters();
  const names = Object.values(Counter);
  assertEquals(names.length * 8, COUNTERS_SIZE);
  for (const index of names) counters.values[index] = 2 ** 40 + index;
  assertEquals(counters.snapshot(), {
    translations: 2 ** 40 + Counter.TRANSLATIONS,
    iotlbHits: 2 ** 40 + Counter.IOTLB_HITS,
    iotlbMisses: 2 ** 40 + Counter.IOTLB_MISSES,
    faults: 2 ** 40 + Counter.FAULTS,
    pageRequests: 2 ** 40 + Counter.PAGE_REQUESTS,
    invalidations: 2 ** 40 + Counter.INVALIDATIONS,
    dmaReadBytes: 2 ** 40 + Counter.DMA_READ_BYTES,
    dmaWriteBytes: 2 ** 40 + Counter.DMA_WRITE_BYTES,
  });
});

Deno.test("EndpointCounters share a buffer side by side, and stay within it", () => {
  const buffer = new SharedArrayBuffer(2 * COUNTERS_SIZE);
  const first = new EndpointCounters(buffer);
  const second = new EndpointCounters(buffer, COUNTERS_SIZE);
  for (const index of Object.values(Counter)) first.values[index]!++;
  assertEquals(Object.values(second.snapshot()), Array(8).fill(0));
  second.values[Counter.FAULTS] = 7;
  assertEquals(new EndpointCounters(buffer, COUNTERS_SIZE).snapshot().faults, 7);
  assertEquals(first.snapshot().faults, 1);
  assertThrows(() => new EndpointCounters(buffer, COUNTERS_SIZE + 8), RangeError);
});
