/**
 * The message log: one line for each frame on a vfio-user connection, with the time a reply took.
 * @module
 */

import { errnoName } from "../linux/errno.ts";
import type { Field } from "./body_fields.ts";
import { commandName, describeBody, type MessageKind } from "./message_fields.ts";
import { type Direction, formatLine, type MessageLine } from "./message_line.ts";
import { decodeHeader, header, HEADER_SIZE, isReply, wantsReply } from "./messages/header.ts";
import { VfioUserFlags } from "./spec.ts";

/** A frame as it was sent or received. */
export interface Frame {
  /** Nanoseconds since the log began: a safe integer. */
  readonly timeNs: number;
  readonly direction: Direction;
  /** Header and body. Read at once, and not kept. */
  readonly bytes: Uint8Array;
  /** Descriptors that came with it; 0 unless told. */
  readonly descriptors?: number;
}

/** Commands that may wait for their reply at one time; the oldest is forgotten beyond that. */
const MAX_PENDING = 4096;

/**
 * Makes the lines of one connection, both sockets of it. Replies are matched to commands by direction,
 * ID and command, oldest first, since IDs may be in use more than once (vfio-user, Header). Memory is
 * bounded whatever the peers send.
 */
export class MessageLog {
  readonly #pending = new Map<number, number[]>();
  #waiting = 0;
  readonly #header = header();

  /** The line of the next frame. Frames must come in the order of their times. */
  line(frame: Frame): MessageLine {
    const { bytes } = frame;
    const timeUs = Math.floor(frame.timeNs / 1000);
    const { direction } = frame;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (bytes.length < HEADER_SIZE) {
      const fields: Field[] = [["len", String(bytes.length)], ["malformed", "short"]];
      const kind: MessageKind = "command";
      return { timeUs, direction, id: 0, name: "NONE", kind, errno: null, latencyUs: null, fields };
    }
    const head = this.#header;
    decodeHeader(view, 0, head);
    const kind: MessageKind = isReply(head) ? "reply" : "command";
    const failed = kind === "reply" && (head.flags & VfioUserFlags.ERROR) !== 0;
    const fields: Field[] = [];
    const body = Math.max(0, Math.min(head.size, bytes.length) - HEADER_SIZE);
    if (kind === "command" || body > 0) fields.push(["len", String(head.size)]);
    if (head.size !== bytes.length) fields.push(["got", String(bytes.length)]);
    const type = head.flags & VfioUserFlags.TYPE;
    if (type > VfioUserFlags.REPLY) fields.push(["type", String(type)]);
    if (kind === "command" && !wantsReply(head)) fields.push(["reply", "no"]);
    if (!failed) fields.push(...describeBody(head.command, kind, view, HEADER_SIZE, body));
    if (frame.descriptors) fields.push(["fds", String(frame.descriptors)]);

    // A reply goes the other way than its command, so both are filed under the command's way.
    const forward = (direction === ">") === (kind === "command");
    const key = (forward ? 2 ** 32 : 0) + head.command * 2 ** 16 + head.id;
    let latencyUs: number | null = null;
    if (kind === "reply") {
      const sentNs = this.#take(key);
      if (sentNs !== null) latencyUs = Math.max(0, Math.round((frame.timeNs - sentNs) / 1000));
    } else if (wantsReply(head)) {
      this.#keep(key, frame.timeNs);
    }
    return {
      timeUs,
      direction,
      id: head.id,
      name: commandName(head.command),
      kind,
      errno: failed ? errnoWord(head.error) : null,
      latencyUs,
      fields,
    };
  }

  /** {@linkcode line} as text, without a line end. */
  format(frame: Frame): string {
    return formatLine(this.line(frame));
  }

  /** Commands whose reply has not been seen, at most 4096. */
  get waiting(): number {
    return this.#waiting;
  }

  #keep(key: number, timeNs: number): void {
    if (this.#waiting >= MAX_PENDING) {
      for (const oldest of this.#pending.keys()) {
        this.#take(oldest);
        break;
      }
    }
    const times = this.#pending.get(key);
    if (times === undefined) this.#pending.set(key, [timeNs]);
    else times.push(timeNs);
    this.#waiting++;
  }

  #take(key: number): number | null {
    const times = this.#pending.get(key);
    const time = times?.shift();
    if (times === undefined || time === undefined) return null;
    if (times.length === 0) this.#pending.delete(key);
    this.#waiting--;
    return time;
  }
}

/** One word: the errno's name, or the number of one that has none. */
function errnoWord(error: number): string {
  const name = errnoName(error);
  return name.includes(" ") ? String(error) : name;
}
