/**
 * One line of the message log, as an object and as text:
 * `0.004213 > 0007 DMA_MAP len 48 addr 0x100000 size 0x1000 flags rw`,
 * `0.004391 < 0007 DMA_MAP ok 178us`, `0.004400 < 0008 DMA_UNMAP errno ENOENT 9us`.
 * @module
 */

import type { Field } from "./body_fields.ts";
import type { MessageKind } from "./message_fields.ts";

/** `>` from client to server, `<` from server to client, whatever the message is. */
export type Direction = ">" | "<";

/** What a line says. */
export interface MessageLine {
  /** Microseconds since the log began. */
  readonly timeUs: number;
  readonly direction: Direction;
  /** Message ID, 0 to 0xffff. */
  readonly id: number;
  /** As `commandName()` gives it. */
  readonly name: string;
  readonly kind: MessageKind;
  /** Of a reply that failed: `EINVAL`, or a number without a name. Otherwise null. */
  readonly errno: string | null;
  /** Of a reply: microseconds since its command; null when that was not seen. */
  readonly latencyUs: number | null;
  /** The rest, in order. */
  readonly fields: readonly Field[];
}

/** The line as text, without a line end. */
export function formatLine(line: MessageLine): string {
  const seconds = Math.floor(line.timeUs / 1e6);
  const micros = String(line.timeUs % 1e6).padStart(6, "0");
  let text = `${seconds}.${micros} ${line.direction} ${
    line.id.toString(16).padStart(4, "0")
  } ${line.name}`;
  if (line.kind === "reply") text += line.errno === null ? " ok" : ` errno ${line.errno}`;
  if (line.latencyUs !== null) text += ` ${line.latencyUs}us`;
  for (const [name, value] of line.fields) text += ` ${name} ${value}`;
  return text;
}

const LINE = /^(\d+)\.(\d{6}) ([<>]) ([0-9a-f]{4}) ([A-Z][A-Z0-9_]*)(?: (ok|errno ([A-Z0-9]+)))?/;

/** What {@linkcode formatLine} wrote, or null for any other text. */
export function parseLine(text: string): MessageLine | null {
  const match = LINE.exec(text);
  if (match === null) return null;
  const [start, seconds, micros, direction, id, name, result, errno] = match;
  let rest = text.slice(start.length);
  const latency = / (\d+)us(?= |$)/y.exec(rest);
  if (latency !== null) rest = rest.slice(latency[0].length);
  if ((result === undefined && latency !== null) || (rest !== "" && rest[0] !== " ")) return null;
  const tokens = rest === "" ? [] : rest.slice(1).split(" ");
  if (tokens.length % 2 !== 0 || tokens.includes("")) return null;
  const fields: Field[] = [];
  for (let index = 0; index < tokens.length; index += 2) {
    fields.push([tokens[index] ?? "", tokens[index + 1] ?? ""]);
  }
  return {
    timeUs: Number(seconds) * 1e6 + Number(micros),
    direction: direction === "<" ? "<" : ">",
    id: Number.parseInt(id ?? "", 16),
    name: name ?? "",
    kind: result === undefined ? "command" : "reply",
    errno: errno ?? null,
    latencyUs: latency === null ? null : Number(latency[1]),
    fields,
  };
}
