import { assertEquals } from "@std/assert";
import { TRACE_KIND_NAMES, type TraceEvent, TraceKind, TraceRing } from "./trace.ts";

function recordNumbered(ring: TraceRing, count: number): void {
  for (let i = 0; i < count; i++) {
    ring.record(i * 10, TraceKind.DMA_READ, i, -1, i * 0x1000, i, i);
  }
}

const sequences = (events: Iterable<TraceEvent>): number[] =>
  [...events].map((event) => event.sequence);

Deno.test("TraceRing is off unless told", () => {
  assertEquals(new TraceRing(4).on, false);
  assertEquals(new TraceRing(4, "on").on, true);
});

Deno.test("TraceRing.record() keeps every field whole", () => {
  const ring = new TraceRing(4, "on");
  const event: TraceEvent = {
    sequence: 0,
    timeNs: 2 ** 53 - 1,
    kind: TraceKind.PAGE_REQUEST,
    endpoint: 0xffff_ffff,
    pasid: 0xf_ffff,
    iova: 2 ** 52 - 1,
    length: 2 ** 52,
    result: -7,
  };
  ring.record(
    event.timeNs,
    event.kind,
    event.endpoint,
    event.pasid,
    event.iova,
    event.length,
    event.result,
  );
  ring.record(0, TraceKind.MAP, 0, -1, 0, 0, 2 ** 52 - 1);
  assertEquals([...ring.events()], [
    event,
    {
      sequence: 1,
      timeNs: 0,
      kind: TraceKind.MAP,
      endpoint: 0,
      pasid: -1,
      iova: 0,
      length: 0,
      result: 2 ** 52 - 1,
    },
  ]);
});

Deno.test("TraceRing overwrites the oldest events, and counts them", () => {
  const ring = new TraceRing(4, "on");
  recordNumbered(ring, 4);
  assertEquals([ring.recorded, ring.dropped], [4, 0]);
  assertEquals(sequences(ring.events()), [0, 1, 2, 3]);
  recordNumbered(ring, 5);
  assertEquals([ring.recorded, ring.dropped], [9, 5]);
  assertEquals(sequences(ring.events()), [5, 6, 7, 8]);
  assertEquals([...ring.events()].map((event) => event.endpoint), [1, 2, 3, 4]);
});

Deno.test("TraceRing.events() starts at the sequence asked for, or at the oldest there is", () => {
  const ring = new TraceRing(4, "on");
  recordNumbered(ring, 6);
  assertEquals(sequences(ring.events(4)), [4, 5]);
  assertEquals(sequences(ring.events(1)), [2, 3, 4, 5]);
  assertEquals(sequences(ring.events(6)), []);
  assertEquals(sequences(ring.events(100)), []);
});

Deno.test("TraceRing with room for one event keeps the last", () => {
  const ring = new TraceRing(1, "on");
  assertEquals(sequences(ring.events()), []);
  recordNumbered(ring, 3);
  assertEquals(sequences(ring.events()), [2]);
});

Deno.test("TRACE_KIND_NAMES has a name at the value of each kind", () => {
  const byValue: string[] = [];
  for (const [key, value] of Object.entries(TraceKind)) {
    byValue[value] = key.toLowerCase().replaceAll("_", "-");
  }
  assertEquals(byValue, [...TRACE_KIND_NAMES]);
});
