import { assertEquals } from "@std/assert";
import { type TraceEvent, TraceKind } from "../../core/observe/trace.ts";
import { ChromeInFlight } from "./chrome_in_flight.ts";

const { PIN, UNPIN } = TraceKind;

function eventsOf(
  endUs: number,
  ...rows: readonly (readonly [us: number, kind: number, iova: number, count: number])[]
) {
  const inFlight = new ChromeInFlight(5);
  for (const [sequence, [us, kind, iova, result]] of rows.entries()) {
    const event = { sequence, timeNs: us * 1000, kind, endpoint: 8, pasid: -1, length: 64 };
    inFlight.take({ ...event, iova, result } satisfies TraceEvent);
  }
  const events = inFlight.events(endUs * 1000);
  const of = (phase: string) => events.filter(({ ph }) => ph === phase);
  return {
    counts: of("C").map(({ ts, args }) => [ts, args!.accesses]),
    slices: of("X").map(({ tid, ts, dur, args }) => [tid, ts, dur, args!.iova, args!.ended]),
    names: of("M").map(({ tid, args }) => [tid, args!.name]),
  };
}

Deno.test("ChromeInFlight has a counter of what is in flight, and a slice for each from begin to end", () => {
  const { counts, slices, names } = eventsOf(
    100,
    [1, PIN, 0x1000, 1],
    [2, PIN, 0x2000, 2],
    [7, UNPIN, 0x1000, 1],
    [9, UNPIN, 0x2000, 0],
    [9, PIN, 0x1000, 1],
    [9, UNPIN, 0x1000, 0],
  );
  assertEquals(counts, [[1, 1], [2, 2], [7, 1], [9, 0], [9, 1], [9, 0]]);
  assertEquals(slices, [
    [100, 1, 6, "0x1000", true],
    [101, 2, 7, "0x2000", true],
    [100, 9, 0, "0x1000", true],
  ]);
  assertEquals(names, [[100, "dma in flight"], [101, "dma in flight (2)"]]);
});

Deno.test("ChromeInFlight lets what has not ended last until the end, and an end without its begin go", () => {
  const { slices, counts } = eventsOf(50, [1, UNPIN, 0x9000, 3], [2, PIN, 0x1000, 4]);
  assertEquals(slices, [[100, 2, 48, "0x1000", false]]);
  assertEquals(counts, [[1, 3], [2, 4]]);
});

Deno.test("ChromeInFlight tells two accesses to one range apart, and has nothing to say of none", () => {
  const { slices } = eventsOf(
    50,
    [1, PIN, 0x1000, 1],
    [2, PIN, 0x1000, 2],
    [5, UNPIN, 0x1000, 1],
    [8, UNPIN, 0x1000, 0],
  );
  assertEquals(slices.map(([tid, ts, dur]) => [tid, ts, dur]), [[100, 1, 4], [101, 2, 6]]);
  assertEquals(eventsOf(50), { counts: [], slices: [], names: [] });
});
