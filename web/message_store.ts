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
/** Bytes of a message that are shown, and looked at. */
const SHOWN_BYTES = 4096;
/** Connections whose replies are matched: each device has one. */
const MAX_CONNECTIONS = 1024;

/** A message as it is taken. */
export interface StoredMessage extends MessageEvent {
  /** Bytes of the whole message, when those given are but its beginning: {@linkcode SHOWN_BYTES} at least. */
  readonly length?: number;
}

/** Takes messages as they come, which is often, and reads them when somebody looks, which is seldom. */
export class MessageStore {
  readonly #logs = new Map<string, MessageLog>();
  #fresh: StoredMessage[] = [];
  #freshLength = 0;
  #rows: MessageRow[] = [];
  #length = 0;
  #number = 0;
  readonly #header = header();
  /** Stands in for messages of which the beginning is kept alone. */
  #whole = new Uint8Array(0);

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

  /** Takes messages, in order. */
  add(messages: readonly StoredMessage[]): void {
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

  /** `count` messages came after those that were added, and nobody has them. What is kept has no hole. */
  miss(count: number): void {
    this.#number += this.#fresh.length + count;
    this.#fresh = [];
    this.#freshLength = 0;
    this.#rows = [];
    this.#length = 0;
    // Replies to come may be to commands that are not known.
    this.#logs.clear();
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

  #row(message: StoredMessage): MessageRow {
    const { connection, timeNs, direction, descriptors } = message;
    const bytes = this.#bytesOf(message);
    let log = this.#logs.get(connection);
    if (log === undefined) {
      log = new MessageLog();
      for (const oldest of this.#logs.keys()) {
        if (this.#logs.size < MAX_CONNECTIONS) break;
        this.#logs.delete(oldest);
      }
      this.#logs.set(connection, log);
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

  /** The message in full length. Of its bytes those beyond {@linkcode SHOWN_BYTES} may be any. */
  #bytesOf({ bytes: text, length }: StoredMessage): Uint8Array {
    const bytes = Uint8Array.fromBase64(text);
    if (length === undefined || length <= bytes.length) return bytes;
    if (this.#whole.length < length) this.#whole = new Uint8Array(length);
    this.#whole.set(bytes);
    return this.#whole.subarray(0, length);
  }
}
