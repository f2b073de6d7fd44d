/**
 * Checks what child processes say: all of it comes from a process that has run
 * a scenario's code.
 * @module
 */

import * as v from "valibot";
import type { ChildMessage, ScenarioInfo } from "./child_protocol.ts";
import type { ChromeEvent } from "../export/chrome_event.ts";
import { Longest } from "../run/event_bounds.ts";
import type { RunEvent } from "../run/run_events.ts";
import { MetricsSchema } from "../run/run_report.ts";
import { MODES, VIAS } from "../scenario.ts";

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));
const milliseconds = v.pipe(v.number(), v.finite(), v.minValue(0));
const upTo = (most: number) => v.pipe(v.string(), v.maxLength(most));
const name = upTo(Longest.NAME);
const text = upTo(Longest.TEXT);
const errorText = upTo(Longest.ERROR);
const path = upTo(Longest.PATH);

const ChromeEventSchema: v.GenericSchema<ChromeEvent> = v.strictObject({
  ph: v.picklist(["X", "i", "C", "M"]),
  name,
  cat: v.exactOptional(name),
  pid: count,
  tid: count,
  ts: milliseconds,
  dur: v.exactOptional(milliseconds),
  s: v.exactOptional(v.picklist(["t", "p"])),
  args: v.exactOptional(
    v.record(name, v.union([upTo(Longest.ARGUMENT), v.number(), v.boolean()])),
  ),
});

const RunEventSchema: v.GenericSchema<RunEvent> = v.variant("kind", [
  v.strictObject({ kind: v.literal("begin") }),
  v.strictObject({ kind: v.literal("step"), step: count, name, depth: count }),
  v.strictObject({
    kind: v.literal("step-end"),
    step: count,
    ok: v.boolean(),
    durationMs: milliseconds,
  }),
  v.strictObject({
    kind: v.literal("check"),
    name,
    ok: v.boolean(),
    detail: v.exactOptional(text),
  }),
  v.strictObject({ kind: v.literal("log"), message: text }),
  v.strictObject({ kind: v.literal("error"), text: errorText }),
  v.strictObject({ kind: v.literal("console"), path }),
  v.strictObject({
    kind: v.literal("progress"),
    done: v.pipe(v.number(), v.finite()),
    total: v.pipe(v.number(), v.finite()),
  }),
  v.strictObject({ kind: v.literal("trace"), events: v.array(ChromeEventSchema) }),
  v.strictObject({
    kind: v.literal("messages"),
    messages: v.array(v.strictObject({
      connection: name,
      timeNs: count,
      direction: v.picklist([">", "<"]),
      descriptors: count,
      bytes: v.pipe(v.string(), v.base64()),
    })),
  }),
  v.strictObject({
    kind: v.literal("end"),
    durationMs: milliseconds,
    metrics: MetricsSchema,
    errors: v.array(errorText),
  }),
]);

const ChildMessageSchema: v.GenericSchema<ChildMessage> = v.variant("kind", [
  v.strictObject({ kind: v.literal("ready") }),
  v.strictObject({ kind: v.literal("loading"), file: path }),
  v.strictObject({ kind: v.literal("loaded"), file: path, definition: v.unknown() }),
  v.strictObject({ kind: v.literal("refused"), file: path, reason: errorText }),
  v.strictObject({ kind: v.literal("load-end") }),
  v.strictObject({ kind: v.literal("event"), id: count, event: RunEventSchema }),
]);

/** The child's message in `text`, or null when it is none. */
export function parseChildMessage(text: string): ChildMessage | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  const parsed = v.safeParse(ChildMessageSchema, value);
  return parsed.success ? parsed.output : null;
}

const names = <T extends string>(values: readonly T[]) =>
  v.pipe(
    v.array(v.picklist(values)),
    v.minLength(1),
    v.check((list) => new Set(list).size === list.length, "must not name one twice"),
  );

const DefinitionSchema = v.object({
  name: v.pipe(
    v.string(),
    v.regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, "must be kebab-case, like edu-dma-scatter"),
    v.maxLength(100),
  ),
  run: v.literal(true, "must be a function"),
  options: v.object({
    title: v.pipe(
      v.string(),
      v.regex(/^[^\n\r]*\S[^\n\r]*$/, "must be one line of text"),
      v.maxLength(Longest.NAME, `must have ${Longest.NAME} characters at most`),
    ),
    tags: v.optional(
      v.array(
        v.pipe(
          v.string(),
          v.regex(/^[^\s,]+$/, "must hold no space and no comma"),
          v.maxLength(100),
        ),
      ),
      [],
    ),
    modes: v.optional(names(MODES), ["identity", "remap"]),
    vias: v.optional(names(VIAS), ["direct", "vfio-user"]),
    timeoutMs: v.optional(
      v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(2 ** 31 - 1)),
      10_000,
    ),
    memoryMib: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(4096)), 16),
    thresholds: v.optional(v.record(v.string(), v.array(v.string())), {}),
  }),
});

/** A scenario as its file defines it, or one line that says what is wrong with it. */
export function parseDefinition(definition: unknown): ScenarioInfo | string {
  const parsed = v.safeParse(DefinitionSchema, definition);
  if (!parsed.success) {
    const issue = parsed.issues[0];
    const path = v.getDotPath(issue);
    return path === null ? issue.message : `${path}: ${issue.message}`;
  }
  const { name, options } = parsed.output;
  const { title, tags, modes, vias, timeoutMs } = options;
  return { name, title, tags: [...new Set(tags)], modes, vias, timeoutMs };
}
