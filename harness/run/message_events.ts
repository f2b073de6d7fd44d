/**
 * The messages of a run's protocol as events: in lumps, since there may be many, and soon,
 * since a run may be cut off.
 * @module
 */

import { MAX_LINE } from "../child/child_protocol.ts";
import type { MessageTap } from "../via/message_tap.ts";
import { atMost, Longest } from "./event_bounds.ts";
import type { MessageEvent, RunEvent } from "./run_events.ts";

/** Messages in one event, and milliseconds that the first of them waits for others. */
const CHUNK = 200, HOLD_MS = 50;
/**
 * Characters of the messages in one event. An event is a line, and with the longest message that the
 * protocol knows, of 1 MiB and what goes with it, beyond this it is still far shorter than a line may be.
 */
const CHUNK_LENGTH = MAX_LINE / 4;

/** Makes events of what the tap gets. */
export class MessageEvents {
  readonly #emit: (event: RunEvent) => void;
  #messages: MessageEvent[] = [];
  #length = 0;
  #sinceMs = 0;

  constructor(emit: (event: RunEvent) => void) {
    this.#emit = emit;
  }

  readonly tap: MessageTap = ({ connection, timeNs, direction, bytes, descriptors }) => {
    const now = performance.now();
    if (this.#messages.length === 0) this.#sinceMs = now;
    const message: MessageEvent = {
      connection: atMost(connection, Longest.NAME),
      timeNs,
      direction,
      descriptors,
      bytes: bytes.toBase64(),
    };
    this.#messages.push(message);
    this.#length += message.connection.length + message.bytes.length;
    const isMuch = this.#messages.length >= CHUNK || this.#length >= CHUNK_LENGTH;
    if (isMuch || now - this.#sinceMs > HOLD_MS) this.flush();
  };

  /** Emits what waits. */
  flush(): void {
    if (this.#messages.length === 0) return;
    this.#emit({ kind: "messages", messages: this.#messages });
    this.#messages = [];
    this.#length = 0;
  }
}
