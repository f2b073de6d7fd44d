import { assertEquals } from "@std/assert";
import { TraceKind, TraceRing } from "../../core/observe/trace.ts";
import { DmaLook, LOOK_CAPACITY } from "./dma_look.ts";

/** As the data path does it. */
function record(trace: TraceRing, kind: number, iova: number): void {
  if (trace.on) trace.record(0, kind, 8, -1, iova, 4, 0);
}

const seen = (look: DmaLook) => [...look.events()].map(({ iova }) => iova);

Deno.test("DmaLook sees what happens between begin and end, and nothing else", () => {
  const trace = new TraceRing(LOOK_CAPACITY);
  const look = new DmaLook(trace, "off");
  record(trace, TraceKind.DMA_READ, 1);
  look.begin();
  record(trace, TraceKind.DMA_READ, 2);
  record(trace, TraceKind.DMA_WRITE, 3);
  assertEquals(look.end(), true);
  record(trace, TraceKind.DMA_READ, 4);
  assertEquals(seen(look), [2, 3]);
  assertEquals(seen(look), []);
});

Deno.test("DmaLook ends by itself when it has seen enough, and fits the ring", () => {
  const trace = new TraceRing(LOOK_CAPACITY);
  const look = new DmaLook(trace, "off");
  look.begin();
  for (let at = 0; at < 100_000; at++) record(trace, TraceKind.DMA_READ, at);
  assertEquals([trace.on, look.end(), trace.dropped], [false, false, 0]);
  const events = seen(look);
  assertEquals(events, events.map((_, at) => at));
  look.begin();
  record(trace, TraceKind.DMA_READ, 7);
  assertEquals(seen(look), [7]);
});

Deno.test("DmaLook leaves mappings out: a storm of them takes no room from DMA", () => {
  const trace = new TraceRing(LOOK_CAPACITY);
  const look = new DmaLook(trace, "off");
  look.begin();
  for (const kind of [TraceKind.MAP, TraceKind.INVALIDATE, TraceKind.PIN]) {
    for (let at = 0; at < 1000; at++) record(trace, kind, at);
  }
  for (const kind of [TraceKind.PAGE_REQUEST, TraceKind.DMA_READ]) record(trace, kind, kind);
  assertEquals(seen(look), [TraceKind.PAGE_REQUEST, TraceKind.DMA_READ]);
});

Deno.test("DmaLook takes no event from a trace that is on anyway, and turns it neither off nor on", () => {
  const trace = new TraceRing(1000, "on");
  const look = new DmaLook(trace, "on");
  for (let at = 0; at < 800; at++) record(trace, TraceKind.DMA_READ, at);
  record(trace, TraceKind.MAP, 800);
  look.begin();
  assertEquals([look.end(), trace.on, trace.recorded], [false, true, 801]);
  assertEquals(
    [...look.events(11)].map(({ iova }) => iova),
    [
      ...Array(10).keys(),
    ].map((at) => 790 + at),
  );
});
