import { assert, assertEquals, assertMatch } from "@std/assert";
import { type ChildMessage, MAX_LINE } from "../child/child_protocol.ts";
import { parseChildMessage } from "../child/child_schema.ts";
import { bounded } from "./event_bounds.ts";
import type { RunEvent } from "./run_events.ts";
import { NO_METRICS } from "./run_report.ts";

/** Six characters in JSON for each of its own. */
const HUGE = "\u0001".repeat(2 ** 21);

const EVENTS: readonly RunEvent[] = [
  { kind: "step", step: 0, name: HUGE, depth: 0 },
  { kind: "check", name: HUGE, ok: false, detail: HUGE },
  { kind: "log", message: HUGE },
  { kind: "error", text: HUGE },
  {
    kind: "trace",
    events: [{
      ph: "X",
      name: HUGE,
      pid: 1,
      tid: 1,
      ts: 0,
      dur: 1,
      args: { text: HUGE, ok: true },
    }],
  },
  { kind: "end", durationMs: 1, metrics: NO_METRICS, errors: Array(200).fill(HUGE) },
];

for (const event of EVENTS) {
  Deno.test(`bounded() makes of a huge ${event.kind} a line that the parent takes`, () => {
    const message: ChildMessage = { kind: "event", id: 0, event: bounded(event) };
    const line = JSON.stringify(message);
    assert(line.length < MAX_LINE, `${line.length}`);
    assertEquals(parseChildMessage(line), message);
    assertMatch(line, /… \(\d+ characters\)/);
  });
}

Deno.test("bounded() says how many errors an end leaves out, and leaves others as they are", () => {
  const end: RunEvent = { kind: "end", durationMs: 1, metrics: NO_METRICS, errors: ["a", "b"] };
  assertEquals(bounded(end), end);
  const cut = bounded({ ...end, errors: Array(200).fill(HUGE) });
  assert(cut.kind === "end");
  assertEquals(cut.errors.at(-1), `(${200 - (cut.errors.length - 1)} further errors left out)`);
});

Deno.test("bounded() leaves events alone whose texts are short", () => {
  for (
    const event of [
      { kind: "begin" },
      { kind: "check", name: "c", ok: true },
      { kind: "check", name: "c", ok: true, detail: "d" },
      { kind: "trace", events: [{ ph: "M", name: "n", pid: 1, tid: 1, ts: 0 }] },
      { kind: "log", message: "l".repeat(65_536) },
    ] satisfies RunEvent[]
  ) assertEquals(bounded(event), event);
});
