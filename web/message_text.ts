/**
 * Messages as the message log writes them.
 * @module
 */

import { errnoName } from "../protocols/linux/errno.ts";
import { formatLine } from "../protocols/vfio_user/message_line.ts";
import type { MessageRow } from "./api.ts";

/** A line a message. */
export function formatMessages(messages: readonly MessageRow[]): string {
  return messages.map((message) =>
    formatLine({
      timeUs: Math.round(message.timeMs * 1000),
      direction: message.direction,
      id: message.id,
      name: message.command,
      kind: message.type,
      errno: message.errno === null || message.errno === 0 ? null : errnoWord(message.errno),
      latencyUs: message.tookMs === null ? null : Math.round(message.tookMs * 1000),
      fields: message.fields.map(({ name, value }) => [name, value]),
    }) + "\n"
  ).join("");
}

function errnoWord(errno: number): string {
  const name = errnoName(errno);
  return name.includes(" ") ? String(errno) : name;
}
