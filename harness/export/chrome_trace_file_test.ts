import { assertEquals } from "@std/assert";
import type { ChromeEvent } from "./chrome_event.ts";
import { ChromeTraceFile } from "./chrome_trace_file.ts";

const event = (name: string): ChromeEvent => ({ ph: "i", name, pid: 3, tid: 4, ts: 5, s: "t" });

/** A trace file in memory. */
function file() {
  let text = "";
  const told: string[] = [];
  return {
    isFull: false,
    told,
    events: () => (JSON.parse(text) as { traceEvents: ChromeEvent[] }).traceEvents,
    truncateSync: () => void (text = ""),
    writeSync(bytes: Uint8Array): number {
      // A file may take less than it is given.
      const some = bytes.subarray(0, 7);
      text += new TextDecoder().decode(some);
      return some.length;
    },
    close: () => void told.push("closed"),
    incomplete: (why: string) => void told.push(why),
  };
}

Deno.test("ChromeTraceFile is JSON with any number of events, none included", () => {
  for (const counts of [[], [0], [1], [2, 0, 1]]) {
    const sink = file();
    const trace = new ChromeTraceFile(sink);
    for (const count of counts) trace.add(Array.from({ length: count }, () => event("e")));
    trace.close();
    assertEquals(sink.events().length, counts.reduce((all, count) => all + count, 0));
    assertEquals(sink.told, ["closed"]);
  }
});

Deno.test("ChromeTraceFile leaves events out while its file is full, counts them, and says so where they were", () => {
  const sink = file();
  const trace = new ChromeTraceFile(sink);
  sink.isFull = true;
  trace.add([event("a"), event("b")]);
  sink.isFull = false;
  trace.add([event("c")]);
  trace.add([event("d")]);
  sink.isFull = true;
  trace.add([event("e")]);
  trace.close();
  assertEquals(sink.events(), [
    {
      ph: "i",
      s: "p",
      name: "2 events left out: the reader is too slow",
      cat: "trace",
      pid: 3,
      tid: 4,
      ts: 5,
    },
    event("c"),
    event("d"),
  ]);
  assertEquals(sink.told, ["3 events left out: the reader is too slow", "closed"]);
});
