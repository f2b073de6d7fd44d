import { assertEquals, assertStringIncludes } from "@std/assert";
import { parseChildMessage, parseDefinition } from "./child_schema.ts";
import { Longest } from "../run/event_bounds.ts";
import { NO_METRICS } from "../run/run_report.ts";

Deno.test("parseChildMessage() takes what a child sends", () => {
  for (
    const message of [
      { kind: "ready" },
      { kind: "event", id: 3, event: { kind: "check", name: "c", ok: true } },
      { kind: "event", id: 3, event: { kind: "error", text: "Threw Error: x" } },
      { kind: "event", id: 3, event: { kind: "console", path: "/tmp/x/console.log" } },
      {
        kind: "event",
        id: 0,
        event: { kind: "end", durationMs: 1, metrics: NO_METRICS, errors: [] },
      },
    ]
  ) assertEquals(parseChildMessage(JSON.stringify(message)), message as never);
});

Deno.test("parseChildMessage() refuses everything else", () => {
  for (
    const line of [
      "",
      "{",
      "null",
      "[]",
      '{"kind":"other"}',
      '{"kind":"ready","more":1}',
      '{"kind":"event","id":-1,"event":{"kind":"log","message":""}}',
      '{"kind":"event","id":1.5,"event":{"kind":"log","message":""}}',
      '{"kind":"event","id":1,"event":{"kind":"check","name":"c","ok":"yes"}}',
      '{"kind":"event","id":1,"event":{"kind":"progress","done":null,"total":1}}',
      '{"kind":"event","id":1,"event":{"kind":"end","durationMs":-1,"metrics":{},"errors":[]}}',
    ]
  ) assertEquals(parseChildMessage(line), null, line);
});

Deno.test("parseChildMessage() refuses texts that are longer than any a child sends", () => {
  const long = (most: number) => "a".repeat(most + 1);
  const event = (event: object) => ({ kind: "event", id: 1, event });
  const message = {
    connection: "edu at 00:01.0",
    timeNs: 0,
    direction: ">",
    descriptors: 0,
    bytes: "",
  };
  const trace = { ph: "i", name: "x", pid: 1, tid: 1, ts: 0 };
  const end = { kind: "end", durationMs: 1, metrics: NO_METRICS, errors: ["e"] };
  const cases: [object, object][] = [
    [{ kind: "loading", file: "f" }, { file: long(Longest.PATH) }],
    [{ kind: "loaded", file: "f", definition: 1 }, { file: long(Longest.PATH) }],
    [{ kind: "refused", file: "f", reason: "r" }, { reason: long(Longest.ERROR) }],
  ];
  const events: [object, object][] = [
    [{ kind: "step", step: 0, name: "s", depth: 0 }, { name: long(Longest.NAME) }],
    [{ kind: "check", name: "c", ok: true }, { name: long(Longest.NAME) }],
    [{ kind: "check", name: "c", ok: true }, { detail: long(Longest.TEXT) }],
    [{ kind: "log", message: "l" }, { message: long(Longest.TEXT) }],
    [{ kind: "error", text: "e" }, { text: long(Longest.ERROR) }],
    [{ kind: "console", path: "p" }, { path: long(Longest.PATH) }],
    [end, { errors: [long(Longest.ERROR)] }],
    [{ kind: "trace", events: [trace] }, { events: [{ ...trace, name: long(Longest.NAME) }] }],
    [
      { kind: "trace", events: [trace] },
      { events: [{ ...trace, args: { a: long(Longest.ARGUMENT) } }] },
    ],
    [
      { kind: "messages", messages: [message] },
      { messages: [{ ...message, connection: long(Longest.NAME) }] },
    ],
  ];
  for (const [good, bad] of events) cases.push([event(good), event({ ...good, ...bad })]);
  for (const [good, bad] of cases) {
    assertEquals(parseChildMessage(JSON.stringify(good)), good as never);
    assertEquals(parseChildMessage(JSON.stringify({ ...good, ...bad })), null);
  }
});

const GOOD = { name: "a-b", run: true, options: { title: "t" } };

Deno.test("parseDefinition() fills in what was left out", () => {
  assertEquals(parseDefinition(GOOD), {
    name: "a-b",
    title: "t",
    tags: [],
    modes: ["identity", "remap"],
    vias: ["direct", "vfio-user"],
    timeoutMs: 10_000,
  });
});

Deno.test("parseDefinition() names the field that is wrong", () => {
  const options = (more: object) => ({ ...GOOD, options: { title: "t", ...more } });
  const cases: [unknown, string][] = [
    [{ ...GOOD, name: "A" }, "name: "],
    [{ ...GOOD, name: "../x" }, "name: "],
    [{ ...GOOD, name: "a".repeat(101) }, "name: "],
    [{ ...GOOD, run: false }, "run: "],
    [{ name: "a", run: true }, "options: "],
    [options({ title: "two\nlines" }), "options.title: "],
    [options({ title: "t".repeat(1001) }), "options.title: must have 1000 characters at most"],
    [options({ tags: ["t".repeat(101)] }), "options.tags.0: "],
    [options({ modes: [] }), "options.modes: "],
    [options({ modes: ["remap", "remap"] }), "options.modes: must not name one twice"],
    [options({ vias: ["direkt"] }), "options.vias.0: "],
    [options({ tags: ["a b"] }), "options.tags.0: "],
    [options({ timeoutMs: 0 }), "options.timeoutMs: "],
    [options({ memoryMib: 0.5 }), "options.memoryMib: "],
    [options({ memoryMib: 8192 }), "options.memoryMib: "],
    [options({ thresholds: { faults: "value==1" } }), "options.thresholds.faults: "],
  ];
  for (const [definition, start] of cases) {
    const found = parseDefinition(definition);
    assertEquals(typeof found, "string");
    assertStringIncludes(found as string, start);
  }
});
