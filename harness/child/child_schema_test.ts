import { assertEquals, assertStringIncludes } from "@std/assert";
import { parseChildMessage, parseDefinition } from "./child_schema.ts";
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
