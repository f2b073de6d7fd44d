import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { EventStreamParser, type StreamEvent } from "./event_stream.ts";

Deno.test("EventStreamParser.push() reads events, comments and IDs", () => {
  const events = new EventStreamParser().push(
    ": hello\n\nid: a.1\nevent: snapshot\ndata: {\ndata: }\n\ndata:x\n\nevent: none\n\n",
  );
  assertEquals(events, [
    { type: "snapshot", data: "{\n}", id: "a.1" },
    { type: "message", data: "x", id: "a.1" },
  ]);
});

Deno.test("EventStreamParser.push() gives the same events however the stream is cut", () => {
  const stream = "id: 1\r\nevent: a\r\ndata: one\r\n\r\n: c\rdata: two\r\rid: 2\ndata: three\n\n";
  const whole = new EventStreamParser().push(stream + "\n");
  assertEquals(whole.map(({ data }) => data), ["one", "two", "three"]);
  fc.assert(fc.property(
    fc.array(fc.integer({ min: 0, max: stream.length }), { maxLength: 8 }),
    (cuts) => {
      const parser = new EventStreamParser();
      const events: StreamEvent[] = [];
      let from = 0;
      for (const cut of [...cuts].sort((a, b) => a - b)) {
        events.push(...parser.push(stream.slice(from, cut)));
        from = cut;
      }
      events.push(...parser.push(stream.slice(from)), ...parser.push("\n"));
      assertEquals(events, whole);
    },
  ));
});
