/**
 * How long the texts of a run's events may be: whatever a scenario says of itself, its parent keeps
 * it, and each event is one line of bounded length. What is longer is cut, and says so.
 * @module
 */

import { shortened } from "../../core/thrown.ts";
import type { ChromeEvent } from "../export/chrome_event.ts";
import type { RunEvent } from "./run_events.ts";

/** Characters at most. */
export const Longest = {
  /** Of names: of steps, checks, connections and of what a trace shows. */
  NAME: 1_000,
  /** Of a value that a trace shows. */
  ARGUMENT: 8_192,
  /** Of a line of the log, and of what a check has to say. */
  TEXT: 65_536,
  /** Of an error: a stack, and that of its cause. */
  ERROR: 2 ** 18,
  /** Of a file's path or URL: each of 4095 bytes may be escaped. */
  PATH: 16_384,
} as const;

/** Characters of the errors that an end repeats: at six for each in JSON they still fit into a line. */
const END_ERRORS = 2 ** 21;
/** Characters of the note that says how many there were. */
const NOTE = 40;

/** `text`, or as much of it that it is no longer than `most`, with a note. */
export function atMost(text: string, most: number): string {
  return text.length <= most ? text : shortened(text, most - NOTE);
}

/** The errors as far as they have room, and how many there were beyond them. */
function endErrors(errors: readonly string[]): readonly string[] {
  const kept: string[] = [];
  let room = END_ERRORS;
  for (const error of errors) {
    const text = atMost(error, Longest.ERROR);
    room -= text.length;
    if (room < 0) return [...kept, `(${errors.length - kept.length} further errors left out)`];
    kept.push(text);
  }
  return kept;
}

function traced(event: ChromeEvent): ChromeEvent {
  const { name, args } = event;
  return {
    ...event,
    name: atMost(name, Longest.NAME),
    ...(args === undefined ? {} : {
      args: Object.fromEntries(
        Object.entries(args).map((
          [key, value],
        ) => [key, typeof value === "string" ? atMost(value, Longest.ARGUMENT) : value]),
      ),
    }),
  };
}

/** `event` with all its texts cut to {@linkcode Longest}. */
export function bounded(event: RunEvent): RunEvent {
  switch (event.kind) {
    case "step":
      return { ...event, name: atMost(event.name, Longest.NAME) };
    case "check": {
      const { detail } = event;
      return {
        ...event,
        name: atMost(event.name, Longest.NAME),
        ...(detail === undefined ? {} : { detail: atMost(detail, Longest.TEXT) }),
      };
    }
    case "log":
      return { ...event, message: atMost(event.message, Longest.TEXT) };
    case "error":
      return { ...event, text: atMost(event.text, Longest.ERROR) };
    case "trace":
      return { ...event, events: event.events.map(traced) };
    case "end":
      return { ...event, errors: endErrors(event.errors) };
    default:
      return event;
  }
}
