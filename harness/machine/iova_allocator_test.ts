import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import { IOVA_LIMIT, IovaAllocator } from "./iova_allocator.ts";
import { Random } from "../random.ts";

Deno.test("IovaAllocator keeps places apart by a page, below its limit, through takes and releases", () => {
  const action = fc.oneof(
    fc.record({ pages: fc.integer({ min: 1, max: 20_000 }) }),
    fc.record({ release: fc.nat(20) }),
    fc.record({ take: fc.nat(IOVA_LIMIT - 1), length: fc.integer({ min: 1, max: 2 ** 24 }) }),
  );
  fc.assert(fc.property(fc.nat(), fc.array(action, { maxLength: 30 }), (seed, actions) => {
    const iovas = new IovaAllocator(new Random(seed >>> 0));
    const places: { start: number; end: number }[] = [];
    for (const one of actions) {
      if ("release" in one) {
        const [place] = places.splice(one.release % Math.max(1, places.length), 1);
        if (place !== undefined) iovas.release(place.start);
      } else if ("take" in one) {
        if (places.some(({ start }) => start === one.take)) continue;
        iovas.take(one.take, one.length);
        places.push({ start: one.take, end: one.take + one.length });
      } else {
        const length = one.pages * 4096;
        let start: number;
        try {
          start = iovas.allocate(length);
        } catch (error) {
          assert(error instanceof Error && error.message.startsWith("Cannot find a place"));
          continue;
        }
        assertEquals(start % 4096, 0);
        assert(start >= 4096 && start + length <= IOVA_LIMIT);
        for (const place of places) {
          assert(start >= place.end + 4096 || place.start >= start + length + 4096);
        }
        places.push({ start, end: start + length });
      }
    }
  }));
});

Deno.test("IovaAllocator.allocate() scatters, and repeats with its seed", () => {
  const starts = (seed: number) => {
    const iovas = new IovaAllocator(new Random(seed));
    return [1, 2, 3].map((pages) => iovas.allocate(pages * 4096) as number);
  };
  assertEquals(starts(1), starts(1));
  assertNotEquals(starts(1), starts(2));
  assert(starts(1).every((start) => start >= 2 ** 27));
});

Deno.test("IovaAllocator.allocate() uses the lower half when the upper is full, then gives up", () => {
  const iovas = new IovaAllocator(new Random(1));
  const large = 2 ** 27 - 2 ** 20;
  assert(iovas.allocate(large) >= 2 ** 27 - 1);
  assert(iovas.allocate(large) < 2 ** 27);
  assertThrows(() => iovas.allocate(large), Error, "name one with the option iova");
});
