/**
 * The newest messages of a run, ready to be shown.
 * @module
 */

import type { MessageEvent } from "../harness/run/run_events.ts";
import { MessageLog } from "../protocols/vfio_user/message_log.ts";
import {
  decodeHeader,
  header,
  HEADER_SIZE,
  isReply,
} from "../protocols/vfio_user/messages/header.ts";
import { VfioUserFlags } from "../protocols/vfio_user/spec.ts";
import type { MessageRow } from "./api.ts";

/** Messages that are kept, and characters of their bytes together. */
const MESSAGES_KEPT = 20_000;
const KEPT_LENGTH = 32 * 2 ** 20;
/** Bytes of a message that are shown. */
const SHOWN_BYTES = 4096;
/** Connections whose replies are matched: each device has one. */
const MAX_CONNECTIONS = 1024;

/** Takes messages as they come, which is often, and reads them when somebody looks, which is seldom. */
export class MessageStore {
  readonly #logs = new Map<string, MessageLog>();
  #fresh: MessageEvent[] = [];
  #freshLength = 0;
  #rows: MessageRow[] = [];
  #length = 0;
  #number = 0;
  readonly #header = header();

  /** Oldest first. */
  get rows(): readonly MessageRow[] {
    this.#read();
    return this.#rows;
  }

  /** Messages before those. */
  get dropped(): number {
    this.#read();
    return this.#number - this.#rows.length;
  }

  add(messages: readonly MessageEvent[]): void {
    for (const message of messages) {
      this.#fresh.push(message);
      this.#freshLength += message.bytes.length;
    }
    if (this.#fresh.length < 2 * MESSAGES_KEPT && this.#freshLength < 2 * KEPT_LENGTH) return;
    let first = Math.max(0, this.#fresh.length - MESSAGES_KEPT);
    for (let at = 0; at < first; at++) this.#freshLength -= this.#fresh[at]!.bytes.length;
    while (this.#freshLength > KEPT_LENGTH) this.#freshLength -= this.#fresh[first++]!.bytes.length;
    this.#fresh = this.#fresh.slice(first);
    // Older ones go with those in between: what is kept has no hole.
    this.#number += first;
    this.#rows = [];
    this.#length = 0;
  }

  #read(): void {
    if (this.#fresh.length === 0) return;
    for (const message of this.#fresh) {
      const row = this.#row(message);
      this.#length += row.bytes.length;
      this.#rows.push(row);
    }
    this.#fresh = [];
    this.#freshLength = 0;
    if (this.#rows.length < 2 * MESSAGES_KEPT && this.#length < 2 * KEPT_LENGTH) return;
    let first = Math.max(0, this.#rows.length - MESSAGES_KEPT);
    for (let at = 0; at < first; at++) this.#length -= this.#rows[at]!.bytes.length;
    while (this.#length > KEPT_LENGTH) this.#length -= this.#rows[first++]!.bytes.length;
    this.#rows = this.#rows.slice(first);
  }

  #row({ connection, timeNs, direction, descriptors, bytes: text }: MessageEvent): MessageRow {
    const bytes = Uint8Array.fromBase64(text);
    let log = this.#logs.get(connection);
    if (log === undefined) {
      log = new MessageLog();
      if (this.#logs.size < MAX_CONNECTIONS) this.#logs.set(connection, log);
    }
    const line = log.line({ timeNs, direction, bytes, descriptors });
    let errno: number | null = null;
    if (bytes.length >= HEADER_SIZE) {
      const head = this.#header;
      decodeHeader(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0, head);
      if (isReply(head)) errno = (head.flags & VfioUserFlags.ERROR) === 0 ? 0 : head.error;
    }
    return {
      number: this.#number++,
      timeMs: timeNs / 1e6,
      direction,
      type: line.kind,
      id: line.id,
      connection,
      command: line.name,
      length: bytes.length,
      tookMs: line.latencyUs === null ? null : line.latencyUs / 1000,
      errno,
      descriptors,
      fields: line.fields.map(([name, value]) => ({ name, value })),
      bytes: bytes.subarray(0, SHOWN_BYTES).toHex(),
    };
  }
}
